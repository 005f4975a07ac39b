"""Every class of error that merchants catch, raised by the Python SDK for the right reasons."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import stripe

from payments.services.commands.operators import merchants
from payments.tests.http.support.storefront import Storefront, Tables, new_order, unknown_id
from payments.tests.support.factories import TESTS

DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": ("card_declined", "stolen_card"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": (
        "card_declined",
        "card_velocity_exceeded",
    ),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
}


@pytest.mark.parametrize("key", ["sk_test_" + "0" * 33, "sk_live_" + "a" * 33, "pk_test_nothing"])
def test_a_wrong_key_is_an_authentication_error(storefront: Storefront, key: str) -> None:
    storefront.secret_key = key
    with pytest.raises(stripe.AuthenticationError) as refused:
        storefront.stripe.v1.payment_intents.create(storefront.order())
    assert refused.value.http_status == 401
    assert key not in str(refused.value)
    assert storefront.effects() == []


def test_a_revoked_key_is_refused_by_every_worker(storefront: Storefront, tables: Tables) -> None:
    key, secret_key = merchants.issue_api_key(
        merchant=storefront.merchant, livemode=False, author=TESTS
    )
    merchants.revoke_api_key(key, author=TESTS)
    storefront.secret_key = secret_key
    before = tables.rows()
    for _ in range(6):
        with pytest.raises(stripe.AuthenticationError):
            storefront.stripe.v1.payment_intents.create(storefront.order())
    assert tables.rows() == before


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"amount": None}, "parameter_missing", "amount"),
        ({"currency": None}, "parameter_missing", "currency"),
        ({"ammount": 1_000}, "parameter_unknown", "ammount"),
        ({"amount": "ten"}, "parameter_invalid_integer", "amount"),
        ({"amount": "10.5"}, "parameter_invalid_integer", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"amount": ""}, "parameter_invalid_empty", "amount"),
        ({"customer": unknown_id("cus")}, "resource_missing", "customer"),
        ({"payment_method": unknown_id("pm")}, "resource_missing", "payment_method"),
        ({"payment_method": "pm_card_unheardOf"}, "resource_missing", "payment_method"),
        (
            {"payment_method_types": ["card"], "automatic_payment_methods": {"enabled": True}},
            "parameters_exclusive",
            None,
        ),
    ],
)
def test_a_wrong_parameter_is_an_invalid_request(
    storefront: Storefront, tables: Tables, given: Any, code: str, param: str | None
) -> None:
    before = tables.rows()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.pay(**given)
    assert refused.value.code == code
    if param is not None:
        assert refused.value.param == param
    assert refused.value.request_id
    assert tables.rows() == before
    assert storefront.effects() == []


def test_another_merchants_payment_is_as_unknown_as_a_missing_one(
    storefront: Storefront, other_storefront: Storefront
) -> None:
    foreign, unknown = other_storefront.pay().id, unknown_id("pi")
    bodies = []
    for intent_id in (foreign, unknown):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            storefront.stripe.v1.payment_intents.retrieve(intent_id)
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
        bodies.append(str(refused.value.http_body).replace(intent_id, "the id"))
    assert bodies[0] == bodies[1]


def test_a_capture_at_the_wrong_time_shows_the_payment(storefront: Storefront) -> None:
    paid = storefront.pay()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.payment_intents.capture(paid.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    error = refused.value.error
    assert error is not None
    assert error.payment_intent is not None
    assert (error.payment_intent["id"], error.payment_intent["status"]) == (paid.id, "succeeded")
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


@pytest.mark.parametrize("more", [{}, {"amount": 1}])
def test_nothing_is_refunded_twice(storefront: Storefront, more: Any) -> None:
    paid = storefront.pay()
    storefront.stripe.v1.refunds.create({"payment_intent": paid.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.refunds.create({"payment_intent": paid.id, **more})
    assert refused.value.code == "charge_already_refunded"
    assert [kind for kind, _ in storefront.effects()] == ["authorize", "capture", "refund"]


@pytest.mark.parametrize("amount", [10_001, 99_999_999])
def test_no_more_is_refunded_or_captured_than_there_is(storefront: Storefront, amount: int) -> None:
    paid = storefront.pay()
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.refunds.create({"payment_intent": paid.id, "amount": amount})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount")
    held = storefront.pay(capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        storefront.stripe.v1.payment_intents.capture(held.id, {"amount_to_capture": amount})
    assert (refused.value.code, refused.value.param) == ("amount_too_large", "amount_to_capture")
    assert storefront.effects() == [("authorize", 10_000)]


@pytest.mark.parametrize("token", DECLINES)
def test_a_decline_is_a_card_error_and_the_payment_can_be_tried_again(
    storefront: Storefront, token: str
) -> None:
    code, decline_code = DECLINES[token]
    with pytest.raises(stripe.CardError) as declined:
        storefront.pay(payment_method=token)

    assert (declined.value.http_status, declined.value.code) == (402, code)
    error = declined.value.error
    assert error is not None
    assert error.type == "card_error"
    assert error.decline_code == decline_code
    assert declined.value.user_message
    assert error.payment_intent is not None
    assert error.payment_intent["status"] == "requires_payment_method"
    assert error.payment_intent["last_payment_error"]["code"] == code
    assert error.charge == error.payment_intent["latest_charge"]
    paid = storefront.stripe.v1.payment_intents.confirm(
        error.payment_intent["id"], {"payment_method": "pm_card_visa"}
    )
    assert paid.status == "succeeded"


@pytest.mark.parametrize("wish", ["off_session", "error_on_requires_action"])
def test_a_challenge_in_an_off_session_payment_is_a_decline(
    storefront: Storefront, wish: str
) -> None:
    with pytest.raises(stripe.CardError) as declined:
        storefront.pay(payment_method="pm_card_authenticationRequired", **{wish: True})
    assert declined.value.code == "authentication_required"
    assert declined.value.error is not None
    assert declined.value.error.payment_intent is not None
    assert declined.value.error.payment_intent["status"] == "requires_payment_method"
    assert storefront.effects() == []


def test_one_key_for_two_requests_is_an_idempotency_error(storefront: Storefront) -> None:
    key = new_order()
    storefront.stripe.v1.payment_intents.create(storefront.order(), {"idempotency_key": key})
    with pytest.raises(stripe.IdempotencyError) as refused:
        storefront.stripe.v1.payment_intents.create(
            storefront.order(amount=10_001), {"idempotency_key": key}
        )
    assert refused.value.http_status == 400
    assert key in str(refused.value)
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_key_whose_first_request_runs_is_a_conflict_and_then_its_answer(
    storefront: Storefront,
) -> None:
    intents, key = storefront.stripe.v1.payment_intents, new_order()
    storefront.psp.script({"hold": True}, order_id=storefront.order_id)
    with ThreadPoolExecutor(1) as executor:
        first = executor.submit(intents.create, storefront.order(), {"idempotency_key": key})
        storefront.psp.wait_for(order_id=storefront.order_id, kind="capture")
        with pytest.raises(stripe.APIError) as refused:
            intents.create(storefront.order(), {"idempotency_key": key})
        storefront.psp.release()
        paid = first.result(30)

    assert refused.value.http_status == 409
    assert code_of(refused.value) == "idempotency_key_in_use"
    assert headers_of(refused.value)["Stripe-Should-Retry"] == "true"
    again = intents.create(storefront.order(), {"idempotency_key": key})
    assert again.to_dict() == paid.to_dict()
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_command_during_another_is_a_lock_timeout(storefront: Storefront) -> None:
    intents = storefront.stripe.v1.payment_intents
    held = storefront.pay(capture_method="manual")
    storefront.psp.script({"hold": True}, order_id=storefront.order_id, kind="capture")
    with ThreadPoolExecutor(1) as executor:
        capture = executor.submit(intents.capture, held.id)
        storefront.psp.wait_for(order_id=storefront.order_id, kind="capture")
        with pytest.raises(stripe.RateLimitError) as refused:
            intents.cancel(held.id)
        storefront.psp.release()
        assert capture.result(30).status == "succeeded"

    assert refused.value.http_status == 429
    assert code_of(refused.value) == "lock_timeout"
    assert headers_of(refused.value)["Stripe-Should-Retry"] == "true"
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_rate_limit_of_the_psp_is_a_503_and_the_same_key_succeeds_later(
    storefront: Storefront,
) -> None:
    intents, key = storefront.stripe.v1.payment_intents, new_order()
    storefront.psp.script({"rate_limit": 1}, times=None, order_id=storefront.order_id)

    with pytest.raises(stripe.APIError) as refused:
        intents.create(storefront.order(), {"idempotency_key": key})

    assert refused.value.http_status == 503
    assert code_of(refused.value) == "psp_unavailable"
    assert headers_of(refused.value)["Stripe-Should-Retry"] == "true"
    assert storefront.effects() == []
    storefront.psp.heal()
    paid = intents.create(storefront.order(), {"idempotency_key": key})
    assert paid.status == "succeeded"
    assert [intent.id for intent in intents.list().data] == [paid.id]
    assert storefront.effects() == [("authorize", 10_000), ("capture", 10_000)]


def test_a_refund_that_never_reached_the_psp_can_be_repeated(storefront: Storefront) -> None:
    paid, key = storefront.pay(), new_order()
    storefront.psp.script(
        {"rate_limit": 1}, times=None, order_id=storefront.order_id, kind="refund"
    )
    refunds = storefront.stripe.v1.refunds
    with pytest.raises(stripe.APIError) as refused:
        refunds.create({"payment_intent": paid.id}, {"idempotency_key": key})
    assert refused.value.http_status == 503
    storefront.psp.heal()
    refund = refunds.create({"payment_intent": paid.id}, {"idempotency_key": key})
    assert (refund.status, refund.amount) == ("succeeded", 10_000)
    assert storefront.effects()[2:] == [("refund", 10_000)]


def test_to_act_for_another_account_is_a_permission_error(
    storefront: Storefront, other_storefront: Storefront, tables: Tables
) -> None:
    intents, before = storefront.stripe.v1.payment_intents, tables.rows()
    with pytest.raises(stripe.PermissionError) as refused:
        intents.create(storefront.order(), {"stripe_account": other_storefront.merchant.public_id})
    assert (refused.value.http_status, code_of(refused.value)) == (403, "account_invalid")
    assert tables.rows() == before
    assert storefront.effects() == []
    own = {"stripe_account": storefront.merchant.public_id}
    assert intents.create(storefront.order(), own).status == "succeeded"


def test_a_merchant_without_an_idempotency_key_is_told_to_send_one(
    open_storefront: Callable[..., Storefront],
) -> None:
    strict, easy = open_storefront(), open_storefront(idempotency_key_required=False)
    refused = strict.wire.post("/v1/payment_intents", strict.order())
    assert refused.refusal == (400, "idempotency_key_required", None)
    assert strict.effects() == []
    assert easy.wire.post("/v1/payment_intents", easy.order()).json["status"] == "succeeded"


def code_of(error: stripe.StripeError) -> Any:
    """The code in the body: for some statuses the SDK leaves `error.code` empty."""
    return json.loads(str(error.http_body))["error"]["code"]


def headers_of(error: stripe.StripeError) -> Any:
    assert error.headers is not None
    return error.headers
