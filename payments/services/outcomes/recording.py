"""Records a PSP's result for an operation: state, postings, events and the request's answer.

This is the one door. Direct answers, notifications, the recovery sweep and settlement lines all
come through `record_outcome`, which writes everything in one transaction or nothing. Lock order:
idempotency key, intent, operation, charge.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.db import transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import IdempotencyKey, Merchant, Operation, PaymentIntent, Refund
from payments.services.callers.caller import Answer, Caller, Renderer, Subject
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency import keys
from payments.services.outcomes.change import OPERATION_FIELDS, Change, put_change
from payments.services.outcomes.check_schedule import schedule_check, unknown_if_lease_passed
from payments.services.outcomes.effect_table import (
    ConflictsWithBooks,
    Deferred,
    NoEffect,
    Revision,
    apply_effect,
    apply_late_effect,
    revision_of,
)
from payments.services.outcomes.locking import LockedRows, lock_rows
from payments.services.outcomes.prior_state import read_prior_state
from payments.states import OPERATION_OPEN, CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult

CONFIRM_AFTER_SECONDS: Final = 2.0
"""After a late outcome the PSP is looked up once more: even that result may have been stale."""

_SAME: Final = {
    Outcome.PENDING: OperationStatus.PENDING,
    Outcome.REQUIRES_ACTION: OperationStatus.REQUIRES_ACTION,
    Outcome.UNKNOWN: OperationStatus.UNKNOWN,
}


class Disposition(StrEnum):
    """What was done with a PSP's result."""

    APPLIED = "applied"
    """Recorded, with everything that follows."""
    NO_CHANGE = "no_change"
    """It says nothing new."""
    DEFERRED = "deferred"
    """Not recorded yet; a new look-up is scheduled."""
    CONFLICT = "conflict"
    """It contradicts what is recorded; an operator must decide."""


@dataclass(slots=True)
class Recorded:
    """The rows after an outcome was recorded, and what was done with it."""

    subject: Subject
    changed: bool
    answer: Answer | None
    """The final answer of the request that began the operation; None if there is none (yet)."""
    disposition: Disposition
    why: str = ""


def record_outcome(
    *,
    operation: Operation,
    result: PspResult,
    caller: Caller,
    renderer: Renderer | None = None,
    sender_lease: datetime | None = None,
    look_lease: datetime | None = None,
) -> Recorded:
    """Record a PSP's result for an operation and everything that follows, in one transaction.

    A result that differs from the one that closed the operation is recorded only if it was looked
    up under the operation's present lease, `look_lease`. Otherwise a new look-up is scheduled. With
    a renderer, the request's final answer is rendered and stored under its key, unless it has one
    or nothing was sent.

    `sender_lease` is the lease under which the operation was sent. If another worker
    has it by now, "not sent" counts as unknown: recovery may have sent the same request.
    """
    with transaction.atomic(durable=True):
        locked = lock_rows(operation)
        caller = _with_key(caller, locked.key)
        result = unknown_if_lease_passed(
            result, sender_lease=sender_lease, lease_until=locked.operation.lease_until
        )
        batch = Batch()
        refund = _refund_of(locked.operation)
        disposition, why = Disposition.NO_CHANGE, ""
        if locked.operation.status not in OPERATION_OPEN:
            disposition, why = _record_late(locked, refund, result, caller, batch, look_lease)
        elif _says_nothing_new(locked.operation, result):
            schedule_check(locked.operation, result.retry_after_seconds)
            batch.update(locked.operation, OPERATION_FIELDS)
        else:
            disposition = Disposition.APPLIED
            _make_change(locked, refund, result, caller, batch)
        if result.contradicts_us:
            case = case_about_operation(CaseKind.CONTRADICTION, locked.operation, result.detail)
            open_case(case)
        subject = Subject(intent=locked.intent, operation=locked.operation, refund=refund)
        if renderer is not None and _expands(locked, caller):
            batch.execute()  # What is expanded is read back: it must show this change.
            batch = Batch()
        answer = _answer(locked, subject, caller, renderer, batch)
        batch.execute()
    changed = disposition is Disposition.APPLIED
    return Recorded(
        subject=subject, changed=changed, answer=answer, disposition=disposition, why=why
    )


