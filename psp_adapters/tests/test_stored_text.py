"""Text of a PSP is cleaned where it enters: every type of the contract can be stored."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psp_adapters.contract import disputes, notifications, operations, payments, settlement_reports
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.stored_text import (
    ID_LENGTH_MAX,
    StoredText,
    clean_id,
    clean_link,
    clean_text,
)

CONTRACT = (disputes, notifications, operations, payments, settlement_reports)
# Not stored as they come: requests are ours, a listing's name is checked by its adapter, a token is
# compared, and a report with a line that cannot be stored is refused as a whole.
NOT_STORED = {
    "PspRequest",
    "PurchaseDetails",
    "PurchaseLine",
    "LookUp",
    "DisputeRequest",
    "ReportListing",
    "ReportLine",
    "Conversion",
    "WebhookRequest",
    "HostedFields",
    ("PaymentToken", "token"),
    ("Notification", "signature_headers"),
    ("PspDispute", "submissions"),
    ("PspDispute", "acceptance"),
}


def types_of(module: ModuleType) -> Iterator[type]:
    for _, found in inspect.getmembers(module, dataclasses.is_dataclass):
        if isinstance(found, type) and found.__module__ == module.__name__:
            yield found


@pytest.mark.parametrize(
    "contract_type", [t for m in CONTRACT for t in types_of(m)], ids=lambda t: t.__name__
)
def test_every_text_of_the_contract_is_cleaned_or_is_named_as_not_stored(
    contract_type: type,
) -> None:
    if contract_type.__name__ in NOT_STORED:
        return
    texts = {
        field.name
        for field in dataclasses.fields(contract_type)
        if field.type in ("str", "tuple[str, ...]")
    }
    not_stored = {name for name in texts if (contract_type.__name__, name) in NOT_STORED}
    cleaned: set[str] = set()
    if issubclass(contract_type, StoredText):
        cleaned = {*contract_type.TEXTS, *contract_type.IDS, *contract_type.LINKS}
    assert texts - not_stored == cleaned


@given(st.text(st.characters(), max_size=400), st.integers(min_value=1, max_value=200))
def test_a_cleaned_text_can_be_stored(text: str, most: int) -> None:
    cleaned = clean_text(text, most=most)
    assert len(cleaned) <= most
    assert "\x00" not in cleaned
    cleaned.encode("utf-8")
    assert clean_text(cleaned, most=most) == cleaned


@given(st.lists(st.text(st.characters(), max_size=300), unique=True, max_size=10))
def test_cleaned_ids_stay_unique(ids: list[str]) -> None:
    cleaned = [clean_id(each) for each in ids]
    assert len(set(cleaned)) == len(ids)
    for each in cleaned:
        assert len(each) <= ID_LENGTH_MAX
        each.encode("utf-8")


def test_an_address_is_kept_whole_or_not_at_all() -> None:
    assert clean_link("https://psp.test/3ds", most=2048) == "https://psp.test/3ds"
    assert clean_link("https://psp.test/" + "x" * 2048, most=2048) == ""
    assert clean_link("https://psp.test/\x00", most=2048) == ""


def test_a_result_says_what_was_cut() -> None:
    result = PspResult(
        outcome=Outcome.DECLINED, message="no\x00t today" + "!" * 900, psp_id="o" * 300, detail="d"
    )
    assert (len(result.message), result.message[:8]) == (500, "no t tod")
    assert len(result.psp_id) == ID_LENGTH_MAX
    assert result.detail == "d; text of the provider was cut or masked: psp_id, message"


def test_a_card_number_is_masked_in_texts_also_at_the_cut_and_not_in_ids() -> None:
    card = "4242424242424242"
    assert clean_text(f"card {card} is lost", most=40) == "card ************4242 is lost"
    for most in range(8, 24):
        assert card[:13] not in clean_text(f"card {card} is lost", most=most)
    assert clean_id(card) == card, "the payment must be found by it"
    result = PspResult(outcome=Outcome.DECLINED, message=f"PAN {card}", detail="d")
    assert result.message == "PAN ************4242"
    assert result.detail == "d; text of the provider was cut or masked: message"


def test_a_clean_result_is_left_alone() -> None:
    result = PspResult(outcome=Outcome.SUCCEEDED, psp_id="sop_1", detail="Grüße\tfrom a bank\n")
    assert (result.psp_id, result.detail) == ("sop_1", "Grüße\tfrom a bank\n")
