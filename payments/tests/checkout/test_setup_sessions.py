"""Sessions in mode `setup`: a card is kept by the page, and no money moves."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from payments.models import CheckoutSession, PaymentIntent, PaymentMethod, SetupIntent
from payments.services.automatic_actions.expired_sessions import expire_due_sessions
from payments.services.recovery.setups import resolve_setup
from payments.tests.checkout.visits import LINES, Visit, make_due
from payments.tests.checkout.visits import visit as paying_visit
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop

CHALLENGED = "pm_card_threeDSecure2Required"


def visit(shop: Shop, **more: Any) -> Visit:
    """A visitor of a new session that keeps a card."""
    given = {"mode": "setup", "success_url": "https://shop.example/thanks", **more}
    made = api_of(shop).post("/v1/checkout/sessions", **given)
    assert made.status == 200, made.body
    return Visit(shop, made.body["id"], made.body["url"])


def setup_of(visitor: Visit) -> SetupIntent:
    setup = visitor.row.setup_intent
    assert setup is not None
    return setup


def test_a_card_is_kept_for_the_customer_and_the_session_is_complete(shop: Shop) -> None:
    api = api_of(shop)
    customer = api.post("/v1/customers", name="Ada").body["id"]
    data = {"metadata": {"plan": "gold"}, "description": "Card of the plan"}
    visitor = visit(shop, customer=customer, setup_intent_data=data)
    shown = api.get(f"/v1/checkout/sessions/{visitor.id}").body
    setup = setup_of(visitor)
    assert (shown["mode"], shown["payment_status"]) == ("setup", "no_payment_required")
    assert (shown["setup_intent"], shown["payment_intent"]) == (setup.public_id, None)
    assert (shown["amount_total"], shown["currency"], shown["customer"]) == (None, None, customer)
    assert (setup.metadata, setup.description) == (data["metadata"], data["description"])
    assert visitor.shown() == "pay"
    told = visitor.pay()
    assert (told["state"], told["go"]) == ("succeeded", "https://shop.example/thanks")
    kept = api.get(f"/v1/customers/{customer}/payment_methods").body["data"]
    assert [method["card"]["last4"] for method in kept] == ["4242"]
    assert api.get(f"/v1/checkout/sessions/{visitor.id}").body["status"] == "complete"
    assert events_of(visitor) == ["checkout.session.completed"]
    assert not PaymentIntent.objects.exists()
    text = visitor.look().content.decode()
    assert "your card is saved" in text
    assert "this is paid" not in text


def events_of(visitor: Visit) -> list[str]:
    """The types of the session's own events, in order."""
    events = api_of(visitor.shop).get("/v1/events", limit=100).body["data"]
    mine = [event for event in events if event["data"]["object"]["id"] == visitor.id]
    return [event["type"] for event in reversed(mine)]


def test_the_page_speaks_of_a_card_and_never_of_a_payment(shop: Shop) -> None:
    visitor = visit(shop)
    text = visitor.look().content.decode()
    assert "Save your card" in text
    assert "Nothing is taken now" in text
    assert "How do you want to pay?" not in text
    told = visitor.pay("pm_card_chargeDeclinedExpiredCard")
    assert told["state"] == "pay"
    assert told["message"] == "This card has expired. It was not saved. Try another card."
    assert visitor.pay()["state"] == "succeeded"


def test_a_challenge_leads_to_the_bank_and_back_to_the_page(shop: Shop) -> None:
    visitor = visit(shop)
    bank = visitor.pay(CHALLENGED)["go"]
    assert "/challenge/" in bank
    assert visitor.shown() == "challenge"
    back = shop.psp.complete_challenge(bank)
    resolve_setup(setup_of(visitor).latest_attempt_id, actor="test")
    assert visitor.shown() == "succeeded", back
    assert visitor.client.get(f"{visitor.base}/return")["Location"] == "https://shop.example/thanks"


def test_two_tabs_and_a_late_one_keep_one_card(shop: Shop) -> None:
    visitor = visit(shop)
    assert visitor.pay(attempt=1)["state"] == "succeeded"
    assert visitor.pay("pm_card_mastercard", attempt=1)["state"] == "succeeded"
    assert visitor.pay("pm_card_mastercard", attempt=2)["state"] == "succeeded"
    assert setup_of(visitor).attempts.count() == PaymentMethod.objects.count() == 1


