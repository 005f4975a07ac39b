"""A payment takes only the types of methods that it allows, and a pending one says why it waits."""

from __future__ import annotations

from typing import Any

import pytest

from payments.models import Operation, PaymentIntent
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop

INTENTS = "/v1/payment_intents"
DEBIT = "pm_bankDebit_success"
SALE = {"amount": 900, "currency": "usd", "payment_method": "pm_card_visa"}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def created(api: ApiClient, **given: Any) -> dict[str, Any]:
    reply = api.post(INTENTS, **{"amount": 5_000, "currency": "usd"} | given)
    assert reply.status == 200, reply.body
    return reply.body


def refused(reply: Any) -> tuple[int, str, str]:
    return reply.status, reply.error.get("code", ""), reply.error.get("param", "")


INCOMPATIBLE = "payment_intent_incompatible_payment_method"


def test_without_types_every_type_of_the_psp_is_allowed_and_shown(api: ApiClient) -> None:
    intent = created(api, payment_method=DEBIT, confirm=True)
    assert intent["status"] == "processing"
    assert intent["payment_method_types"] == ["card", "us_bank_account", "sepa_debit", "ideal"]
    charge = api.get(f"/v1/charges/{intent['latest_charge']}").body
    assert charge["payment_method_details"]["type"] == "us_bank_account"


@pytest.mark.parametrize("when", ["create", "update", "confirm"])
def test_a_method_of_another_type_is_refused(shop: Shop, api: ApiClient, when: str) -> None:
    types = {"payment_method_types": ["ideal", "us_bank_account"]}
    if when == "create":
        reply = api.post(
            INTENTS,
            amount=900,
            currency="usd",
            confirm=True,
            payment_method="pm_card_visa",
            **types,
        )
    else:
        path = f"{INTENTS}/{created(api, **types)['id']}"
        path += "/confirm" if when == "confirm" else ""
        reply = api.post(path, payment_method="pm_card_visa")
    assert refused(reply) == (400, INCOMPATIBLE, "payment_method")
    assert "ideal or us_bank_account" in reply.error["message"]
    assert not Operation.objects.exists()


def test_types_that_were_narrowed_meanwhile_are_enforced_at_confirm(api: ApiClient) -> None:
    intent = created(api, payment_method="pm_card_visa")
    path = f"{INTENTS}/{intent['id']}"
    assert api.post(path, payment_method_types=["us_bank_account"]).status == 200
    assert refused(api.post(f"{path}/confirm")) == (400, INCOMPATIBLE, "payment_method")


def test_an_unknown_word_is_no_type(api: ApiClient) -> None:
    reply = api.post(INTENTS, amount=900, currency="usd", payment_method_types=["card", "cash"])
    assert refused(reply)[::2] == (400, "payment_method_types[1]")
    assert not PaymentIntent.objects.exists()


def test_what_cannot_be_held_is_not_charged_for_a_later_capture(shop: Shop, api: ApiClient) -> None:
    given = {"amount": 900, "currency": "usd", "capture_method": "manual"}
    by_method = api.post(INTENTS, **given, confirm=True, payment_method=DEBIT)
    by_type = api.post(INTENTS, **given, payment_method_types=["us_bank_account"])
    for reply in (by_method, by_type):
        assert refused(reply) == (400, INCOMPATIBLE, "capture_method")
    assert not PaymentIntent.objects.exists()
    intent = created(api, payment_method_types=["us_bank_account"])
    changed = api.post(f"{INTENTS}/{intent['id']}", capture_method="manual")
    assert refused(changed) == (400, INCOMPATIBLE, "capture_method")
    assert shop.effects() == []


IDEAL = "pm_ideal_success"
BACK = "https://shop.example/back"


def test_the_automatic_choice_is_kept_and_shown_until_types_are_named(api: ApiClient) -> None:
    intent = created(api, automatic_payment_methods={"enabled": True})
    assert intent["automatic_payment_methods"] == {"enabled": True, "allow_redirects": "always"}
    assert "ideal" in intent["payment_method_types"]
    named = api.post(f"{INTENTS}/{intent['id']}", payment_method_types=["card"]).body
    assert (named["automatic_payment_methods"], named["payment_method_types"]) == (None, ["card"])
    off = created(api, automatic_payment_methods={"enabled": False})
    assert off["automatic_payment_methods"] == {"enabled": False}


