"""Stored cards at Adyen: what a setup and a later payment send, what is read, what is deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from psp_adapters.adyen import mapping
from psp_adapters.adyen.adapter import RETURNED, AdyenAdapter
from psp_adapters.contract.credentials import CredentialsRefused
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspRequest,
    PspUnavailable,
)
from psp_adapters.contract.payments import UnknownToken
from psp_adapters.contract.setups import SetupLookUp
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.suites.contract_suite import make_request, send
from psp_adapters.tests.suites.setup_suite import ask
from psp_adapters.tests.support.adyen_face import ACCOUNT, API_KEY, AdyenFace
from psp_adapters.tests.support.sandbox_process import SandboxProcess

GOOD = "shopper-1/GOODCARD00000001"
CHALLENGED = "shopper-1/CHALLENGED000001"
ONCE_CHALLENGED = "shopper-1/ONCECHALLENGED01"


def body_of(request: PspRequest) -> dict[str, Any]:
    return mapping.authorize_body(request, merchant_account=ACCOUNT, pre_authorize=True)


@pytest.mark.parametrize(
    ("terms", "model", "interaction"),
    [
        ({}, "CardOnFile", "ContAuth"),
        ({"off_session": True}, "UnscheduledCardOnFile", "ContAuth"),
        ({"save_for": "on_session"}, "CardOnFile", "Ecommerce"),
        ({"save_for": "off_session"}, "UnscheduledCardOnFile", "Ecommerce"),
    ],
)
def test_each_payment_says_what_the_customer_agreed_to(
    terms: dict[str, Any], model: str, interaction: str
) -> None:
    body = body_of(make_request(OperationKind.AUTHORIZE, token=GOOD, **terms))
    assert (body["recurringProcessingModel"], body["shopperInteraction"]) == (model, interaction)
    assert body.get("storePaymentMethod", False) is ("save_for" in terms)


def test_a_setup_holds_nothing_in_the_currency_of_the_account(face: AdyenFace, kept: Kept) -> None:
    sent: list[dict[str, Any]] = []
    adapter = AdyenAdapter(
        api_key=API_KEY,
        merchant_account=ACCOUNT,
        base_url=face.base_url,
        stored=kept,
        pre_authorize=True,
        setup_currency="CHF",
    )
    answer = face.answer

    def seen(method: str, target: str, headers: Any, body: Any) -> Any:
        sent.append(body)
        return answer(method, target, headers, body)

    face.answer = seen  # type: ignore[method-assign]
    assert adapter.set_up(ask(GOOD), deadline_seconds=5).outcome is Outcome.SUCCEEDED
    adapter.close()
    [body] = sent
    assert body["amount"] == {"currency": "CHF", "value": 0}
    assert body.keys().isdisjoint({"captureDelayHours", "additionalData"})
    with pytest.raises(CredentialsRefused, match="setup_currency"):
        AdyenAdapter(api_key="k", merchant_account=ACCOUNT, stored=kept, setup_currency="euro")


def test_only_a_stored_card_is_set_up(face: AdyenFace, adapter: AdyenAdapter) -> None:
    for token in ("method:ideal", "no-token"):
        refused = adapter.set_up(ask(token), deadline_seconds=5)
        assert (refused.outcome, refused.code) == (Outcome.DECLINED, REQUEST_REFUSED)
    assert face.calls == []


@pytest.mark.parametrize("fail", [False, True], ids=["completed", "failed"])
def test_the_challenge_of_a_setup_ends_by_what_the_customer_brings_or_by_notification(
    kept: Kept, adapter: AdyenAdapter, sandbox: SandboxProcess, fail: bool
) -> None:
    asked = ask(CHALLENGED)
    opened = adapter.set_up(asked, deadline_seconds=5)
    assert (opened.outcome, opened.psp_id) == (Outcome.REQUIRES_ACTION, "")
    plain = SetupLookUp(reference=asked.reference)
    assert adapter.look_up_setup(plain, deadline_seconds=5) is None
    returned = {RETURNED: sandbox.complete_challenge(opened.redirect_url, fail=fail)["id"]}
    of_another = SetupLookUp(reference="setatt_other", returned=returned)
    with pytest.raises(PspUnavailable, match="another reference"):
        adapter.look_up_setup(of_another, deadline_seconds=5)
    kept.stored.clear()
    back = SetupLookUp(reference=asked.reference, returned=returned)
    ended = adapter.look_up_setup(back, deadline_seconds=5)
    assert ended is not None
    expected = (
        (Outcome.DECLINED, "setup_intent_authentication_failure")
        if fail
        else (Outcome.SUCCEEDED, "")
    )
    assert (ended.outcome, ended.code) == expected


def test_a_card_whose_bank_asked_once_is_charged_off_session_without_a_challenge(
    adapter: AdyenAdapter, sandbox: SandboxProcess, order_id: str
) -> None:
    later = {"off_session": True, "challenge_allowed": False, "capture": True}
    early = make_request(
        OperationKind.AUTHORIZE, order_id=f"{order_id}-early", token=ONCE_CHALLENGED, **later
    )
    assert send(adapter, early).outcome is Outcome.DECLINED
    asked = ask(ONCE_CHALLENGED)
    opened = adapter.set_up(asked, deadline_seconds=5)
    returned = {RETURNED: sandbox.complete_challenge(opened.redirect_url)["id"]}
    query = SetupLookUp(reference=asked.reference, returned=returned)
    made = adapter.look_up_setup(query, deadline_seconds=5)
    assert made is not None
    assert made.network_transaction_id
    charge = make_request(
        OperationKind.AUTHORIZE, order_id=order_id, token=ONCE_CHALLENGED, **later
    )
    assert send(adapter, charge).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize("said", [4, "", "************1111", "x" * 65, None])
def test_what_cannot_be_a_network_transaction_id_is_none(said: Any) -> None:
    view = json.loads(json.dumps({"additionalData": {"networkTxReference": said}}))
    assert mapping.network_transaction_id_of(view) == ""
    assert mapping.network_transaction_id_of({"additionalData": said}) == ""


def test_a_deleted_card_is_unknown_and_a_doubt_about_a_deletion_is_told(
    face: AdyenFace, adapter: AdyenAdapter
) -> None:
    face.drop_next("DELETE /storedPaymentMethods/GOODCARD00000001", after=True)
    with pytest.raises(PspUnavailable):
        adapter.release_stored(GOOD, deadline_seconds=5)
    adapter.release_stored(GOOD, deadline_seconds=5)
    with pytest.raises(UnknownToken):
        adapter.find_token(GOOD, deadline_seconds=5)
    assert adapter.find_token("shopper-2/GOODCARD00000001", deadline_seconds=5).brand == "visa"
    calls = len(face.calls)
    with pytest.raises(PspUnavailable):
        adapter.release_stored("method:ideal", deadline_seconds=5)
    assert len(face.calls) == calls


def test_a_deletion_that_is_refused_while_the_card_is_there_is_no_success(
    face: AdyenFace, adapter: AdyenAdapter
) -> None:
    face.cards.refuses_deletions = True
    with pytest.raises(PspUnavailable, match="422"):
        adapter.release_stored(GOOD, deadline_seconds=5)
    assert adapter.find_token(GOOD, deadline_seconds=5).brand == "visa"
