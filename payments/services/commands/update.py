"""Updates an intent before its charge, and its descriptive fields after it."""

from __future__ import annotations

import copy
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
from payments.selectors.payments import intents
from payments.services.callers.caller import Caller, Subject
from payments.services.commands.charge_guards import require_own_page
from payments.services.commands.create_and_confirm import (
    CONFIRMABLE,
    require_capturable_later,
    require_usable,
)
from payments.services.commands.intent_details import DETAIL_FIELDS, IntentDetails, apply_details
from payments.services.commands.method_options import require_honored
from payments.services.commands.purchase_details import check_purchase, recheck_purchase
from payments.services.commands.routed_methods import (
    Methods,
    Named,
    bind,
    found_methods,
    prepared_methods,
    rules_for,
)
from payments.services.commands.run import command
from payments.services.commands.setups.checks import require_saving
from payments.services.commands.transaction import CommandTx
from payments.services.operations.creation import require_current, require_no_open_change
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind

_DESCRIPTIVE = frozenset({"description", "metadata", "receipt_email", "shipping"})
"""What may still be changed after the charge."""
_MONEY_MOVED = frozenset(
    {OperationStatus.SUCCEEDED, OperationStatus.EXCESS, OperationStatus.REVERSED}
)
"""A charge in one of these held or took money at some time."""
_CHANGEABLE = (
    *DETAIL_FIELDS,
    *("amount_minor", "currency", "payment_method", "psp_account", "event_seq", "updated_at"),
)


def _prepare_update(
    caller: Caller, *, intent_id: UUID, payment_method: Named = "", **_others: Any
) -> Methods:
    routed = bool(payment_method) and bool(rules_for(caller))
    intent = intents(caller.scope).filter(pk=intent_id).first() if routed else None
    return found_methods(caller, payment_method, intent)


@command(prepare=_prepare_update)
def update_intent(
    tx: CommandTx,
    *,
    intent_id: UUID,
    details: IntentDetails,
    amount_minor: int | None = None,
    currency: str | None = None,
    payment_method: Named = "",
    charge_id: UUID | None = None,
) -> Subject:
    """Change what is to be charged, or descriptive fields; `charge_id` must be its latest charge.

    Amount, currency, method and customer only before the charge (raises UnexpectedState after it);
    description, metadata, shipping and receipt_email at any time.
    """
    intent = tx.lock_intent(intent_id)
    require_current(intent, charge_id)
    methods = prepared_methods(tx.prepared)
    method = next(iter(methods), None)
    _require_changeable(tx.caller, intent, details, amount_minor, currency, method)
    batch = Batch()
    charge = _shown_charge(intent)
    before = charge_object(charge, intent) if charge is not None else {}
    apply_details(intent, details, tx.caller)
    require_honored(intent)
    require_saving(intent)
    if details.capture_method is not None or details.payment_method_types is not None:
        require_capturable_later(intent)
    if amount_minor is not None or currency is not None:
        amount = Money(amount_minor or intent.amount_minor, currency or intent.currency)
        check_amount_limits(amount)
        intent.amount_minor, intent.currency = amount.minor, amount.currency
        recheck_purchase(intent, intent.amount)
    check_purchase(intent, intent.amount, details)
    if methods:
        # After a failed charge the payment stays at its account until it is charged again.
        moved = intent if intent.latest_charge_id is None else copy.copy(intent)
        chosen, _ = bind(moved, methods, tx.caller)
        require_usable(chosen, moved)
        if chosen._state.adding:
            batch.insert(chosen)
        intent.payment_method_id = chosen.id
    intent.updated_at = now_utc()
    if charge is not None:
        batch.insert(*_charge_updated(charge, intent, before, tx.caller))
    batch.update(intent, _CHANGEABLE).execute()
    return Subject(intent=intent)


def _shown_charge(intent: PaymentIntent) -> Operation | None:
    """The charge that shows the intent's descriptive fields; None before the first."""
    if intent.latest_charge_id is None:
        return None
    return Operation.objects.get(pk=intent.latest_charge_id)


def _charge_updated(
    charge: Operation, intent: PaymentIntent, before: dict[str, Any], caller: Caller
) -> list[Event]:
    """The event of the charge, which shows what changed; a changed intent has none of its own."""
    after = charge_object(charge, intent)
    previous = previous_attributes(before, after)
    if not previous:
        return []
    return events_of(intent, [EventDraft("charge.updated", after, previous)], caller)


def _require_nothing_ever_held(intent: PaymentIntent) -> None:
    """Refuse with UnexpectedState: the books of the payment are in its amount and currency."""
    charges = intent.operations.filter(kind=OperationKind.AUTHORIZE.value)
    if charges.filter(status__in=sorted(_MONEY_MOVED)).exists():
        raise UnexpectedState(
            "The amount and currency of this PaymentIntent can no longer be changed, because the "
            "payment provider has held or taken money for it. Create a new PaymentIntent.",
            intent=intent,
        )


def _require_changeable(
    caller: Caller,
    intent: PaymentIntent,
    details: IntentDetails,
    amount_minor: int | None,
    currency: str | None,
    method: PaymentMethod | None,
) -> None:
    given = {name for name in details.__slots__ if getattr(details, name) is not None}
    if amount_minor is None and currency is None and method is None and given <= _DESCRIPTIVE:
        if intent.status in CONFIRMABLE and not intent.published_status:
            require_no_open_change(intent)
        return
    require_own_page(intent, caller)
    if intent.status in CONFIRMABLE and not intent.published_status:
        require_no_open_change(intent)
        amount = Money(amount_minor or intent.amount_minor, currency or intent.currency)
        if amount != intent.amount:
            _require_nothing_ever_held(intent)
        return
    status = payment_intent_object(intent)["status"]
    replaces = method is not None and status == "requires_action"
    instead = " To charge another payment method, confirm with it." if replaces else ""
    raise UnexpectedState(
        f"This PaymentIntent could not be updated because it has a status of {status}. Only "
        f"description, metadata, receipt_email and shipping can still be changed.{instead}",
        intent=intent,
    )
