"""Writes a change, however it came about: books, rows, events, cases.

What is written has been decided elsewhere (services.effects, services.own_acts, services.expiry);
all of it goes into the caller's transaction. What may not live here: deciding what happened.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final

from ledger import services as ledger
from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.event_types import TELL_PREVIOUS
from payments.models import Operation
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.selectors.balance import available_on_of
from payments.services.callers.caller import Caller
from payments.services.cases.opening import open_case
from payments.services.outbox.events import Fact, events_of, previous_attributes
from payments.services.outcomes import bookings
from payments.services.outcomes.change import INTENT_FIELDS, OPERATION_FIELDS, REFUND_FIELDS, Change
from payments.services.outcomes.prior_state import source_of

_STATUS_AND_AMOUNTS: Final = (
    "status",
    "amount_authorized_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
    "amount_excess_minor",
    "amount_over_refunded_minor",
)
_RENDER: Final = {
    "intent": lambda change: payment_intent_object(change.intent),
    "charge": lambda change: charge_object(change.charge, change.intent),
    "refund": lambda change: refund_object(change.refund, change.intent, change.operation),
}


def available_on_of_charge(charge: Operation) -> date | None:
    """When the money of a charge becomes available; None: it was at once, or none was taken."""
    identifier = charge.balance_transaction_id
    return available_on_of(identifier) if identifier is not None else None


def remember_what_was_shown(change: Change, *, charge: bool) -> None:
    """Keep what the objects showed before the change is made; `charge`: was it shown at all?"""
    names = ["charge"] if charge else []
    names += ["refund"] if change.refund is not None else []
    change.shown_before = {name: _RENDER[name](change) for name in names}


def put_change(batch: Batch, change: Change, caller: Caller) -> None:
    """Post the change, and put its rows and events into the batch; its rows must be locked or new.

    Refuses with what the ledger refuses; the caller's transaction cannot go on then.
    """
    intent, operation = change.intent, change.operation
    _post(change)
    intent.updated_at = now_utc()
    _write_statuses_on_the_way(change)
    events = events_of(intent, _facts(change), caller)
    batch.update(intent, INTENT_FIELDS).update(operation, OPERATION_FIELDS).insert(*events)
    if change.charge is not operation:
        batch.update(change.charge, OPERATION_FIELDS)
    if change.refund is not None:
        change.refund.updated_at = intent.updated_at
        batch.update(change.refund, REFUND_FIELDS)
    for case in change.cases:
        open_case(case)


def _post(change: Change) -> None:
    """Book the change; remember which ledger transaction changed what we owe the merchant."""
    if not change.postings:
        return
    operation = change.operation
    identifiers = ledger.post(
        change.postings,
        source_type=source_of(operation),
        source_id=operation.id,
        payment_id=change.intent.id,
        merchant_id=change.intent.merchant_id,
        psp_account=change.psp_account_code,
    )
    for posting, identifier in zip(change.postings, identifiers, strict=True):
        if posting.rule in bookings.BALANCE_TRANSACTION:
            operation.balance_transaction_id = identifier
            if change.charge.balance_transaction_id is None:
                change.charge.balance_transaction_id = identifier
        elif posting.rule in bookings.FAILURE_BALANCE_TRANSACTION:
            operation.failure_balance_transaction_id = identifier


def _write_statuses_on_the_way(change: Change) -> None:
    """Let PostgreSQL see every legal step of an intent that takes two in one transaction."""
    intent = change.intent
    final = intent.status
    for status in change.intent_passes_through:
        intent.__dict__["status"] = status
        Batch().update(intent, _STATUS_AND_AMOUNTS).execute()
    intent.__dict__["status"] = final


def _facts(change: Change) -> list[Fact]:
    """Render each object once, as it stands after the whole change.

    Facts that tell of a change to an object say what it was; those of no visible change are left
    out.
    """
    shown: dict[str, dict[str, Any]] = {}
    facts = []
    for type_, name in change.facts:
        if name not in shown:
            shown[name] = _RENDER[name](change)
        previous = None
        if type_ in TELL_PREVIOUS and name in change.shown_before:
            previous = previous_attributes(change.shown_before[name], shown[name])
            if not previous:
                continue
        facts.append(Fact(type_, shown[name], previous))
    return facts
