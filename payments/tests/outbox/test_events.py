"""Each change emits an event, with the previous values that the merchant has seen."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import payments
from payments import public_ids
from payments.event_types import EVENT_TYPES
from payments.models import Customer, Event, PaymentMethod
from payments.services import commands
from payments.services.callers.caller import Answer, Caller, CommandRequest
from payments.services.commands import IntentDetails, customers, payment_methods
from payments.services.commands.customers import CustomerDetails
from payments.tests.support.shop import Shop, body_of, render_intent, uuid_of


def told(type_: str) -> list[Event]:
    return list(Event.objects.filter(type=type_).order_by("id"))


def previous_of(type_: str) -> dict[str, Any]:
    [event] = told(type_)
    return event.payload["previous_attributes"]


def answer_with_id(row: Customer | PaymentMethod, caller: Caller) -> Answer:
    return Answer(status=200, body=str(row.id))


def test_the_events_of_a_refund_name_the_previous_amounts_and_status(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id, 2_500)
    assert previous_of("charge.refunded") == {"amount_refunded": 0}
    previous = previous_of("refund.updated")
    assert previous["status"] == "pending"
    assert previous["balance_transaction"] is None
    assert previous_of("charge.refund.updated") == previous
    shop.refund(intent_id)
    assert told("charge.refunded")[-1].payload["previous_attributes"] == {
        "amount_refunded": 2_500,
        "refunded": False,
    }


def test_the_event_of_a_pending_refund_names_no_previous_status(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, token="pm_card_pendingRefund"))["id"]
    shop.refund(intent_id, 2_500)
    assert set(previous_of("refund.updated")) == {"balance_transaction"}
    assert told("charge.refunded") == []


def test_the_event_of_a_capture_names_the_amount_captured_before(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 6_000)
    previous = previous_of("charge.captured")
    assert (previous["amount_captured"], previous["captured"]) == (0, False)


def test_the_events_of_a_void_and_an_increment_name_the_previous_values(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.increment(intent_id, 12_000)
    previous = previous_of("charge.updated")
    details = previous.pop("payment_method_details")
    assert previous == {"amount": 10_000}
    assert details["card"]["overcapture"]["maximum_amount_capturable"] == 10_000
    shop.cancel(intent_id)
    last = told("charge.updated")[-1].payload
    assert last["previous_attributes"]["amount_refunded"] == 0
    assert last["object"]["refunded"] is True


def test_a_new_description_of_a_charged_intent_emits_an_event_of_its_charge(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    seq_before = shop.intent(intent_id).event_seq
    _describe(shop, intent_id, "Two tickets")
    assert previous_of("charge.updated") == {"description": None}
    assert shop.intent(intent_id).event_seq == seq_before + 1
    _describe(shop, intent_id, "Two tickets")
    assert len(told("charge.updated")) == 1, "nothing changed the second time"


def test_a_new_description_of_an_uncharged_intent_emits_no_event(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, confirm=False))["id"]
    _describe(shop, intent_id, "Two tickets")
    assert [event.type for event in Event.objects.all()] == ["payment_intent.created"]


def test_deleting_a_customer_emits_an_event_for_each_detached_method(shop: Shop) -> None:
    customer_id = uuid_of_customer(shop)
    for token in ("pm_card_visa", "pm_card_mastercard"):
        payment_methods.attach_payment_method(
            CommandRequest(shop.caller(), render=answer_with_id),
            reference=token,
            customer_id=customer_id,
        )
    customers.delete_customer(caller=shop.caller(), customer_id=customer_id)
    detached = told("payment_method.detached")
    named = public_ids.encode(public_ids.CUSTOMER, customer_id)
    assert [event.payload["previous_attributes"] for event in detached] == [
        {"customer": named},
        {"customer": named},
    ]
    assert {event.payload["object"]["customer"] for event in detached} == {None}
    methods = PaymentMethod.objects.all()
    assert {event.aggregateid for event in detached} == {method.id for method in methods}
    assert {(m.customer_id, m.event_seq, m.detached_at is None) for m in methods} == {
        (None, 2, False)
    }
    assert len(told("customer.deleted")) == 1


def test_every_event_names_its_actor_request_and_idempotency_key(shop: Shop) -> None:
    caller = shop.caller("key-1", {"a": 1}, request_id="req_1")
    shop.create(10_000, caller=caller)
    assert {(e.actor, e.request_id, e.idempotency_key) for e in Event.objects.all()} == {
        ("test", "req_1", "key-1")
    }
    assert [event.seq for event in Event.objects.order_by("id")] == [1, 2, 3]


def test_every_name_of_an_event_in_the_code_is_declared() -> None:
    named = set(_names_in_the_code())
    assert named - set(EVENT_TYPES) == set()
    assert len(named) >= 20


def _names_in_the_code() -> Iterator[str]:
    """Texts that are given to `emit`, `emit_if_answered` or `EventDraft`."""
    for path in (Path(payments.__file__).parent / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and _emits(node.func):
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield first.value


def _emits(function: ast.expr) -> bool:
    if isinstance(function, ast.Attribute):
        return function.attr in ("emit", "emit_if_answered")
    return isinstance(function, ast.Name) and function.id == "EventDraft"


def _describe(shop: Shop, intent_id: str, description: str) -> None:
    commands.update_intent(
        CommandRequest(shop.caller(), render=render_intent),
        intent_id=uuid_of(intent_id),
        details=IntentDetails(description=description),
    )


def uuid_of_customer(shop: Shop) -> Any:
    customers.create_customer(
        CommandRequest(shop.caller(), render=answer_with_id), details=CustomerDetails(name="Ada")
    )
    return Customer.objects.get().id
