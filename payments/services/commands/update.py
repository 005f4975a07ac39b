"""Update an intent that has not been charged, and the words about one that has."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ledger.database.statements import Batch
from ledger.money import Money
from payments.amounts import check_amount_limits
from payments.clock import now_utc
from payments.exceptions import UnexpectedState
from payments.models import Event, Operation, PaymentIntent, PaymentMethod
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.services.callers.caller import Answer, Caller, Renderer, Subject
from payments.services.commands.create_and_confirm import CONFIRMABLE, require_usable
from payments.services.commands.intent_details import DETAIL_FIELDS, IntentDetails, put_details
from payments.services.commands.payment_methods import find_payment_method
from payments.services.commands.run import Ground, locked_intent, move
from payments.services.operations.creation import require_no_open_change
from payments.services.outbox.events import EventDraft, events_of, previous_attributes

# What may still be said about an intent after it was charged.
_WORDS = frozenset({"description", "metadata", "receipt_email", "shipping"})


def update_intent(
    *,
    caller: Caller,
    renderer: Renderer,
    intent_id: UUID,
    details: IntentDetails,
    amount_minor: int | None = None,
    currency: str | None = None,
    payment_method: str = "",
) -> Answer:
    """Change what is to be charged, or words about it.

    Amount, currency, method and customer only before the charge (UnexpectedState otherwise);
    description, metadata, shipping and receipt_email at any time.
    """
    find_method = find_payment_method(caller, payment_method)

    def begin(ground: Ground) -> Answer:
        intent = locked_intent(caller, intent_id)
        method = find_method()
        _require_changeable(intent, details, amount_minor, currency, method)
        batch = Batch()
        charge = _shown_charge(intent)
        before = charge_object(charge, intent) if charge is not None else {}
        put_details(intent, details, caller)
        if amount_minor is not None or currency is not None:
            amount = Money(amount_minor or intent.amount_minor, currency or intent.currency)
            check_amount_limits(amount)
            intent.amount_minor, intent.currency = amount.minor, amount.currency
        if method is not None:
            require_usable(method, intent)
            if method._state.adding:
                batch.insert(method)
            intent.payment_method_id = method.id
        intent.updated_at = now_utc()
        if charge is not None:
            batch.insert(*_charge_updated(charge, intent, before, caller))
        batch.update(
            intent,
            (
                *DETAIL_FIELDS,
                "amount_minor",
                "currency",
                "payment_method",
                "event_seq",
                "updated_at",
            ),
        )
        return ground.answer(batch, Subject(intent=intent))

    return move(caller=caller, renderer=renderer, begin=begin)


def _shown_charge(intent: PaymentIntent) -> Operation | None:
    """The charge that repeats the intent's words; before the first there is none."""
    if intent.latest_charge_id is None:
        return None
    return Operation.objects.get(pk=intent.latest_charge_id)


def _charge_updated(
    charge: Operation, intent: PaymentIntent, before: dict[str, Any], caller: Caller
) -> list[Event]:
    """An intent has no event for its words; its charge, which repeats them, has one."""
    after = charge_object(charge, intent)
    previous = previous_attributes(before, after)
    if not previous:
        return []
    return events_of(intent, [EventDraft("charge.updated", after, previous)], caller)


def _require_changeable(
    intent: PaymentIntent,
    details: IntentDetails,
    amount_minor: int | None,
    currency: str | None,
    method: PaymentMethod | None,
) -> None:
    stays = currency in (None, intent.currency) or not intent.amount_excess_minor
    if intent.status in CONFIRMABLE and not intent.published_status and stays:
        require_no_open_change(intent)
        return
    given = {name for name in details.__slots__ if getattr(details, name) is not None}
    if amount_minor is None and currency is None and method is None and given <= _WORDS:
        return
    status = payment_intent_object(intent)["status"]
    raise UnexpectedState(
        f"This PaymentIntent could not be updated because it has a status of {status}. Only "
        "description, metadata, receipt_email and shipping can still be changed.",
        intent=intent,
    )