def test_without_redirects_a_method_that_needs_one_is_refused(shop: Shop, api: ApiClient) -> None:
    given = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    intent = created(api, **given)
    assert "ideal" not in intent["payment_method_types"]
    path = f"{INTENTS}/{intent['id']}"
    confirmed = api.post(f"{path}/confirm", payment_method=IDEAL, return_url=BACK)
    for reply in (confirmed, api.post(path, payment_method=IDEAL)):
        assert refused(reply) == (400, INCOMPATIBLE, "payment_method")
        assert "allow_redirects=always" in reply.error["message"]
    assert not Operation.objects.exists()
    paid = api.post(f"{path}/confirm", payment_method="pm_card_visa").body
    assert paid["status"] == "succeeded"


def test_a_method_that_needs_a_redirect_needs_an_address_to_return_to(
    shop: Shop, api: ApiClient
) -> None:
    given = {"payment_method": IDEAL, "automatic_payment_methods": {"enabled": True}}
    intent = created(api, **given)
    path = f"{INTENTS}/{intent['id']}/confirm"
    assert refused(api.post(path)) == (400, "parameter_missing", "return_url")
    assert not Operation.objects.exists()
    sent_away = api.post(path, return_url=BACK).body
    assert sent_away["status"] == "requires_action"
    assert sent_away["next_action"]["redirect_to_url"]["return_url"] == BACK
    charge = api.get(f"/v1/charges/{sent_away['latest_charge']}").body
    assert charge["payment_method_details"]["type"] == "ideal"


@pytest.mark.parametrize("verb", ["cancel", "confirm", "capture", "increment_authorization"])
def test_a_debit_that_is_pending_for_days_is_not_to_be_tried_again_shortly(
    shop: Shop, api: ApiClient, verb: str
) -> None:
    intent = created(api, payment_method=DEBIT, confirm=True)
    more = {"amount": 6_000} if verb == "increment_authorization" else {}
    reply = api.post(f"{INTENTS}/{intent['id']}/{verb}", **more)
    assert refused(reply)[:2] == (400, "payment_intent_unexpected_state")
    assert reply.header("Retry-After") is None
    assert reply.header("Stripe-Should-Retry") is None
    assert "pending at the customer's bank" in reply.error["message"]
    assert reply.error["payment_intent"]["id"] == intent["id"]
    assert len(shop.operations(intent["id"])) == 1


def test_a_debit_that_is_pending_is_not_refunded_and_says_what_to_wait_for(
    shop: Shop, api: ApiClient
) -> None:
    intent = created(api, payment_method=DEBIT, confirm=True)
    reply = api.post("/v1/refunds", payment_intent=intent["id"])
    assert refused(reply)[:2] == (400, "charge_not_refundable")
    assert "wait for the event" in reply.error["message"]
    assert len(shop.operations(intent["id"])) == 1


@pytest.mark.parametrize("status", ["SENDING", "UNKNOWN"])
def test_an_operation_on_its_way_or_unknown_is_to_be_tried_again(
    shop: Shop, api: ApiClient, status: str
) -> None:
    """The PSP hangs: the request is answered as processing."""
    shop.psp.script({"hang": 1}, kind="authorize")
    headers = {"Prefer": "wait=0"}
    reply = api.post(
        INTENTS,
        headers=headers,
        amount=900,
        currency="usd",
        payment_method="pm_card_visa",
        confirm=True,
    )
    intent_id = reply.body["id"]
    Operation.objects.filter(intent_id=shop.intent(intent_id).id).update(status=status)
    for verb in ("cancel", "confirm", "capture", "increment_authorization"):
        more = {"amount": 6_000} if verb == "increment_authorization" else {}
        again = api.post(f"{INTENTS}/{intent_id}/{verb}", **more)
        assert refused(again)[:2] == (429, "lock_timeout"), verb
        assert again.header("Stripe-Should-Retry") == "true"
