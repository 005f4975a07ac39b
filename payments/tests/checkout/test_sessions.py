"""Checkout sessions: made with one payment, ended as it ends, expired only if nothing is open."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from payments.clock import now_utc
from payments.models import CheckoutSession, PaymentIntent
from payments.services.automatic_actions.expired_sessions import expire_due_sessions
from payments.services.recovery.sweep import resolve_operation
from payments.tests.checkout.visits import LINES, create, make_due, visit
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop


def test_a_session_has_one_payment_of_its_total_from_the_start(shop: Shop) -> None:
    given = {"metadata": {"order_id": "o-1"}, "payment_intent_data": {"metadata": {"a": "b"}}}
    made = create(api_of(shop), **given, client_reference_id="basket-1").body
    intent = PaymentIntent.objects.get()
    assert made["payment_intent"] == intent.public_id
    assert (made["amount_total"], made["currency"]) == (1250, "eur")
    assert (made["status"], made["payment_status"]) == ("open", "unpaid")
    assert (intent.order_id, intent.metadata) == ("o-1", {"a": "b", "order_id": "o-1"})
    lines = api_of(shop).get(f"/v1/checkout/sessions/{made['id']}/line_items").body["data"]
    assert [(line["description"], line["quantity"]) for line in lines] == [("A book", 2)]


def test_a_plain_amount_is_one_line(shop: Shop) -> None:
    made = create(api_of(shop), line_items=[], amount=700, currency="usd", expand=["line_items"])
    [line] = made.body["line_items"]["data"]
    assert (line["description"], line["amount_total"]) == ("Payment", 700)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"line_items": []}, "line_items"),
        ({"amount": 5}, "line_items"),
        ({"mode": "subscription"}, "mode"),
        ({"expires_at": 1_000_000_000}, "expires_at"),
        ({"line_items": [LINES[0] | {"quantity": 0}]}, "line_items[0][quantity]"),
        (
            {
                "line_items": [
                    LINES[0],
                    {"price_data": {**LINES[0]["price_data"], "currency": "usd"}},
                ]
            },  # type: ignore[dict-item]
            "line_items",
        ),
        ({"currency": "usd"}, "line_items"),
        ({"success_url": "javascript:alert(1)"}, "success_url"),
        ({"customer": "cus_nothing"}, "customer"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_nothing_is_written(
    shop: Shop, wrong: dict[str, Any], param: str
) -> None:
    reply = create(api_of(shop), **wrong)
    assert (reply.status, reply.error["param"]) == (400, param), reply.body
    assert not CheckoutSession.objects.exists()
    assert not PaymentIntent.objects.exists()


def test_a_repeat_of_the_request_makes_no_second_session(shop: Shop) -> None:
    api = api_of(shop)
    first, again = create(api, key="once"), create(api, key="once")
    assert first.body == again.body
    assert again.header("Idempotent-Replayed") == "true"
    assert CheckoutSession.objects.count() == PaymentIntent.objects.count() == 1


def test_another_merchant_does_not_see_it(shop: Shop, other_shop: Shop) -> None:
    made, other = create(api_of(shop)).body, api_of(other_shop)
    path = f"/v1/checkout/sessions/{made['id']}"
    assert other.get(path).status == other.post(f"{path}/expire").status == 404
    assert other.get("/v1/checkout/sessions").body["data"] == []


def test_the_payment_is_confirmed_and_changed_by_the_page_alone(shop: Shop) -> None:
    api, visitor = api_of(shop), visit(shop)
    path = f"/v1/payment_intents/{visitor.intent.public_id}"
    for refused in (
        api.post(f"{path}/confirm", payment_method="pm_card_visa"),
        api.post(path, amount=999),
    ):
        assert refused.status == 400
        assert visitor.id in refused.error["message"]
    assert api.post(path, description="Books").status == 200
    assert visitor.effects() == []


def test_expiring_a_session_cancels_its_payment_and_tells_both(shop: Shop) -> None:
    api, visitor = api_of(shop), visit(shop)
    ended = api.post(f"/v1/checkout/sessions/{visitor.id}/expire").body
    assert (ended["status"], ended["url"]) == ("expired", None)
    assert (visitor.intent.status, visitor.events()) == ("CANCELED", ["checkout.session.expired"])
    again = api.post(f"/v1/checkout/sessions/{visitor.id}/expire")
    assert again.error["code"] == "checkout_session_unexpected_state"
    assert visitor.pay()["state"] == "expired"
    assert visitor.effects() == []


def test_canceling_the_payment_expires_its_session(shop: Shop) -> None:
    visitor = visit(shop)
    api_of(shop).post(f"/v1/payment_intents/{visitor.intent.public_id}/cancel")
    assert (visitor.row.status, visitor.events()) == ("expired", ["checkout.session.expired"])


def test_a_session_with_an_open_challenge_is_expired_with_it(shop: Shop) -> None:
    visitor = visit(shop)
    assert "/challenge/" in visitor.pay("pm_card_threeDSecure2Required")["go"]
    ended = api_of(shop).post(f"/v1/checkout/sessions/{visitor.id}/expire").body
    assert ended["status"] == "expired"
    shop.psp.complete_challenge(visitor.intent.operations.first().redirect_url)
    assert visitor.effects() == []


def test_the_sweep_expires_what_is_over_and_never_what_is_unknown(shop: Shop) -> None:
    over, unknown = visit(shop), visit(shop, metadata={"order_id": f"{shop.order_id}-2"})
    shop.psp.script({"drop_after": 1}, order_id=unknown.intent.order_id, kind="authorize")
    assert unknown.pay()["state"] == "checking"
    make_due(over, unknown)
    expire_due_sessions()
    assert (over.row.status, over.events()) == ("expired", ["checkout.session.expired"])
    assert (unknown.row.status, unknown.shown()) == ("open", "checking")
    assert unknown.row.next_expiry_at > now_utc()
    resolve_operation(unknown.intent.latest_charge_id, actor="test")
    assert (unknown.row.status, unknown.events()) == ("complete", ["checkout.session.completed"])
    assert unknown.status()["go"] == "https://shop.example/thanks"


def test_a_challenge_completed_in_the_last_moment_counts(shop: Shop) -> None:
    visitor = visit(shop)
    visitor.pay("pm_card_threeDSecure2Required")
    shop.psp.complete_challenge(visitor.intent.next_action_url)
    make_due(visitor)
    expire_due_sessions()
    assert (visitor.row.status, visitor.row.next_expiry_at) == ("complete", None)
    assert visitor.effects() == [("authorize", 1250), ("capture", 1250)]


def test_what_is_only_held_completes_the_session_unpaid(shop: Shop) -> None:
    visitor = visit(shop, payment_intent_data={"capture_method": "manual"})
    assert visitor.pay()["state"] == "succeeded"
    api = api_of(shop)
    shown = api.get(f"/v1/checkout/sessions/{visitor.id}").body
    assert (shown["status"], shown["payment_status"]) == ("complete", "unpaid")
    api.post(f"/v1/payment_intents/{visitor.intent.public_id}/capture")
    assert api.get(f"/v1/checkout/sessions/{visitor.id}").body["payment_status"] == "paid"
    assert visitor.events() == ["checkout.session.completed"]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("complete", "session_against_payment"), ("expired", "session_against_payment")],
)
def test_postgresql_holds_a_session_to_its_payment(
    shop: Shop, application_cursor: psycopg.Cursor[Any], status: str, expected: str
) -> None:
    visitor = visit(shop)
    with pytest.raises(psycopg.errors.CheckViolation, match=expected):
        application_cursor.execute(
            "UPDATE payments_checkout_session SET status = %s, next_expiry_at = NULL", [status]
        )
    assert visitor.row.status == "open"
