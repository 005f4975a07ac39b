"""Cards kept at Stripe: what is sent, and what is made of each answer that localstripe has not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspUnavailable,
)
from psp_adapters.contract.payments import UnknownToken
from psp_adapters.contract.setups import SetupLookUp, SetupRequest, SetupResult
from psp_adapters.tests.suites.contract_suite import make_request, send
from psp_adapters.tests.support.stripe_double import adapter_answered, intent_view

KEPT = "cus_1/pm_1"
CUSTOMER = (200, {"id": "cus_1", "object": "customer"})
ASKED = SetupRequest(
    psp_key="key-1",
    reference="setatt_1",
    token="pm_1",
    usage="off_session",
    three_d_secure="any",
    return_url="https://shop.example/back",
)


def setup_view(**changes: Any) -> dict[str, Any]:
    """A setup intent as Stripe shows it."""
    return {
        "id": "seti_1",
        "object": "setup_intent",
        "status": "succeeded",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "metadata": {"reference": "setatt_1"},
        "last_setup_error": None,
        "next_action": None,
    } | changes


def refusal(status: int, kind: str, code: str = "", **more: Any) -> tuple[int, Any]:
    return status, {"error": {"type": kind, "code": code, "message": "Said so."} | more}


DECLINE = {"code": "card_declined", "decline_code": "do_not_honor", "message": "Declined."}


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        ((200, setup_view()), Outcome.SUCCEEDED, KEPT),
        ((200, setup_view(payment_method=None)), Outcome.UNKNOWN, ""),
        ((200, setup_view(metadata={"reference": "another"})), Outcome.UNKNOWN, ""),
        ((200, setup_view(livemode=True)), Outcome.UNKNOWN, ""),
        ((200, setup_view(status="processing")), Outcome.UNKNOWN, ""),
        ((200, {}), Outcome.UNKNOWN, ""),
        (
            (200, setup_view(status="requires_payment_method", last_setup_error=DECLINE)),
            Outcome.DECLINED,
            "card_declined",
        ),
        (refusal(402, "card_error", **DECLINE), Outcome.DECLINED, "card_declined"),
        (
            refusal(402, "card_error", code="setup_intent_authentication_failure"),
            Outcome.DECLINED,
            "setup_intent_authentication_failure",
        ),
        (refusal(400, "invalid_request_error"), Outcome.DECLINED, REQUEST_REFUSED),
        (refusal(400, "idempotency_error"), Outcome.UNKNOWN, ""),
        (refusal(403, "invalid_request_error"), Outcome.UNKNOWN, ""),
        (refusal(409, "invalid_request_error"), Outcome.UNKNOWN, ""),
        (refusal(429, "invalid_request_error", "lock_timeout"), Outcome.UNKNOWN, ""),
        (refusal(429, "rate_limit_error"), Outcome.NOT_SENT, ""),
        (refusal(401, "invalid_request_error"), Outcome.NOT_SENT, ""),
        ((500, {}), Outcome.UNKNOWN, ""),
    ],
)
def test_the_answer_to_a_setup_has_one_meaning(
    answer: tuple[int, Any], outcome: Outcome, said: str
) -> None:
    adapter, _ = adapter_answered(CUSTOMER, answer)
    result = adapter.set_up(ASKED, deadline_seconds=5)
    assert result.outcome is outcome
    assert (result.stored_token or result.code) == said
    assert outcome is Outcome.SUCCEEDED or result.detail or result.message


def test_a_setup_is_sent_with_a_customer_of_its_own() -> None:
    adapter, transport = adapter_answered(CUSTOMER, (200, setup_view()))
    adapter.set_up(ASKED, deadline_seconds=5)
    (_, customers, about), (_, setups, body) = transport.requests
    assert (customers, about) == ("/v1/customers", {"metadata[reference]": "setatt_1"})
    assert setups == "/v1/setup_intents"
    assert body == {
        "confirm": "true",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "payment_method_types[0]": "card",
        "usage": "off_session",
        "metadata[reference]": "setatt_1",
        "return_url": "https://shop.example/back",
        "payment_method_options[card][request_three_d_secure]": "any",
    }
    assert transport.keys == ["key-1:customer", "key-1"]


def test_a_card_that_was_kept_is_set_up_again_with_its_customer() -> None:
    adapter, transport = adapter_answered((200, setup_view()))
    result = adapter.set_up(replace(ASKED, token=KEPT), deadline_seconds=5)
    assert result.stored_token == KEPT
    [(_, path, body)] = transport.requests
    assert (path, body["customer"], body["payment_method"]) == (
        *("/v1/setup_intents", "cus_1", "pm_1"),
    )


@pytest.mark.parametrize("answer", [(500, {}), (429, {}), (401, {}), (200, {}), (200, [])])
def test_without_a_customer_nothing_else_is_sent(answer: tuple[int, Any]) -> None:
    adapter, transport = adapter_answered(answer, answer)
    assert adapter.set_up(ASKED, deadline_seconds=5).outcome is Outcome.NOT_SENT
    charge = make_request(
        OperationKind.AUTHORIZE, token="pm_1", order_id="o", save_for="off_session"
    )
    result = send(adapter, charge)
    assert result.outcome is Outcome.NOT_SENT
    assert (result.retry_after_seconds is not None) is (answer[0] == 429)
    assert {path for _, path, _ in transport.requests} == {"/v1/customers"}


def test_a_charge_that_keeps_its_card_says_what_charges_it_later() -> None:
    charge = make_request(
        OperationKind.AUTHORIZE, token="pm_1", order_id="o", save_for="on_session"
    )
    card = {"network_transaction_id": "nti_1"}
    view = intent_view(
        metadata={"reference": charge.reference},
        setup_future_usage="on_session",
        customer="cus_1",
        payment_method="pm_1",
    )
    view["latest_charge"]["payment_method_details"]["card"] = card
    adapter, transport = adapter_answered(CUSTOMER, (200, view))
    result = send(adapter, charge)
    assert (result.outcome, result.stored_token) == (Outcome.SUCCEEDED, KEPT)
    assert result.network_transaction_id == "nti_1"
    body = transport.requests[1][2]
    assert (body["customer"], body["setup_future_usage"]) == ("cus_1", "on_session")


def test_a_kept_card_is_charged_off_session_with_its_customer() -> None:
    charge = make_request(
        OperationKind.AUTHORIZE,
        token=KEPT,
        order_id="o",
        off_session=True,
        challenge_allowed=False,
        network_transaction_id="nti_1",
    )
    view = intent_view(metadata={"reference": charge.reference})
    view["latest_charge"]["payment_method_details"]["card"] = {"network_transaction_id": "nti_2"}
    adapter, transport = adapter_answered((200, view))
    made = send(adapter, charge)
    assert (made.outcome, made.network_transaction_id) == (Outcome.SUCCEEDED, "nti_2")
    [(_, _, body)] = transport.requests
    assert (body["customer"], body["payment_method"]) == ("cus_1", "pm_1")
    assert body["off_session"] == "true"
    assert "error_on_requires_action" not in body


def test_a_merchant_cannot_name_the_card_of_a_customer_at_stripe() -> None:
    adapter, transport = adapter_answered()
    with pytest.raises(UnknownToken):
        adapter.find_token(KEPT, deadline_seconds=5)
    assert transport.requests == []


def test_a_setup_is_found_in_the_list_by_our_reference() -> None:
    others = setup_view(id="seti_2", metadata={})
    listed = {"object": "list", "data": [others, setup_view()], "has_more": False}
    adapter, transport = adapter_answered((404, {}), (200, listed))
    query = SetupLookUp(reference="setatt_1", psp_id="seti_gone")
    result = adapter.look_up_setup(query, deadline_seconds=5)
    assert isinstance(result, SetupResult)
    assert (result.psp_id, result.stored_token) == ("seti_1", KEPT)
    assert [path for _, path, _ in transport.requests] == [
        *("/v1/setup_intents/seti_gone", "/v1/setup_intents"),
    ]


def test_a_card_is_detached_once_and_a_doubt_is_told() -> None:
    detached = (200, {"id": "pm_1", "object": "payment_method", "customer": None})
    gone = refusal(404, "invalid_request_error", "resource_missing")
    adapter, transport = adapter_answered(detached, gone, (500, {}))
    adapter.release_stored(KEPT, deadline_seconds=5)
    adapter.release_stored(KEPT, deadline_seconds=5)
    with pytest.raises(PspUnavailable):
        adapter.release_stored(KEPT, deadline_seconds=5)
    assert {path for _, path, _ in transport.requests} == {"/v1/payment_methods/pm_1/detach"}
    assert len(set(transport.keys)) == 3, "a stored 5xx would be repeated for a key used before"
