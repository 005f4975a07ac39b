"""With confirmation_method=manual a server confirms again after the challenge: one charge."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import IdempotencyKey, PaymentIntent
from payments.tests.commands.test_open_challenges import CHALLENGED, ONE_SALE, complete, effects
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.late_outcomes import assert_the_books_agree, close_as, sync_as_notified
from payments.tests.support.shop import Shop
from psp_adapters.contract.operations import Outcome


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def begun(shop: Shop, api: ApiClient, **more: Any) -> dict[str, Any]:
    """A payment whose customer is at the challenge."""
    given = {"payment_method": CHALLENGED, "confirmation_method": "manual", **more}
    intent = api.pay(metadata={"order_id": shop.order_id}, **given)
    assert (intent["status"], intent["confirmation_method"]) == ("requires_action", "manual")
    return intent


def confirmed(api: ApiClient, intent: dict[str, Any], **given: Any) -> Reply:
    return api.post(f"/v1/payment_intents/{intent['id']}/confirm", **given)


@pytest.mark.parametrize(
    ("capture_method", "status"), [("automatic", "succeeded"), ("manual", "requires_capture")]
)
def test_the_second_confirm_shows_what_the_challenge_brought_and_charges_nothing(
    shop: Shop, api: ApiClient, capture_method: str, status: str
) -> None:
    """No notification has come: the confirm itself looks the challenge up."""
    intent = begun(shop, api, capture_method=capture_method)
    early = confirmed(api, intent, key="early")
    assert (early.status, early.body["status"]) == (200, "requires_action")
    assert early.body["next_action"] == intent["next_action"]
    complete(shop, intent)
    for given in ({}, {}, {"receipt_email": "jo@example.com"}):
        reply = confirmed(api, intent, **given)
        assert (reply.status, reply.body["status"]) == (200, status)
        assert reply.body["latest_charge"] == intent["latest_charge"]
    assert reply.body["receipt_email"] == "jo@example.com"
    assert confirmed(api, intent, key="early").body == early.body
    assert len(shop.operations(intent["id"])) == 1
    assert effects(shop) == ONE_SALE[: 2 if status == "succeeded" else 1]
    assert_the_books_agree()


def test_after_a_challenge_that_failed_another_method_is_needed(shop: Shop, api: ApiClient) -> None:
    intent = begun(shop, api)
    complete(shop, intent, fail=True)
    reply = confirmed(api, intent)
    assert (reply.status, reply.error["code"]) == (400, "parameter_missing")
    assert confirmed(api, intent, payment_method="pm_card_visa").body["status"] == "succeeded"
    assert effects(shop) == ONE_SALE
    assert_the_books_agree()


def test_another_method_replaces_an_open_challenge_and_not_a_charge_that_succeeded(
    shop: Shop, api: ApiClient
) -> None:
    intent = begun(shop, api)
    replaced = confirmed(api, intent, payment_method="pm_card_visa")
    assert replaced.body["status"] == "succeeded"
    reply = confirmed(api, intent, payment_method="pm_card_mastercard")
    assert (reply.status, reply.error["code"]) == (400, "payment_intent_unexpected_state")
    assert effects(shop) == ONE_SALE


@pytest.mark.parametrize("why", ["refunded", "given back", "canceled"])
def test_a_payment_that_is_over_is_not_confirmed_again(
    shop: Shop, api: ApiClient, why: str
) -> None:
    intent = begun(shop, api)
    if why == "refunded":
        complete(shop, intent)
        confirmed(api, intent)
        shop.refund(intent["id"])
    elif why == "given back":
        charge = shop.operations(intent["id"])[0]
        close_as(charge, Outcome.DECLINED)
        complete(shop, intent)
        sync_as_notified(charge)
        assert shop.intent(intent["id"]).status == "CAPTURED"
    else:
        shop.cancel(intent["id"])
    keys = IdempotencyKey.objects.count()
    reply = confirmed(api, intent)
    assert (reply.status, reply.error["code"]) == (400, "payment_intent_unexpected_state")
    assert IdempotencyKey.objects.count() == keys
    assert_the_books_agree()


def test_an_automatic_payment_is_confirmed_once(shop: Shop, api: ApiClient) -> None:
    intent = api.pay()
    assert PaymentIntent.objects.get().confirmation_method == "automatic"
    reply = confirmed(api, intent)
    assert (reply.status, reply.error["code"]) == (400, "payment_intent_unexpected_state")