def test_the_setup_intent_is_confirmed_and_changed_by_the_page_alone(shop: Shop) -> None:
    api, visitor = api_of(shop), visit(shop)
    path = f"/v1/setup_intents/{setup_of(visitor).public_id}"
    for refused in (
        api.post(f"{path}/confirm", payment_method="pm_card_visa"),
        api.post(path, payment_method="pm_card_visa"),
    ):
        assert refused.status == 400
        assert visitor.id in refused.error["message"]
    assert api.post(path, description="Plan").status == 200
    assert setup_of(visitor).attempts.count() == 0


@pytest.mark.parametrize("by", ["session", "setup intent"])
def test_expiring_the_session_and_canceling_the_setup_intent_are_one(shop: Shop, by: str) -> None:
    api, visitor = api_of(shop), visit(shop)
    bank = visitor.pay(CHALLENGED)["go"]
    path = f"/v1/checkout/sessions/{visitor.id}/expire"
    if by == "setup intent":
        path = f"/v1/setup_intents/{setup_of(visitor).public_id}/cancel"
    assert api.post(path).status == 200
    assert (visitor.row.status, setup_of(visitor).status) == ("expired", "canceled")
    assert events_of(visitor) == ["checkout.session.expired"]
    shop.psp.complete_challenge(bank)
    assert visitor.pay()["state"] == "expired"
    assert api.post(f"/v1/checkout/sessions/{visitor.id}/expire").error["code"] == (
        "checkout_session_unexpected_state"
    )


def test_the_sweep_expires_what_is_over(shop: Shop) -> None:
    over, challenged = visit(shop), visit(shop)
    bank = challenged.pay(CHALLENGED)["go"]
    shop.psp.complete_challenge(bank)
    make_due(over, challenged)
    expire_due_sessions()
    assert (over.row.status, setup_of(over).status) == ("expired", "canceled")
    assert (challenged.row.status, setup_of(challenged).status) == ("complete", "succeeded")
    assert challenged.row.next_expiry_at is None


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"line_items": LINES}, "line_items"),
        ({"amount": 500, "currency": "eur"}, "amount"),
        ({"payment_intent_data": {"description": "x"}}, "payment_intent_data"),
        ({"mode": "payment", "line_items": LINES, "setup_intent_data": {}}, None),
        (
            {"mode": "payment", "line_items": LINES, "setup_intent_data": {"description": "x"}},
            "setup_intent_data",
        ),
    ],
)
def test_a_parameter_of_the_other_mode_is_refused(
    shop: Shop, wrong: dict[str, Any], param: str | None
) -> None:
    given = {"mode": "setup", "success_url": "https://shop.example/thanks", **wrong}
    reply = api_of(shop).post("/v1/checkout/sessions", **given)
    if param is None:
        assert reply.status == 200, "what is empty is not given"
        return
    assert (reply.status, reply.error["param"]) == (400, param), reply.body
    assert not CheckoutSession.objects.exists()
    assert not SetupIntent.objects.exists()


@pytest.mark.parametrize("status", ["complete", "expired"])
def test_postgresql_refuses_a_session_that_ends_unlike_its_setup_intent(
    shop: Shop, application_cursor: psycopg.Cursor[Any], status: str
) -> None:
    visitor = visit(shop)
    with pytest.raises(psycopg.errors.CheckViolation, match="session_against_setup"):
        application_cursor.execute(
            "UPDATE payments_checkout_session SET status = %s, next_expiry_at = NULL", [status]
        )
    assert visitor.row.status == "open"


def test_a_payment_on_the_page_keeps_its_card_and_says_so(shop: Shop) -> None:
    api = api_of(shop)
    customer = api.post("/v1/customers", name="Ada").body["id"]
    visitor = paying_visit(
        shop, customer=customer, payment_intent_data={"setup_future_usage": "off_session"}
    )
    text = visitor.look().content.decode()
    assert "The shop keeps what you pay with for later payments" in text
    assert 'value="ideal"' not in text, "a bank transfer cannot be charged again"
    assert visitor.pay()["state"] == "succeeded"
    [kept] = api.get(f"/v1/customers/{customer}/payment_methods").body["data"]
    later = {"customer": customer, "payment_method": kept["id"], "off_session": True}
    charged = api.post("/v1/payment_intents", amount=900, currency="eur", confirm=True, **later)
    assert charged.body["status"] == "succeeded"
