"""Payments over Stripe's adapter, with localstripe behind a proxy that loses answers."""

from __future__ import annotations

import uuid
from typing import Any, cast

import pytest

from payments.models import Operation, PaymentMethod
from payments.services.psp_gateway.references import reference_of
from payments.services.verification.rebuild import differences
from payments.tests.support.api_client import Reply, api_of
from payments.tests.support.crashes import STEPS, crash, crash_at
from payments.tests.support.factories import MerchantFactory, PspAccountFactory, set_credentials
from payments.tests.support.money_moves import COMMANDS, end_leases, prepare
from payments.tests.support.shop import Shop, body_of
from psp_adapters.stripe import saved_cards
from psp_adapters.tests.support.localstripe_process import API_KEY, LocalStripe
from psp_adapters.tests.support.sandbox_process import SandboxProcess

INTENT = "/v1/payment_intents"
PATHS = {
    "create": f"POST {INTENT}",
    "capture": f"POST {INTENT}/[^/]+/capture",
    "cancel": f"POST {INTENT}/[^/]+/cancel",
    "refund": "POST /v1/refunds",
}


@pytest.fixture
def stripe_shop(database: None, localstripe: LocalStripe) -> Shop:
    """A merchant whose PSP account is at localstripe."""
    account = PspAccountFactory.create(code=f"stripe-{uuid.uuid4().hex[:12]}", psp="stripe")
    set_credentials(account, base_url=localstripe.proxy.base_url, api_key=API_KEY)
    merchant = MerchantFactory.create(test_psp_account=account)
    return Shop(psp=cast(SandboxProcess, None), merchant=merchant, account=account)


def effects(localstripe: LocalStripe, order_id: str) -> list[str]:
    """What localstripe did for an order, in the terms of the sandbox PSP."""
    listed = localstripe.call("GET", f"{INTENT}?limit=100000")["data"]
    found: list[str] = []
    for intent in (each for each in listed if each["metadata"].get("order_id") == order_id):
        found.append("authorize")
        found += {"succeeded": ["capture"], "canceled": ["void"]}.get(intent["status"], [])
        refunds: list[dict[str, Any]] = localstripe.call("GET", "/v1/refunds?limit=100000")["data"]
        found += ["refund" for each in refunds if each["payment_intent"] == intent["id"]]
    return found


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", PATHS)
def test_a_repeated_request_after_a_crash_ends_in_one_effect_at_stripe(
    stripe_shop: Shop, localstripe: LocalStripe, name: str, step: str
) -> None:
    _, command, expected = COMMANDS[name]
    intent_id = prepare(stripe_shop, name)
    caller = stripe_shop.caller(key=stripe_shop.order_id, body={"command": name})

    crash(step, lambda: command(stripe_shop, intent_id, caller))
    end_leases()
    answer = command(stripe_shop, intent_id, caller)

    assert answer.status == 200
    assert effects(localstripe, stripe_shop.order_id) == expected
    assert command(stripe_shop, intent_id, caller).body == answer.body
    assert list(differences()) == []


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("name", PATHS)
def test_recovery_resolves_a_lost_answer_of_stripe(
    stripe_shop: Shop, localstripe: LocalStripe, name: str, after: bool
) -> None:
    _, command, expected = COMMANDS[name]
    intent_id = prepare(stripe_shop, name)
    localstripe.proxy.drop_next(PATHS[name], after=after)
    answer = command(stripe_shop, intent_id, stripe_shop.caller(key="key"))
    stripe_shop.settle()
    assert effects(localstripe, stripe_shop.order_id) == expected
    operations = stripe_shop.operations(intent_id or body_of(answer)["id"])
    assert {operation.status for operation in operations} == {"SUCCEEDED"}
    assert list(differences()) == []


def charge_kept(shop: Shop, customer: str, method: str) -> Reply:
    given = {"amount": 1000, "currency": "usd", "customer": customer, "payment_method": method}
    return api_of(shop).post(INTENT, **given, confirm=True, off_session=True)


def test_a_card_kept_by_a_setup_is_charged_without_the_customer_and_detached_at_stripe_first(
    stripe_shop: Shop, localstripe: LocalStripe
) -> None:
    api = api_of(stripe_shop)
    customer = api.post("/v1/customers").body["id"]
    asked = {"customer": customer, "payment_method": "pm_card_visa", "confirm": True}
    setup = api.post("/v1/setup_intents", **asked).body
    assert setup["status"] == "succeeded"
    kept = PaymentMethod.objects.get()
    their_customer, their_method = kept.stored_token.split("/")
    assert charge_kept(stripe_shop, customer, setup["payment_method"]).body["status"] == "succeeded"
    [made] = [
        each
        for each in localstripe.call("GET", f"{INTENT}?limit=100000")["data"]
        if each["customer"] == their_customer
    ]
    assert made["payment_method"] == their_method

    detach = f"/v1/payment_methods/{kept.public_id}/detach"
    localstripe.proxy.drop_next(f"POST /v1/payment_methods/{their_method}/detach", after=True)
    unsure = api.post(detach)
    assert unsure.status >= 500
    kept.refresh_from_db()
    assert kept.detached_at is None
    assert api.post(detach).body["customer"] is None
    kept.refresh_from_db()
    assert kept.detached_at is not None
    assert charge_kept(stripe_shop, customer, kept.public_id).status == 400


@pytest.mark.parametrize("after", [True, False], ids=["after", "before"])
def test_a_payment_whose_answer_is_lost_keeps_its_card_at_stripe_all_the_same(
    stripe_shop: Shop, localstripe: LocalStripe, after: bool
) -> None:
    api = api_of(stripe_shop)
    customer = api.post("/v1/customers").body["id"]
    localstripe.proxy.drop_next(f"POST {INTENT}", after=after)
    given = {"amount": 1000, "currency": "usd", "customer": customer, "confirm": True}
    paid = api.post(
        INTENT, **given, payment_method="pm_card_visa", setup_future_usage="off_session"
    ).body
    assert paid["status"] == "processing"
    stripe_shop.settle()
    paid = api.get(f"{INTENT}/{paid['id']}").body
    assert paid["status"] == "succeeded"
    assert PaymentMethod.objects.get().stored_token.startswith("cus_")
    later = charge_kept(stripe_shop, customer, paid["payment_method"])
    assert later.body["status"] == "succeeded"
    assert list(differences()) == []


def test_a_crash_between_the_customer_and_the_payment_that_keeps_a_card_ends_in_one_of_each(
    stripe_shop: Shop, localstripe: LocalStripe
) -> None:
    api = api_of(stripe_shop)
    given = {"amount": 1000, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    given |= {"customer": api.post("/v1/customers").body["id"]}
    given |= {"setup_future_usage": "off_session", "metadata": {"order_id": stripe_shop.order_id}}

    def pay() -> Reply:
        return api.post(INTENT, key=stripe_shop.order_id, **given)

    crash_at((saved_cards, "new_customer", "after"), pay)
    end_leases()
    assert pay().status == 200
    stripe_shop.settle()
    assert effects(localstripe, stripe_shop.order_id) == ["authorize", "capture"]
    charge = Operation.objects.get()
    made = localstripe.call("GET", "/v1/customers?limit=100000")["data"]
    reference = reference_of(charge.id)
    assert [each["metadata"]["reference"] for each in made].count(reference) == 1
    assert PaymentMethod.objects.get().stored_token.startswith("cus_")
    assert list(differences()) == []
