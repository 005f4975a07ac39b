"""Adyen's answers in the contract's terms, and our requests in Adyen's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledger.money import Money
from psp_adapters.adyen import mapping, vocabulary
from psp_adapters.adyen.mapping import result_of_answer
from psp_adapters.contract.answers import Answer
from psp_adapters.contract.operations import REQUEST_REFUSED, OperationKind, Outcome, PspResult
from psp_adapters.stripe.vocabulary import CODES, DECLINE_CODES
from psp_adapters.tests.suites.contract_suite import make_request

K = OperationKind
ACCOUNT = "FaceMerchantECOM"
CHARGE = make_request(
    K.AUTHORIZE, token="shopper-1/GOODCARD00000001", return_url="https://shop.example/back"
)
CAPTURE = make_request(K.CAPTURE, psp_payment_id="PAYMENT000000001")


def body_of(**changes: Any) -> dict[str, Any]:
    return mapping.authorize_body(
        replace(CHARGE, **changes), merchant_account=ACCOUNT, pre_authorize=False
    )


def authorized(status: int = 200, **body: Any) -> PspResult:
    view = {"pspReference": "PAYMENT000000001", "merchantReference": CHARGE.reference, **body}
    return result_of_answer(CHARGE, Answer(status, {}, view))


def refused(
    status: int, code: str = "", *, transient: str = "", request: Any = CHARGE
) -> PspResult:
    headers = {"transient-error": transient} if transient else {}
    body = {"status": status, "errorCode": code, "errorType": "validation", "message": "no"}
    return result_of_answer(request, Answer(status, headers, body))


def test_a_hold_asks_for_a_manual_capture_and_a_sale_for_one_at_once() -> None:
    held, sold = body_of(), body_of(capture=True)
    assert held["additionalData"] == {"manualCapture": "true"}
    assert "captureDelayHours" not in held
    assert (sold["captureDelayHours"], "additionalData" in sold) == (0, False)
    assert held["amount"] == {"currency": "USD", "value": 1000}
    early = mapping.authorize_body(CHARGE, merchant_account=ACCOUNT, pre_authorize=True)
    assert early["additionalData"]["authorisationType"] == "PreAuth"


@pytest.mark.parametrize(
    ("changes", "attempt"),
    [
        ({}, None),
        ({"three_d_secure": "any"}, "always"),
        ({"challenge_allowed": False}, "never"),
        ({"return_url": ""}, "never"),
    ],
)
def test_the_customer_is_challenged_only_where_a_page_can_be_shown(
    changes: dict[str, Any], attempt: str | None
) -> None:
    body = body_of(**changes)
    assert body["authenticationData"].get("attemptAuthentication") == attempt
    assert body["returnUrl"]


def test_a_merchants_texts_are_masked_and_within_adyens_limits() -> None:
    metadata = {"note": "card 4242 4242 4242 4242", "x" * 21: "left out", "long": "y" * 200}
    texts = body_of(order_id="o-1", metadata=metadata)["metadata"]
    assert texts["order_id"] == "o-1"
    assert "4242 4242 4242" not in texts["note"]
    assert (len(texts["long"]), len(texts)) == (80, 3)


def test_other_minor_units_are_converted() -> None:
    assert mapping.amount_of(Money(5000, "CLP"))["value"] == 500_000
    assert mapping.amount_of(Money(5000, "IDR"))["value"] == 50
    assert mapping.money_of({"currency": "CLP", "value": 500_000}) == Money(5000, "CLP")


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ("Authorised", Outcome.SUCCEEDED),
        ("Received", Outcome.PENDING),
        ("Pending", Outcome.PENDING),
        ("Refused", Outcome.DECLINED),
        ("Cancelled", Outcome.DECLINED),
        ("Error", Outcome.UNKNOWN),
        ("PartiallyAuthorised", Outcome.UNKNOWN),
        ("ChallengeShopper", Outcome.UNKNOWN),
        ("SomethingNew", Outcome.UNKNOWN),
    ],
)
def test_every_result_code_is_an_outcome_and_a_new_one_is_unknown(
    said: str, outcome: Outcome
) -> None:
    assert authorized(resultCode=said).outcome is outcome


def test_a_contradiction_is_unknown() -> None:
    amount = {"currency": "USD", "value": 1}
    assert authorized(resultCode="Authorised", amount=amount).outcome is Outcome.UNKNOWN
    other = authorized(resultCode="Authorised", merchantReference="op_other")
    assert (other.outcome, "another reference" in other.detail) == (Outcome.UNKNOWN, True)
    assert authorized().outcome is Outcome.UNKNOWN
    action = {"type": "redirect", "method": "POST", "url": "https://bank.example"}
    assert authorized(resultCode="RedirectShopper", action=action).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("number", sorted(vocabulary.REFUSALS, key=int))
def test_every_refusal_has_a_code_of_the_merchant_api(number: str) -> None:
    said, code, decline_code = vocabulary.REFUSALS[number]
    result = authorized(resultCode="Refused", refusalReasonCode=number, refusalReason="?")
    assert (result.code, result.decline_code) == (code, decline_code)
    assert code in CODES
    assert decline_code in DECLINE_CODES | {""}
    assert result.message
    by_text = vocabulary.decline_of(refusal=said.upper().replace(" ", "_"))
    assert vocabulary.REFUSALS[number][1:] == by_text[:2] or said == "cancelled"


def test_an_unknown_refusal_is_generic_and_its_text_is_kept_for_operators() -> None:
    result = authorized(resultCode="Refused", refusalReasonCode="999", refusalReason="new one")
    assert (result.code, result.decline_code) == ("card_declined", "generic_decline")
    assert "999" in result.detail
    assert "new one" in result.detail
    assert "new one" not in result.message


@pytest.mark.parametrize(
    ("status", "code", "transient", "outcome"),
    [
        (401, "000", "", Outcome.NOT_SENT),
        (403, "010", "", Outcome.NOT_SENT),
        (429, "", "", Outcome.NOT_SENT),
        (422, "704", "true", Outcome.UNKNOWN),
        (422, "704", "", Outcome.UNKNOWN),
        (409, "704", "", Outcome.UNKNOWN),
        (422, "800", "true", Outcome.UNKNOWN),
        (422, "800", "false", Outcome.DECLINED),
        (400, "702", "", Outcome.DECLINED),
        (422, "", "", Outcome.UNKNOWN),
        (500, "905", "", Outcome.UNKNOWN),
        (503, "", "true", Outcome.UNKNOWN),
        (302, "", "", Outcome.UNKNOWN),
    ],
)
def test_only_a_certain_refusal_is_a_decline(
    status: int, code: str, transient: str, outcome: Outcome
) -> None:
    result = refused(status, code, transient=transient)
    assert result.outcome is outcome
    if outcome is Outcome.DECLINED:
        assert result.code == REQUEST_REFUSED
        assert refused(status, code, request=CAPTURE).code == "processing_error"


def test_a_change_is_accepted_only_as_it_was_asked_for() -> None:
    good = {
        "status": "received",
        "pspReference": "CAPTURE000000001",
        "paymentPspReference": CAPTURE.psp_payment_id,
        "reference": CAPTURE.reference,
        "amount": {"currency": "USD", "value": 1000},
    }
    accepted = result_of_answer(CAPTURE, Answer(201, {}, good))
    assert (accepted.outcome, accepted.psp_id) == (Outcome.PENDING, "CAPTURE000000001")
    for name, value in {
        "status": "done",
        "pspReference": "",
        "paymentPspReference": "OTHER",
        "reference": "op_other",
        "amount": {"currency": "USD", "value": 999},
    }.items():
        answer = Answer(201, {}, {**good, name: value})
        assert result_of_answer(CAPTURE, answer).outcome is Outcome.UNKNOWN, name


def test_a_token_names_a_customer_and_a_stored_method() -> None:
    assert mapping.token_parts("shopper-1/GOODCARD00000001") == ("shopper-1", "GOODCARD00000001")
    for bad in ("", "GOODCARD00000001", "ab/GOODCARD00000001", "shopper-1/../x", "method:paypal"):
        assert not mapping.is_token(bad)
    assert mapping.is_token("method:ideal")


def test_a_key_of_adyens_form_is_made_once_for_all_repeats() -> None:
    key = mapping.key_of("op_one")
    assert (len(key), mapping.key_of("op_one"), mapping.key_of("op_two") != key) == (36, key, True)
    assert mapping.redacted("X-API-Key AQEyhmfxK4_abc== Bearer abc") == (
        "X-API-Key [redacted] [redacted]"
    )
