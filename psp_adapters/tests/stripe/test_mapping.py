"""Requests to Stripe and its answers are mapped without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ledger.money import CURRENCY_EXPONENTS, Money, amount_step_minor
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    LookUp,
    OperationKind,
    Outcome,
    PspRequest,
    PspUnavailable,
)
from psp_adapters.stripe import mapping, vocabulary
from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.contract_suite import send
from psp_adapters.tests.support.stripe_double import (
    BASE_URL,
    CREATED,
    EXPIRES,
    adapter_answered,
    intent_view,
)

K = OperationKind
REQUEST = PspRequest(
    kind=K.AUTHORIZE,
    psp_key="key",
    reference="op_1",
    amount=Money(1000, "USD"),
    order_id="o-1",
    token="pm_card_visa",
)
CAPTURE = PspRequest(
    kind=K.CAPTURE,
    psp_key="key",
    reference="op_bbbbbbbbbbbbbbbbbbbbb2",
    amount=Money(700, "USD"),
    psp_payment_id="pi_1",
)
CARD_NUMBER = "4242424242424242"


def error(kind: str = "card_error", **more: Any) -> dict[str, Any]:
    return {"error": {"type": kind, "message": "No.", **more}}


def test_every_field_of_a_good_answer_is_read() -> None:
    adapter, transport = adapter_answered((200, intent_view()))
    result = send(adapter, REQUEST)
    assert (result.outcome, result.psp_id, result.psp_payment_id) == (
        Outcome.SUCCEEDED,
        "pi_1",
        "pi_1",
    )
    assert (result.amount, result.held) == (Money(1000, "USD"), Money(1000, "USD"))
    assert result.expires_at == datetime.fromtimestamp(EXPIRES, UTC)
    assert transport.keys == ["key"]


def test_an_authorization_has_only_the_fields_that_it_needs() -> None:
    body = mapping.authorize_body(replace(REQUEST, capture=True))
    assert body == {
        "amount": 1000,
        "currency": "usd",
        "confirm": True,
        "capture_method": "automatic",
        "payment_method_types": ["card"],
        "payment_method": "pm_card_visa",
        "metadata": {"reference": "op_1", "order_id": "o-1"},
        "expand": ["latest_charge"],
    }
    held = mapping.authorize_body(replace(REQUEST, three_d_secure="any", return_url="https://r"))
    assert (held["capture_method"], held["return_url"]) == ("manual", "https://r")
    assert held["payment_method_options"]["card"] == {
        "request_three_d_secure": "any",
        "request_incremental_authorization": "if_available",
        "request_multicapture": "if_available",
    }
    forbidden = mapping.authorize_body(replace(REQUEST, challenge_allowed=False, return_url="x"))
    assert forbidden["error_on_requires_action"] is True
    assert "return_url" not in forbidden
    ideal = mapping.authorize_body(replace(REQUEST, token="method:ideal", capture=True))
    assert (ideal["payment_method_types"], ideal["payment_method_data"]) == (
        ["ideal"],
        {"type": "ideal"},
    )


def test_a_card_number_in_place_of_a_token_never_leaves_us() -> None:
    adapter, transport = adapter_answered()
    for token in (CARD_NUMBER, "4242 4242 4242 4242", "tok_visa", "pm_../../v1/refunds", ""):
        result = send(adapter, replace(REQUEST, token=token))
        assert (result.outcome, result.code) == (Outcome.DECLINED, REQUEST_REFUSED)
        assert CARD_NUMBER not in result.detail
    assert transport.requests == []
    written = replace(REQUEST, order_id=f"card {CARD_NUMBER}", metadata={"note": CARD_NUMBER})
    assert CARD_NUMBER not in str(mapping.authorize_body(written))


def test_a_key_longer_than_stripe_takes_is_not_sent() -> None:
    adapter, transport = adapter_answered((200, intent_view()))
    assert send(adapter, replace(REQUEST, psp_key="k" * 255)).outcome is Outcome.SUCCEEDED
    assert send(adapter, replace(REQUEST, psp_key="k" * 256)).code == REQUEST_REFUSED
    assert len(transport.requests) == 1


def test_a_key_is_promised_for_a_day() -> None:
    assert StripeAdapter.capabilities.idempotency_window_seconds == 86_400


def test_stripe_counts_as_the_merchant_api_does() -> None:
    for currency in CURRENCY_EXPONENTS:
        amount = Money(7 * amount_step_minor(currency), currency)
        assert mapping.money_of(mapping.AMOUNTS.to_psp(amount), currency.lower()) == amount


def test_every_decline_code_keeps_its_name() -> None:
    for code in vocabulary.DECLINE_CODES:
        said = {"code": "card_declined", "decline_code": code, "message": "No."}
        assert mapping.decline_of(said) == ("card_declined", code, "No.")


@pytest.mark.parametrize(
    ("said", "code", "decline_code"),
    [
        ({"code": "expired_card", "decline_code": "expired_card"}, "expired_card", "expired_card"),
        ({"code": "card_declined"}, "card_declined", "generic_decline"),
        ({"code": "incorrect_cvc"}, "incorrect_cvc", ""),
        ({"code": "brand_new", "decline_code": "brand_new"}, "card_declined", "brand_new"),
        ({"code": None, "decline_code": "<b>"}, "card_declined", "generic_decline"),
        ({"code": "card_declined", "decline_code": 7}, "card_declined", "generic_decline"),
        ({"code": "payment_intent_payment_attempt_failed"}, "processing_error", ""),
    ],
)
def test_an_unknown_decline_is_kept_as_it_is_under_a_generic_code(
    said: dict[str, Any], code: str, decline_code: str
) -> None:
    adapter, _ = adapter_answered((402, error(**said)))
    result = send(adapter, REQUEST)
    assert (result.outcome, result.code, result.decline_code) == (
        Outcome.DECLINED,
        code,
        decline_code,
    )
    assert str(said["code"] or "") in result.detail


def test_a_decline_names_the_payment_that_it_left() -> None:
    left = intent_view(status="requires_payment_method", latest_charge=None)
    adapter, _ = adapter_answered((402, error(code="card_declined", payment_intent=left)))
    assert send(adapter, REQUEST).psp_payment_id == "pi_1"
    other = left | {"metadata": {"reference": "op_9"}}
    adapter, _ = adapter_answered((402, error(code="card_declined", payment_intent=other)))
    assert send(adapter, REQUEST).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, error("invalid_request_error", code="parameter_unknown"), "DECLINED", "refused"),
        (404, error("invalid_request_error", code="resource_missing"), "DECLINED", "refused"),
        (
            400,
            error("invalid_request_error", code="charge_expired_for_capture"),
            "DECLINED",
            "charge_expired_for_capture",
        ),
        (
            400,
            error("invalid_request_error", code="payment_intent_unexpected_state"),
            "DECLINED",
            "processing_error",
        ),
        (400, error("invalid_request_error"), "DECLINED", "processing_error"),
        (400, error("idempotency_error"), "UNKNOWN", ""),
        (409, error("idempotency_error", code="idempotency_key_in_use"), "UNKNOWN", ""),
        (424, error("api_error"), "UNKNOWN", ""),
        (500, error("api_error"), "UNKNOWN", ""),
        (503, "<html>", "UNKNOWN", ""),
        (302, "", "UNKNOWN", ""),
        (400, "[]", "UNKNOWN", ""),
        (402, "half", "UNKNOWN", ""),
        (401, error("invalid_request_error"), "NOT_SENT", ""),
        (403, error("invalid_request_error"), "UNKNOWN", ""),
        (429, error("invalid_request_error", code="rate_limit"), "NOT_SENT", ""),
        (429, error("invalid_request_error", code="lock_timeout"), "UNKNOWN", ""),
        (402, error(payment_intent=intent_view(status="succeeded")), "UNKNOWN", ""),
        (200, "[]", "UNKNOWN", ""),
        (200, "{}", "UNKNOWN", ""),
        (200, "no JSON", "UNKNOWN", ""),
        (200, "\x00", "UNKNOWN", ""),
    ],
)
def test_each_answer_to_a_capture_has_its_outcome(
    status: int, body: Any, outcome: str, code: str
) -> None:
    adapter, _ = adapter_answered((status, body))
    result = send(adapter, CAPTURE)
    assert result.outcome is Outcome[outcome]
    assert result.code == (REQUEST_REFUSED if code == "refused" else code)
    assert result.retry_after_seconds == (7.0 if outcome == "NOT_SENT" and status == 429 else None)
    assert result.contradicts_us == (status == 400 and "idempotency_error" in str(body))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"object": "charge"},
        {"status": "splendid"},
        {"status": None},
        {"metadata": {"reference": "op_9"}},
        {"metadata": None},
        {"amount": 999},
        {"amount": "1000"},
        {"amount": 1000.0},
        {"amount": True},
        {"currency": "eur"},
        {"currency": None},
        {"created": "today"},
        {"created": 10**20},
        {"latest_charge": "ch_1"},
        {"latest_charge": []},
        {"amount_received": None},
    ],
)
def test_an_answer_that_is_not_about_the_request_is_unknown(changes: dict[str, Any]) -> None:
    adapter, _ = adapter_answered((200, intent_view(**changes)))
    result = send(adapter, REQUEST)
    assert result.outcome is Outcome.UNKNOWN
    assert result.detail


def test_text_of_stripe_is_cleaned_before_it_is_stored() -> None:
    said = f"\x00sk_test_abcdef {CARD_NUMBER} pi_1_secret_xyz " + "x" * 900
    adapter, _ = adapter_answered(
        (
            402,
            error(code="card_declined")
            | {"error": {"type": "card_error", "code": "card_declined", "message": said}},
        )
    )
    result = send(adapter, REQUEST)
    for stored in (result.message, result.detail):
        assert len(stored) <= 500
        for secret in ("\x00", "abcdef", CARD_NUMBER, "xyz"):
            assert secret not in stored


@pytest.mark.parametrize("status", ["requires_capture", "succeeded", "processing"])
def test_a_refusal_that_shows_a_payment_which_holds_money_is_no_decline(status: str) -> None:
    left = intent_view(status=status)
    adapter, _ = adapter_answered((402, error(code="card_declined", payment_intent=left)))
    assert send(adapter, REQUEST).outcome is Outcome.UNKNOWN


def test_no_text_of_the_merchant_is_read_as_a_note_of_ours() -> None:
    written = {"order_id": "capture 1000", "note": "void 1000", "op_2": "increment 500"}
    assert mapping.notes_of(intent_view(metadata=written)) == []
    ours = f"op_{'b' * 22}"
    request = replace(REQUEST, metadata={ours: "capture 900", "reference": "x", "note": "n"})
    sent = mapping.authorize_body(request)["metadata"]
    assert sent == {"note": "n", "order_id": "o-1", "reference": "op_1"}


def test_an_increment_sends_the_new_total_once() -> None:
    request = replace(CAPTURE, kind=K.INCREMENT, amount=Money(500, "USD"))
    noted = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "increment 500"}
    after = intent_view(amount=1500, amount_capturable=1500, metadata=noted)
    adapter, transport = adapter_answered((200, intent_view()), (200, after), (200, after))
    for _ in range(2):
        result = send(adapter, request)
        assert (result.outcome, result.amount) == (Outcome.SUCCEEDED, Money(500, "USD"))
        assert result.held == Money(1500, "USD")
    paths = [path for _, path, _ in transport.requests]
    intent = "/v1/payment_intents/pi_1"
    assert paths == [intent, f"{intent}/increment_authorization", intent]
    assert transport.requests[1][2]["amount"] == "1500"


def test_every_call_names_the_connected_account() -> None:
    _, transport = adapter_answered((200, intent_view()), (200, intent_view()))
    adapter = StripeAdapter(
        api_key="sk_test_double", base_url=BASE_URL, account_id="acct_1", transport=transport
    )
    send(adapter, REQUEST)
    adapter.look_up(LookUp(kind=K.AUTHORIZE, reference="", psp_id="pi_1"), deadline_seconds=1)
    assert transport.accounts == ["acct_1", "acct_1"]
    own, transport = adapter_answered((200, intent_view()))
    send(own, REQUEST)
    assert transport.accounts == [""]


@pytest.mark.parametrize("changes", [{"livemode": True}, {"metadata": {"reference": "op_9"}}])
def test_a_contradiction_found_by_a_look_up_is_for_an_operator(changes: dict[str, Any]) -> None:
    listed = {"data": [intent_view(livemode=True)], "has_more": False, "object": "list"}
    for answer, psp_id in ((intent_view(**changes), "pi_1"), (listed, "")):
        adapter, _ = adapter_answered((200, answer))
        query = LookUp(kind=K.AUTHORIZE, reference="op_1", psp_id=psp_id)
        found = adapter.look_up(query, deadline_seconds=1)
        assert found is not None
        assert (found.outcome, found.contradicts_us) == (Outcome.UNKNOWN, True)
    adapter, _ = adapter_answered((200, intent_view(livemode=None, status=None)))
    with pytest.raises(PspUnavailable):
        adapter.look_up(query, deadline_seconds=1)


def test_an_answer_of_the_other_mode_is_for_an_operator() -> None:
    adapter, _ = adapter_answered((200, intent_view(livemode=True)))
    result = send(adapter, REQUEST)
    assert (result.outcome, result.contradicts_us) == (Outcome.UNKNOWN, True)
    adapter, _ = adapter_answered((200, intent_view(livemode=False)))
    assert send(adapter, REQUEST).outcome is Outcome.SUCCEEDED


def test_an_increment_is_not_sent_while_the_present_total_is_unknown() -> None:
    adapter, transport = adapter_answered((500, error("api_error")))
    assert send(adapter, replace(CAPTURE, kind=K.INCREMENT)).outcome is Outcome.NOT_SENT
    assert [method for method, _, _ in transport.requests] == ["GET"]


def test_a_void_leaves_its_note_first_and_is_not_sent_without_it() -> None:
    void = replace(CAPTURE, kind=K.VOID, amount=Money(1000, "USD"))
    noted = {"reference": "op_1", "op_bbbbbbbbbbbbbbbbbbbbb2": "void 1000"}
    canceled = intent_view(status="canceled", amount_capturable=0, metadata=noted)
    adapter, transport = adapter_answered((200, intent_view(metadata=noted)), (200, canceled))
    assert send(adapter, void).amount == Money(1000, "USD")
    assert transport.requests[0][2] == {"metadata[op_bbbbbbbbbbbbbbbbbbbbb2]": "void 1000"}
    assert transport.keys == ["key:note", "key"]
    adapter, transport = adapter_answered((500, error("api_error")))
    assert send(adapter, void).outcome is Outcome.NOT_SENT
    assert len(transport.requests) == 1


def test_a_reference_that_stripe_has_twice_shows_both() -> None:
    twice = {"data": [intent_view(id="pi_2"), intent_view()], "has_more": False, "object": "list"}
    adapter, _ = adapter_answered((200, twice))
    query = LookUp(kind=K.AUTHORIZE, reference="op_1")
    found = adapter.look_up(query, deadline_seconds=1)
    assert found is not None
    assert (found.psp_id, [each.psp_id for each in found.also_found]) == ("pi_1", ["pi_2"])


def test_a_void_by_reference_lists_since_the_payment_was_sent_and_names_a_second_one() -> None:
    noted = intent_view(metadata={"reference": "op_1", CAPTURE.reference: "void 700"})
    twice = {"data": [intent_view(id="pi_2"), intent_view()], "has_more": False}
    canceled = noted | {"status": "canceled", "amount_capturable": 0}
    adapter, transport = adapter_answered((200, twice), (200, noted), (200, canceled))
    sent_at = datetime.fromtimestamp(CREATED, UTC)
    void = replace(CAPTURE, kind=K.VOID, psp_payment_id="", payment_reference="op_1")
    voided = send(adapter, replace(void, payment_sent_at=sent_at))
    assert voided.outcome is Outcome.SUCCEEDED
    assert [each.psp_id for each in voided.also_found] == ["pi_2"]
    assert transport.requests[0][2]["created[gte]"] == str(CREATED - 300)


def test_a_list_is_read_page_by_page_and_never_given_up_as_not_found() -> None:
    page = {"data": [intent_view(metadata={})], "has_more": True, "object": "list"}
    adapter, transport = adapter_answered(*[(200, page)] * 50)
    query = LookUp(kind=K.AUTHORIZE, reference="op_1")
    with pytest.raises(PspUnavailable, match="too long"):
        adapter.look_up(query, deadline_seconds=1)
    assert transport.requests[1][2]["starting_after"] == "pi_1"


def test_what_stripe_cannot_look_up_without_the_payment_is_unavailable() -> None:
    adapter, transport = adapter_answered()
    for kind in (K.CAPTURE, K.INCREMENT, K.VOID, K.REFUND):
        with pytest.raises(PspUnavailable):
            adapter.look_up(
                LookUp(kind=kind, reference="op_bbbbbbbbbbbbbbbbbbbbb2"), deadline_seconds=1
            )
    assert transport.requests == []


def test_stripe_cannot_forbid_an_operation() -> None:
    empty = {"data": [], "has_more": False, "object": "list"}
    adapter, _ = adapter_answered((200, empty), (200, intent_view()))
    with pytest.raises(PspUnavailable):
        adapter.fence(LookUp(kind=K.AUTHORIZE, reference="op_1"), deadline_seconds=1)
    query = LookUp(kind=K.AUTHORIZE, reference="op_1", psp_id="pi_1")
    assert adapter.fence(query, deadline_seconds=1) is not None


def test_a_method_without_a_token_is_described_without_a_call() -> None:
    adapter, transport = adapter_answered()
    assert adapter.find_token("method:ideal", deadline_seconds=1).method_type == "ideal"
    assert transport.requests == []
