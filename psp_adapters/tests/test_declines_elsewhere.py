"""Which declines of which PSP another account may be tried for: each code of each table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from ledger.money import Money
from psp_adapters.adyen import mapping as adyen
from psp_adapters.adyen import vocabulary as adyen_words
from psp_adapters.adyen.stored_cards import setup_result
from psp_adapters.contract.answers import Answer
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest, PspResult
from psp_adapters.contract.setups import SetupRequest
from psp_adapters.mollie import mapping as mollie
from psp_adapters.mollie import vocabulary as mollie_words
from psp_adapters.sandbox import mapping as sandbox
from psp_adapters.sandbox_psp.tokens import TOKENS
from psp_adapters.stripe import mapping as stripe
from psp_adapters.stripe import saved_cards as stripe_setups
from psp_adapters.stripe import vocabulary as stripe_words

_Answer = Callable[[str], PspResult]
ABOUT_THE_WAY: Final = frozenset(
    {"issuer_not_available", "processing_error", "reenter_transaction", "try_again_later"}
)
"""Decline codes that judge neither the card nor its holder, for every PSP the same."""


def charge() -> PspRequest:
    return PspRequest(
        kind=OperationKind.AUTHORIZE,
        psp_key="op_1",
        reference="op_1",
        amount=Money(10_000, "EUR"),
        token="token",
    )


def at_stripe(said: str, code: str = "card_declined", kind: str = "card_error") -> PspResult:
    error = {"type": kind, "code": code, "decline_code": said, "message": "No."}
    answer = Answer(status=402 if kind == "card_error" else 400, headers={}, body={"error": error})
    return stripe.failure_of(charge(), answer)


def at_adyen(number: str, text: str = "") -> PspResult:
    body = {
        "resultCode": "Refused",
        "refusalReasonCode": number,
        "refusalReason": text,
        "pspReference": "8816",
    }
    return adyen.authorization_of(body, reference="op_1", sent=None)


def refused_by_adyen(code: str) -> PspResult:
    body = {"errorCode": code, "errorType": "validation", "message": "No.", "status": 422}
    return adyen.failure_of(charge(), Answer(status=422, headers={}, body=body))


def at_mollie(reason: str) -> PspResult:
    body = {"status": 422, "title": "No", "detail": "No.", "extra": {"failureReason": reason}}
    return mollie.failure_of(charge(), Answer(status=422, headers={}, body=body))


def at_the_sandbox(said: str) -> PspResult:
    view: dict[str, Any] = {
        "kind": "authorize",
        "reference": "op_1",
        "id": "op",
        "payment_id": "pay",
        "status": "declined",
        "amount_minor": 10_000,
        "currency": "EUR",
        "payment": {"expires_at": "2026-01-01T00:00:00+00:00"},
        "error": {"code": "card_declined", "decline_code": said},
    }
    return sandbox.result_of_operation(view, kind=OperationKind.AUTHORIZE, reference="op_1")


DOCS: Final = Path(__file__).parents[2] / "docs"
DECLINES: Final[dict[str, tuple[_Answer, list[str], frozenset[str]]]] = {
    "stripe": (at_stripe, sorted(stripe_words.DECLINE_CODES), stripe_words.ELSEWHERE),
    "adyen": (at_adyen, sorted(adyen_words.REFUSALS), adyen_words.ELSEWHERE),
    "mollie": (at_mollie, sorted(mollie_words.DECLINES), mollie_words.ELSEWHERE),
    "sandbox": (
        at_the_sandbox,
        sorted({t.decline.decline_code for t in TOKENS.values() if t.decline} | ABOUT_THE_WAY),
        sandbox.ELSEWHERE,
    ),
}


@pytest.mark.parametrize("psp", DECLINES)
def test_only_what_judges_neither_card_nor_holder_may_be_tried_elsewhere(psp: str) -> None:
    answer, codes, table = DECLINES[psp]
    for code in codes:
        result = answer(code)
        assert result.outcome is Outcome.DECLINED
        assert result.elsewhere == (code in table), code
        assert result.may_be_charged_elsewhere == result.elsewhere
        assert not result.elsewhere or result.decline_code in ABOUT_THE_WAY, code


@pytest.mark.parametrize("psp", DECLINES)
@pytest.mark.parametrize("code", ["", "never_seen_before", "fraudulent", "do_not_honor", "999"])
def test_a_code_that_no_table_names_is_a_hard_decline(psp: str, code: str) -> None:
    assert not DECLINES[psp][0](code).elsewhere


def test_a_decline_code_outweighs_the_code_of_its_error() -> None:
    assert not at_stripe("fraudulent", code="processing_error").elsewhere
    assert at_stripe("", code="processing_error").elsewhere
    assert at_adyen("", text="ISSUER_UNAVAILABLE").elsewhere
    assert not at_adyen("20", text="issuer unavailable").elsewhere


def test_what_the_psp_refuses_for_this_account_may_be_tried_at_another() -> None:
    for code in sorted(stripe_words.ACCOUNT_REFUSALS):
        assert at_stripe("", code=code, kind="invalid_request_error").elsewhere
    for code in sorted(adyen_words.ACCOUNT_REFUSALS):
        assert refused_by_adyen(code).elsewhere
    assert not at_stripe("", code="parameter_missing", kind="invalid_request_error").elsewhere
    assert not refused_by_adyen("702").elsewhere


def test_a_setup_goes_on_by_the_same_tables_as_a_charge() -> None:
    asked = SetupRequest(psp_key="seti_1", reference="seti_1", token="t", usage="off_session")
    error = {"type": "card_error", "code": "card_declined", "message": "No."}
    for said in (*sorted(stripe_words.ELSEWHERE), "fraudulent", "never_seen_before"):
        body = {"error": {**error, "decline_code": said}}
        answer = Answer(status=402, headers={}, body=body)
        kept = stripe_setups.result_of_answer(asked, answer, livemode=False)
        assert kept.outcome is Outcome.DECLINED
        assert kept.may_be_set_up_elsewhere == (said in stripe_words.ELSEWHERE)
    for number in ("4", "9", "21", "20", "999"):
        verified = setup_result(at_adyen(number))
        assert verified.may_be_set_up_elsewhere == (number in adyen_words.ELSEWHERE)


def test_only_a_charge_that_certainly_was_not_made_may_be_made_elsewhere() -> None:
    for outcome in Outcome:
        result = PspResult(outcome=outcome, elsewhere=True)
        certain = outcome in (Outcome.DECLINED, Outcome.NOT_SENT)
        assert result.may_be_charged_elsewhere == certain


@pytest.mark.parametrize(
    ("page", "codes"),
    [
        ("stripe", stripe_words.ELSEWHERE | stripe_words.ACCOUNT_REFUSALS),
        ("adyen", adyen_words.ELSEWHERE | adyen_words.ACCOUNT_REFUSALS),
        ("mollie", mollie_words.ELSEWHERE),
        ("sandbox-psp", sandbox.ELSEWHERE),
    ],
)
def test_the_page_of_each_psp_names_these_codes(page: str, codes: frozenset[str]) -> None:
    text = (DOCS / f"{page}.md").read_text()
    assert [code for code in sorted(codes) if f"`{code}`" not in text] == []
