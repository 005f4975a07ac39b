"""Cards kept by a payment or a setup, and charged later: with the customer, or without."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from ledger.money import Money
from payments.exceptions import InvalidParameter
from payments.models import Event, Operation, PaymentIntent, PaymentMethod, SetupIntent
from payments.services.callers.caller import CommandRequest
from payments.services.commands import (
    Confirmation,
    IntentDetails,
    create_intent,
    create_setup_intent,
)
from payments.services.commands.setups.intents import SetupDetails
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import PspAccountFactory
from payments.tests.support.shop import Shop, uuid_of

PAYMENTS = "/v1/payment_intents"
SETUPS = "/v1/setup_intents"
ON_SETUP = "pm_card_authenticationRequiredOnSetup"


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


@pytest.fixture
def customer(api: ApiClient) -> str:
    identifier: str = api.post("/v1/customers", name="Ada").body["id"]
    return identifier


def charge(api: ApiClient, customer: str, method: str, **more: Any) -> Reply:
    given = {"amount": 1000, "currency": "usd", "customer": customer, "payment_method": method}
    return api.post(PAYMENTS, **given, **{"confirm": True, **more})


def attached(customer: str) -> list[str]:
    rows = Event.objects.filter(type="payment_method.attached").order_by("id")
    shown = [row.payload["object"] for row in rows]
    return [each["id"] for each in shown if each["customer"] == customer]


def shown_network_id(api: ApiClient, charge_id: str) -> str:
    card = api.get(f"/v1/charges/{charge_id}").body["payment_method_details"]["card"]
    stated: str = card["network_transaction_id"]
    return stated


@pytest.mark.parametrize("where", ["create", "update", "confirm"])
def test_a_payment_keeps_its_card_once_it_has_succeeded(
    api: ApiClient, customer: str, where: str
) -> None:
    keeps = {"setup_future_usage": "off_session"}
    given = keeps if where == "create" else {}
    made = charge(api, customer, "pm_card_visa", confirm=False, **given).body
    if where == "update":
        made = api.post(f"{PAYMENTS}/{made['id']}", **keeps).body
    assert made["setup_future_usage"] == (None if where == "confirm" else "off_session")
    assert attached(customer) == []
    given = keeps if where == "confirm" else {}
    paid = api.post(f"{PAYMENTS}/{made['id']}/confirm", **given).body
    assert (paid["status"], paid["setup_future_usage"]) == ("succeeded", "off_session")
    assert attached(customer) == [paid["payment_method"]]
    assert PaymentMethod.objects.get().network_transaction_id.startswith("snt_")
    later = charge(api, customer, paid["payment_method"], off_session=True).body
    assert later["status"] == "succeeded"
    first, second = Operation.objects.order_by("id")
    assert (first.save_for, first.off_session, first.network_transaction_id) == (
        "off_session",
        False,
        "",
    )
    assert (second.save_for, second.off_session) == ("", True)
    agreed = PaymentMethod.objects.get().network_transaction_id
    assert (first.network_charge_id, second.network_transaction_id) == (agreed, agreed)
    stated = [shown_network_id(api, each["latest_charge"]) for each in (paid, later)]
    assert stated == [agreed, second.network_charge_id]
    assert second.network_charge_id not in ("", agreed)


def test_a_declined_payment_keeps_nothing_and_unsetting_keeps_nothing(
    api: ApiClient, customer: str
) -> None:
    keeps = {"setup_future_usage": "on_session"}
    assert charge(api, customer, "pm_card_chargeDeclined", **keeps).status == 402
    made = charge(api, customer, "pm_card_visa", confirm=False, **keeps).body
    paid = api.post(f"{PAYMENTS}/{made['id']}/confirm", setup_future_usage="").body
    assert (paid["status"], paid["setup_future_usage"]) == ("succeeded", None)
    assert attached(customer) == []
    assert set(PaymentMethod.objects.values_list("network_transaction_id", flat=True)) == {""}


def test_a_held_payment_keeps_its_card_after_the_challenge(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    opened = charge(
        *(api, customer, ON_SETUP), setup_future_usage="off_session", capture_method="manual"
    ).body
    assert (opened["status"], attached(customer)) == ("requires_action", [])
    shop.psp.complete_challenge(opened["next_action"]["redirect_to_url"]["url"])
    shop.settle()
    assert api.get(f"{PAYMENTS}/{opened['id']}").body["status"] == "requires_capture"
    assert attached(customer) == [opened["payment_method"]]


@pytest.mark.parametrize(
    ("token", "usage", "code"),
    [
        (ON_SETUP, "off_session", ""),
        (ON_SETUP, "on_session", "authentication_required"),
        ("pm_card_authenticationRequired", "off_session", "authentication_required"),
        ("pm_card_authenticationRequiredSetupForOffSession", "off_session", ""),
        (
            "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
            "off_session",
            "card_declined",
        ),
    ],
)
def test_what_banks_answer_off_session_to_a_card_that_was_set_up(
    shop: Shop, api: ApiClient, customer: str, token: str, usage: str, code: str
) -> None:
    given = {"customer": customer, "payment_method": token, "usage": usage, "confirm": True}
    setup = api.post(SETUPS, **given).body
    shop.psp.complete_challenge(setup["next_action"]["redirect_to_url"]["url"])
    assert api.post(f"{SETUPS}/{setup['id']}/confirm").status == 400, "it has succeeded meanwhile"
    setup = api.get(f"{SETUPS}/{setup['id']}").body
    assert setup["status"] == "succeeded"
    later = charge(api, customer, setup["payment_method"], off_session=True)
    if not code:
        assert later.body["status"] == "succeeded"
        return
    assert (later.status, later.error["code"]) == (402, code)
    assert later.error["payment_method"]["id"] == setup["payment_method"]
    intent = later.error["payment_intent"]
    assert intent["status"] == "requires_payment_method"
    if code == "authentication_required":  # The customer is brought back.
        again = api.post(
            f"{PAYMENTS}/{intent['id']}/confirm", payment_method=setup["payment_method"]
        )
        assert again.body["status"] == "requires_action"


def test_a_charge_without_the_customer_cannot_keep_its_card(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    both = {"off_session": True, "setup_future_usage": "off_session"}
    refused = charge(api, customer, "pm_card_visa", **both)
    assert (refused.status, refused.error["code"]) == (400, "parameters_exclusive")
    assert refused.error["param"] == "off_session"
    ideal = charge(
        *(api, customer, "pm_ideal_success"),
        setup_future_usage="off_session",
        return_url="https://shop.example/",
    )
    assert (ideal.status, ideal.error["code"]) == (400, "setup_not_supported")
    assert not PaymentIntent.objects.exists()
    assert not PaymentMethod.objects.exists()


def test_a_card_that_was_detached_meanwhile_is_not_kept_but_paid(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    method = api.post("/v1/payment_methods/pm_card_threeDSecure2Required/attach", customer=customer)
    opened = charge(api, customer, method.body["id"], setup_future_usage="off_session").body
    api.post(f"/v1/payment_methods/{method.body['id']}/detach")
    shop.psp.complete_challenge(opened["next_action"]["redirect_to_url"]["url"])
    shop.settle()
    assert api.get(f"{PAYMENTS}/{opened['id']}").body["status"] == "succeeded"
    assert PaymentMethod.objects.get().network_transaction_id == ""


def test_a_card_belongs_to_the_account_that_made_it(
    shop: Shop, api: ApiClient, customer: str
) -> None:
    given = {"customer": customer, "payment_method": "pm_card_visa", "confirm": True}
    kept = api.post(SETUPS, **given).body["payment_method"]
    request: CommandRequest[Any] = CommandRequest(
        replace(shop.caller(), psp_account=PspAccountFactory.create())
    )
    before = SetupIntent.objects.count()
    with pytest.raises(InvalidParameter) as refused:
        create_setup_intent(
            request,
            usage="off_session",
            details=SetupDetails(customer=customer),
            payment_method=kept,
        )
    assert refused.value.code == "payment_method_provider_mismatch"
    assert refused.value.param == "payment_method"
    assert SetupIntent.objects.count() == before
    create_intent(
        request,
        amount=Money(1000, "USD"),
        details=IntentDetails(customer=customer),
        payment_method=kept,
        confirmation=Confirmation(off_session=True, challenge_allowed=False),
    )
    [charge_of_card] = Operation.objects.all()
    assert charge_of_card.psp_account_id == shop.account.id
    assert api.get(f"/v1/payment_methods/{kept}").body["id"] == kept


def test_what_a_charge_says_of_its_card_stays_as_it_was_sent(
    api: ApiClient, customer: str, owner_cursor: psycopg.Cursor[Any]
) -> None:
    paid = charge(api, customer, "pm_card_visa", setup_future_usage="off_session").body
    for column, value in (("save_for", ""), ("off_session", True), ("network_transaction_id", "x")):
        with pytest.raises(psycopg.errors.CheckViolation, match="permanent_column"):
            owner_cursor.execute(
                f"UPDATE payments_operation SET {column} = %s WHERE intent_id = %s",
                [value, uuid_of(paid["id"])],
            )
