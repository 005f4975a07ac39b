"""Writes a change that came about without an operation of ours: books, rows, events, cases.

What is written has been decided elsewhere; all of it goes into the caller's transaction. What may
not live here: deciding what happened (services.own_acts and services.expiry do).
"""

from __future__ import annotations

from typing import Any, Final

from ledger import services as ledger
from ledger.statements import Batch
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.services.caller import Caller
from payments.services.cases import open_case
from payments.services.changes import INTENT_FIELDS, OPERATION_FIELDS, REFUND_FIELDS, Change
from payments.services.events import Fact, events_of, now_utc

_STATUS_AND_AMOUNTS: Final = (
    "status",
    "amount_authorized_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
    "amount_excess_minor",
    "amount_over_refunded_minor",
)


def write_change(change: Change, caller: Caller) -> None:
    """Write everything that the change holds; its rows must exist, and be locked or new.

    Refuses with what the ledger refuses; the caller's transaction cannot go on then.
    """
    intent, operation = change.intent, change.operation
    _post(change)
    intent.updated_at = now_utc()
    _write_statuses_on_the_way(change)
    events = events_of(intent, _facts(change), caller)
    batch = Batch().update(intent, INTENT_FIELDS).update(operation, OPERATION_FIELDS)
    batch.insert(*events)
    if change.charge is not operation:
        batch.update(change.charge, OPERATION_FIELDS)
    if change.refund is not None:
        change.refund.updated_at = intent.updated_at
        batch.update(change.refund, REFUND_FIELDS)
    batch.execute()
    for case in change.cases:
        open_case(case)


def _post(change: Change) -> None:
    if not change.postings:
        return
    operation, charge = change.operation, change.charge
    identifiers = ledger.post(
        change.postings,
        source_type="operation",
        source_id=operation.id,
        payment_id=change.intent.id,
        merchant_id=change.intent.merchant_id,
        psp_account=change.psp_account_code,
    )
    for posting, identifier in zip(change.postings, identifiers, strict=True):
        if posting.rule in ("captured", "refund_requested"):
            operation.balance_transaction_id = identifier
            charge.balance_transaction_id = charge.balance_transaction_id or identifier


def _write_statuses_on_the_way(change: Change) -> None:
    """Let PostgreSQL see every legal step of an intent that takes two in one transaction."""
    intent = change.intent
    final = intent.status
    for status in change.intent_passes_through:
        intent.__dict__["status"] = status
        Batch().update(intent, _STATUS_AND_AMOUNTS).execute()
    intent.__dict__["status"] = final


def _facts(change: Change) -> list[Fact]:
    """Each object as it stands after the whole change."""
    return [Fact(type_, _shown(name, change), before) for type_, name, before in change.facts]


def _shown(name: str, change: Change) -> dict[str, Any]:
    if name == "intent":
        return payment_intent_object(change.intent)
    if name == "charge":
        return charge_object(change.charge, change.intent)
    assert change.refund is not None, "only a change with a refund tells of one"
    return refund_object(change.refund, change.intent, change.operation)
