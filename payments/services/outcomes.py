"""The one door: a PSP's word on an operation becomes state, books, events and the answer.

The PSP's answer, a notification, the sweep of lost operations and a settlement line all come
through `record_outcome`, which writes everything in one transaction or nothing. Lock order:
idempotency key, intent, operation, charge. What may not live here: network.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger import services as ledger
from ledger.statements import Batch, columns_of, execute, instance_of, table_of
from payments.event_types import TELL_PREVIOUS
from payments.models import IdempotencyKey, Merchant, Operation, PaymentIntent, Refund
from payments.objects.charge import charge_object
from payments.objects.payment_intent import payment_intent_object
from payments.objects.refund import refund_object
from payments.selectors.balance import available_on_of
from payments.services import idempotency
from payments.services.caller import Answer, Caller, Renderer, Subject
from payments.services.cases import open_case
from payments.services.changes import (
    INTENT_FIELDS,
    OPERATION_FIELDS,
    REFUND_FIELDS,
    Change,
)
from payments.services.effects import apply_effect
from payments.services.events import Fact, events_of, now_utc
from payments.services.metadata import previous_attributes
from payments.services.psp import psp_account_of
from payments.states import OPERATION_OPEN, OperationStatus
from psp_adapters.contract import OperationKind, Outcome, PspResult

# Seconds until the next look, by the number of looks taken; then hourly (reliability rule 5.3).
CHECK_SCHEDULE_SECONDS: Final = (2, 5, 10, 20, 40, 120, 600, 3600)

_SAME: Final = {
    Outcome.PENDING: OperationStatus.PENDING,
    Outcome.REQUIRES_ACTION: OperationStatus.REQUIRES_ACTION,
    Outcome.UNKNOWN: OperationStatus.UNKNOWN,
}


@dataclass(slots=True)
class Recorded:
    """What stands in the database after an outcome was recorded."""

    subject: Subject
    changed: bool
    answer: Answer | None
    """The final answer of the request that began the operation; None if it has none (yet)."""


@dataclass(slots=True)
class _Locked:
    key: IdempotencyKey | None
    intent: PaymentIntent
    operation: Operation


def record_outcome(
    *,
    operation: Operation,
    result: PspResult,
    caller: Caller,
    renderer: Renderer | None = None,
    sender_lease: datetime | None = None,
) -> Recorded:
    """Record what a PSP said of an operation and everything that follows, in one transaction.

    A result for an operation that is already closed changes nothing. With a renderer, the request's
    final answer is rendered and stored under its key, unless it has one or nothing was sent.

    `sender_lease` is the lease under which the operation was sent. If it has passed to somebody
    else, "not sent" says nothing any more: recovery may have sent the same request meanwhile.
    """
    with transaction.atomic(durable=True):
        locked = _lock(operation)
        result = _fenced(locked.operation, result, sender_lease)
        changed = locked.operation.status in OPERATION_OPEN and not _says_nothing_new(
            locked.operation, result
        )
        batch = Batch()
        refund = _refund_of(locked.operation)
        if changed:
            _make_change(locked, refund, result, caller, batch)
        elif locked.operation.status in OPERATION_OPEN:
            _schedule_check(locked.operation)
            batch.update(locked.operation, OPERATION_FIELDS)
        subject = Subject(intent=locked.intent, operation=locked.operation, refund=refund)
        if renderer is not None and _expands(locked, caller):
            batch.execute()  # What is expanded is read back: it must show this change.
            batch = Batch()
        answer = _answer(locked, subject, caller, renderer, batch)
        batch.execute()
    return Recorded(subject=subject, changed=changed, answer=answer)


def _fenced(operation: Operation, result: PspResult, sender_lease: datetime | None) -> PspResult:
    late = sender_lease is not None and operation.lease_until != sender_lease
    if late and result.outcome is Outcome.NOT_SENT:
        detail = f"not sent by a sender whose lease was over: {result.detail}"
        return replace(result, outcome=Outcome.UNKNOWN, detail=detail)
    return result


def _lock(operation: Operation) -> _Locked:
    """Lock key, intent and operation, in this order, with one statement.

    PostgreSQL takes the row locks of `FOR UPDATE OF a, b, c` in the order of that list, and returns
    the newest version of each row.
    """
    rows = []
    if operation.idempotency_id is not None:
        rows = execute(_lock_sql(with_key=True), [operation.idempotency_id, operation.id])
    if not rows:  # Sent without a key, or so long ago that the key is forgotten.
        key, rest = None, execute(_lock_sql(with_key=False), [operation.id])[0]
    else:
        row = rows[0]
        width = len(IdempotencyKey._meta.concrete_fields)
        key, rest = instance_of(IdempotencyKey, row[:width]), row[width:]
        if key.operation_id != operation.id:
            key = None  # The key was taken over by a later operation of the same request.
    width = len(PaymentIntent._meta.concrete_fields)
    return _Locked(
        key=key,
        intent=instance_of(PaymentIntent, rest[:width]),
        operation=instance_of(Operation, rest[width:]),
    )


@cache
def _lock_sql(*, with_key: bool) -> str:
    columns = f"{columns_of(PaymentIntent, 'i')}, {columns_of(Operation, 'o')}"
    tables = f"{table_of(PaymentIntent)} i JOIN {table_of(Operation)} o ON o.intent_id = i.id"
    if not with_key:
        return f"SELECT {columns} FROM {tables} WHERE o.id = %s FOR UPDATE OF i, o"
    return (
        f"SELECT {columns_of(IdempotencyKey, 'k')}, {columns} "
        f"FROM {table_of(IdempotencyKey)} k, {tables} "
        "WHERE k.id = %s AND o.id = %s FOR UPDATE OF k, i, o"
    )


def _says_nothing_new(operation: Operation, result: PspResult) -> bool:
    if result.outcome is Outcome.UNKNOWN:
        return bool(operation.status != OperationStatus.SENDING)
    return bool(_SAME.get(result.outcome) == operation.status)


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    return Refund.objects.select_for_update().get(operation_id=operation.id)


def _charge_of(locked: _Locked) -> Operation:
    if locked.operation.is_charge:
        return locked.operation
    assert locked.operation.charge_id is not None, "only a charge has something to change"
    return Operation.objects.select_for_update().get(pk=locked.operation.charge_id)


def _make_change(
    locked: _Locked,
    refund: Refund | None,
    result: PspResult,
    caller: Caller,
    batch: Batch,
) -> None:
    intent, operation = locked.intent, locked.operation
    account, charge = psp_account_of(operation.psp_account_id), _charge_of(locked)
    change = Change(
        merchant=_merchant_of(intent, caller),
        psp_account_code=account.code,
        settlement_delay_days=account.settlement_delay_days,
        charge_available_on=_available_on_of(charge) if refund is not None else None,
        intent=intent,
        operation=operation,
        charge=charge,
        refund=refund,
        result=result,
        answered=locked.key is None or locked.key.answer_status is not None,
    )
    before = _shown_before(change)
    apply_effect(change)
    _post(change)
    _close_or_schedule(operation)
    intent.updated_at = now_utc()
    _write_statuses_on_the_way(change)
    events = events_of(intent, _facts(change, before), caller)
    batch.update(intent, INTENT_FIELDS).update(operation, OPERATION_FIELDS).insert(*events)
    if change.charge is not operation:
        batch.update(change.charge, OPERATION_FIELDS)
    if refund is not None:
        refund.updated_at = intent.updated_at
        batch.update(refund, REFUND_FIELDS)
    for case in change.cases:
        open_case(case)


def _available_on_of(charge: Operation) -> date | None:
    identifier = charge.balance_transaction_id
    return available_on_of(identifier) if identifier is not None else None


def _merchant_of(intent: PaymentIntent, caller: Caller) -> Merchant:
    if caller.merchant.id == intent.merchant_id:
        return caller.merchant
    raise ValueError("an outcome is recorded on behalf of the payment's own merchant")


def _post(change: Change) -> None:
    """Book the change; remember which ledger transaction changed what we owe the merchant."""
    if not change.postings:
        return
    operation = change.operation
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
            if change.charge.balance_transaction_id is None:
                change.charge.balance_transaction_id = identifier


def _close_or_schedule(operation: Operation) -> None:
    if operation.status in OPERATION_OPEN:
        _schedule_check(operation)
        return
    operation.closed_at = now_utc()
    operation.next_check_at = None


def _schedule_check(operation: Operation) -> None:
    """When to look next, with ±50 % jitter so that many lost operations do not come at once."""
    step = min(operation.checks, len(CHECK_SCHEDULE_SECONDS) - 1)
    seconds = CHECK_SCHEDULE_SECONDS[step] * random.uniform(0.5, 1.5)
    operation.checks += 1
    operation.lease_until = now_utc()  # Whoever asked is done; the next to look may take it.
    operation.next_check_at = operation.lease_until + timedelta(seconds=seconds)


def put_off(operation_id: UUID, error: Exception) -> None:
    """Look at an operation later and later if looking at it fails, and keep what went wrong."""
    with transaction.atomic(durable=True):
        operation = Operation.objects.select_for_update().get(pk=operation_id)
        if operation.status not in OPERATION_OPEN:
            return
        operation.detail = f"{type(error).__name__}: {error}"[:500]
        _schedule_check(operation)
        Batch().update(operation, OPERATION_FIELDS).execute()


def _write_statuses_on_the_way(change: Change) -> None:
    """Let PostgreSQL see every legal step of an intent that takes two in one transaction."""
    intent = change.intent
    final = intent.status
    for status in change.intent_passes_through:
        intent.__dict__["status"] = status
        Batch().update(intent, ("status", *_AMOUNTS)).execute()
    intent.__dict__["status"] = final


_AMOUNTS: Final = (
    "amount_authorized_minor",
    "amount_captured_minor",
    "amount_refunded_minor",
    "amount_refund_pending_minor",
)


def _shown_before(change: Change) -> dict[str, dict[str, Any]]:
    """Charge and refund as they were shown until now; a charge that is only made was not."""
    names = ["charge"] if change.charge is not change.operation else []
    names += ["refund"] if change.refund is not None else []
    return {name: _RENDER[name](change) for name in names}


def _facts(change: Change, before: dict[str, dict[str, Any]]) -> list[Fact]:
    """Render each object once, as it stands after the whole change.

    Facts that tell of a change to an object say what it was; those of no visible change are left
    out.
    """
    shown: dict[str, dict[str, Any]] = {}
    facts = []
    for type_, name, previous in change.facts:
        if name not in shown:
            shown[name] = _RENDER[name](change)
        if previous is None and type_ in TELL_PREVIOUS and name in before:
            previous = previous_attributes(before[name], shown[name])
            if not previous:
                continue
        facts.append(Fact(type_, shown[name], previous))
    return facts


_RENDER: Final = {
    "intent": lambda change: payment_intent_object(change.intent),
    "charge": lambda change: charge_object(change.charge, change.intent),
    "refund": lambda change: refund_object(change.refund, change.intent, change.operation),
}


def _expands(locked: _Locked, caller: Caller) -> bool:
    return bool(locked.key.expand if locked.key is not None else caller.expand)


def _answer(
    locked: _Locked,
    subject: Subject,
    caller: Caller,
    renderer: Renderer | None,
    batch: Batch,
) -> Answer | None:
    key, operation = locked.key, locked.operation
    if key is not None and key.answer_status is not None:
        return idempotency.stored_answer(key)
    if renderer is None or operation.status == OperationStatus.NOT_SENT:
        return None
    if key is None:
        return renderer(subject, caller)
    answer = renderer(subject, idempotency.caller_of(caller, key))
    return idempotency.put_answer(batch, key, answer)