def _with_key(caller: Caller, key: IdempotencyKey | None) -> Caller:
    """Events name the request that began the operation, even if recovery records the outcome."""
    if caller.idempotency_key or key is None:
        return caller
    return replace(caller, idempotency_key=key.key)


def _says_nothing_new(operation: Operation, result: PspResult) -> bool:
    if result.outcome is Outcome.UNKNOWN:
        return bool(operation.status != OperationStatus.SENDING)
    return bool(_SAME.get(result.outcome) == operation.status)


def _record_late(
    locked: LockedRows,
    refund: Refund | None,
    result: PspResult,
    caller: Caller,
    batch: Batch,
    look_lease: datetime | None,
) -> tuple[Disposition, str]:
    """Record, defer or reject a result for an operation that is closed."""
    operation = locked.operation
    revision = revision_of(operation.status, result.outcome)
    if operation.lease_until != look_lease:
        if revision is None:
            return Disposition.NO_CHANGE, ""
        # A look-up that is under way may be older than this result: end its lease.
        operation.lease_until = operation.next_check_at = now_utc()
        batch.update(operation, OPERATION_FIELDS)
        return Disposition.DEFERRED, f"the provider says {result.outcome}, and is asked again"
    try:
        if revision is not None:
            _make_change(locked, refund, result, caller, batch, revision=revision)
            return Disposition.APPLIED, ""
        disposition, why = Disposition.NO_CHANGE, ""
        if result.outcome in _SAME:
            disposition, why = Disposition.DEFERRED, "the provider has yet to say how it ends"
    except Deferred as reason:
        disposition, why = Disposition.DEFERRED, str(reason)
    except ConflictsWithBooks as reason:
        disposition, why = Disposition.CONFLICT, str(reason)
    except NoEffect:
        disposition, why = Disposition.NO_CHANGE, ""
    operation.lease_until, operation.next_check_at = now_utc(), None
    if disposition is Disposition.DEFERRED:
        schedule_check(operation)
    batch.update(operation, OPERATION_FIELDS)
    return disposition, why


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    return Refund.objects.select_for_update().get(operation_id=operation.id)


def _charge_of(locked: LockedRows) -> Operation:
    if locked.operation.is_charge:
        return locked.operation
    assert locked.operation.charge_id is not None, "only a charge has something to change"
    return Operation.objects.select_for_update().get(pk=locked.operation.charge_id)


def _make_change(
    locked: LockedRows,
    refund: Refund | None,
    result: PspResult,
    caller: Caller,
    batch: Batch,
    *,
    revision: Revision | None = None,
) -> None:
    intent, operation = locked.intent, locked.operation
    merchant = _merchant_of(intent, caller)
    change = Change.of(
        merchant=merchant,
        intent=intent,
        operation=operation,
        charge=_charge_of(locked),
        refund=refund,
        result=result,
        answered=locked.key is None or locked.key.answer_status is not None,
        prior_state=read_prior_state(merchant, intent, operation) if revision is not None else None,
    )
    if revision is None:
        apply_effect(change)
    else:
        apply_late_effect(change, revision)
    _close_or_schedule(operation, result.retry_after_seconds)
    if revision is not None:
        operation.checks = 0
        operation.next_check_at = now_utc() + timedelta(seconds=CONFIRM_AFTER_SECONDS)
    put_change(batch, change, caller)


def _merchant_of(intent: PaymentIntent, caller: Caller) -> Merchant:
    if caller.merchant.id == intent.merchant_id:
        return caller.merchant
    raise ValueError("an outcome is recorded on behalf of the payment's own merchant")


def _close_or_schedule(operation: Operation, look_in_seconds: float | None) -> None:
    if operation.status in OPERATION_OPEN:
        schedule_check(operation, look_in_seconds)
        return
    # A look-up that is under way may be stale: end its lease.
    operation.closed_at = operation.lease_until = now_utc()
    operation.next_check_at = None


def _expands(locked: LockedRows, caller: Caller) -> bool:
    return bool(locked.key.expand if locked.key is not None else caller.expand)


def _answer(
    locked: LockedRows,
    subject: Subject,
    caller: Caller,
    renderer: Renderer | None,
    batch: Batch,
) -> Answer | None:
    if locked.operation.status == OperationStatus.NOT_SENT:
        renderer = None  # the key stays open: the same request may come again
    return keys.answer_under_key(batch, locked.key, subject, caller, renderer)
