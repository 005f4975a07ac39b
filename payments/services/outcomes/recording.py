"""Records the first result of an open operation, wherever it came from, in one transaction.

Direct answers, look-ups of recovery and notifications come through `record_outcome`. Anything else
that a PSP reports is deferred to `late_and_external`. Lock order: idempotency key, intent,
operation, charge.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
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
from payments.services.outcomes.effect_table import apply_effect
from payments.services.outcomes.further_operations import record_further_operations
from payments.services.outcomes.locking import LockedRows, lock_rows
from payments.services.outcomes.next_charge import (
    ChargeElsewhere,
    may_be_charged_elsewhere,
    move_on,
)
from payments.services.outcomes.replacement import never_reached_psp, replace_or_open_case
from payments.services.outcomes.result_checks import (
    holds_otherwise,
    revision_of,
    why_amounts_do_not_fit,
)
from payments.states import OPERATION_OPEN, OPERATION_OUTCOME_UNKNOWN, CaseKind, OperationStatus
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspResult,
)

logger = logging.getLogger(__name__)

SYNC_AFTER_SECONDS: Final = 0.05
"""A result whose amounts do not fit has the payment synced at once: a client may wait for it."""
SYNCS_AT_ONCE: Final = 3
"""After so many checks the usual schedule holds: the PSP's list of a payment may lag for long."""

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
    """Not recorded: the whole payment must be synced, and is due for it now."""


@dataclass(slots=True)
class Recorded:
    """The rows after an outcome was recorded, and what was done with it."""

    subject: Subject
    answer: Answer | None
    """The final answer of the request that began the operation; None if there is none (yet)."""
    disposition: Disposition
    why: str = ""
    next_charge: Operation | None = None
    """The charge at another account that goes on in its place, written and not sent yet."""

    @property
    def changed(self) -> bool:
        return self.disposition is Disposition.APPLIED


def record_outcome(
    *,
    operation: Operation,
    result: PspResult,
    caller: Caller,
    renderer: Renderer | None = None,
    sender_lease: datetime | None = None,
    was_accepted: Callable[[], bool] = bool,
    elsewhere: ChargeElsewhere | None = None,
) -> Recorded:
    """Record a PSP's result for an operation and everything that follows, in one transaction.

    Only a first result is recorded here. One that differs from the result that closed the
    operation, or whose amounts do not fit our books, has the whole payment synced: its snapshot
    decides. With a renderer, the request's final answer is rendered and stored under its key,
    unless it has one or nothing was sent.

    `sender_lease` is the lease under which the operation was sent. If another worker
    has it by now, "not sent" counts as unknown: recovery may have sent the same request.

    `was_accepted`: may the merchant have been told that it is being processed? Asked under the
    locks. A change or refund that was not sent is then replaced (`replacement`). A key that was
    answered says so as well. A charge that was not accepted may go on `elsewhere` (`next_charge`).
    """
    with transaction.atomic(durable=True):
        locked = lock_rows(operation)
        result = _credible(result, locked.operation, sender_lease)
        batch = Batch()
        refund = _refund_of(locked.operation)
        charge = _charge_of(locked)
        disposition, why, following = _record_locked(
            *(locked, charge, refund, result, caller, batch),
            sender_lease=sender_lease,
            was_accepted=was_accepted,
            elsewhere=elsewhere,
        )
        _warn_of(locked.operation, result, is_new=disposition is Disposition.APPLIED)
        subject = Subject(intent=locked.intent, operation=locked.operation, refund=refund)
        if renderer is not None and _expands(locked, caller):
            batch.execute()  # What is expanded is read back: it must show this change.
            batch = Batch()
        answer = _answer(locked, subject, caller, None if following else renderer, batch)
        batch.execute()
        if result.also_found:
            record_further_operations(locked.operation, charge, result)
    return Recorded(
        subject=subject,
        answer=answer,
        disposition=disposition,
        why=why,
        next_charge=following,
    )


def _record_locked(
    locked: LockedRows,
    charge: Operation,
    refund: Refund | None,
    result: PspResult,
    caller: Caller,
    batch: Batch,
    *,
    sender_lease: datetime | None,
    was_accepted: Callable[[], bool],
    elsewhere: ChargeElsewhere | None,
) -> tuple[Disposition, str, Operation | None]:
    """What was done with the result, why, and the charge that goes on at another account."""
    operation = locked.operation
    if operation.status not in OPERATION_OPEN:
        return *_about_closed(operation, charge, result), None
    if _says_nothing_new(operation, result, is_senders=sender_lease is not None):
        schedule_check(operation, result.retry_after_seconds)
        batch.update(operation, OPERATION_FIELDS)
        return Disposition.NO_CHANGE, "", None
    if why := why_amounts_do_not_fit(operation, charge, locked.intent, result):
        _leave_open(locked, charge, refund, why, caller, batch)
        return Disposition.DEFERRED, why, None
    accepted = _is_answered(locked.key) or was_accepted()
    is_senders = operation.lease_until == sender_lease
    following = _make_change(
        *(locked, charge, refund, result, caller, batch),
        was_accepted=accepted,
        elsewhere=elsewhere if is_senders and not accepted else None,
    )
    return Disposition.APPLIED, "", following


def withdraw_unsent(locked: LockedRows, refund: Refund, caller: Caller, *, detail: str) -> None:
    """Close a refund that no worker has sent yet, and release its amount; its rows are locked.

    Raises ValueError if it may have been sent.
    """
    operation = locked.operation
    if not (operation.is_open and operation.awaits_first_sending):
        raise ValueError(f"{operation.public_id} may have been sent")
    result = PspResult(outcome=Outcome.NOT_SENT, detail=detail)
    batch = Batch()
    _make_change(locked, _charge_of(locked), refund, result, caller, batch)
    batch.execute()


def _credible(result: PspResult, operation: Operation, sender_lease: datetime | None) -> PspResult:
    """The result, or UNKNOWN if our own fence refused it, or a sender whose lease has passed."""
    is_refused_unseen = result.outcome is Outcome.DECLINED and not result.psp_id
    if operation.fenced_at is not None and is_refused_unseen:
        return replace(result, outcome=Outcome.UNKNOWN)
    return unknown_if_lease_passed(
        result, sender_lease=sender_lease, lease_until=operation.lease_until
    )


def _warn_of(operation: Operation, result: PspResult, *, is_new: bool) -> None:
    """Tell the on-call engineer of a request that was refused as invalid, or of a contradiction."""
    if result.code == REQUEST_REFUSED and is_new:
        name = operation.public_id
        logger.error("alert: the PSP refused %s as invalid: %s", name, result.detail)
    if result.contradicts_us:
        open_case(case_about_operation(CaseKind.CONTRADICTION, operation, result.detail))


def _says_nothing_new(operation: Operation, result: PspResult, *, is_senders: bool) -> bool:
    if result.outcome is Outcome.UNKNOWN:
        return bool(operation.status != OperationStatus.SENDING)
    if is_senders and operation.status == OperationStatus.PENDING:
        # The customer has come back since the PSP gave this answer.
        return result.outcome in (Outcome.REQUIRES_ACTION, Outcome.PENDING)
    return bool(_SAME.get(result.outcome) == operation.status)


def _about_closed(
    operation: Operation, charge: Operation, result: PspResult
) -> tuple[Disposition, str]:
    """What a result of a closed operation calls for: nothing, or a sync of its payment."""
    if revision_of(operation.status, result.outcome) is None:
        return Disposition.NO_CHANGE, ""
    _make_due(charge)
    return Disposition.DEFERRED, f"the provider says {result.outcome}, and is asked again"


def _make_due(charge: Operation) -> None:
    """Have the payment synced now. A look-up under way may be older than this: end its lease."""
    now = now_utc()
    rows = Operation.objects.filter(pk=charge.pk)
    rows.update(lease_until=now, next_check_at=now)


def _leave_open(
    locked: LockedRows,
    charge: Operation,
    refund: Refund | None,
    why: str,
    caller: Caller,
    batch: Batch,
) -> None:
    """Keep the operation open until the snapshot of the payment says how it ended."""
    operation = locked.operation
    soon = SYNC_AFTER_SECONDS if operation.checks < SYNCS_AT_ONCE else None
    unknown = PspResult(outcome=Outcome.UNKNOWN, detail=why, retry_after_seconds=soon)
    if operation.status in OPERATION_OUTCOME_UNKNOWN:
        _make_change(locked, charge, refund, unknown, caller, batch)
        return
    operation.detail = why[:500]
    schedule_check(operation, soon)
    batch.update(operation, OPERATION_FIELDS)


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    # None if the operation was replaced: its refund is the replacement's.
    return Refund.objects.select_for_update().filter(operation_id=operation.id).first()


def _is_answered(key: IdempotencyKey | None) -> bool:
    return key is not None and key.answer_status is not None


def _charge_of(locked: LockedRows) -> Operation:
    if locked.operation.is_charge:
        return locked.operation
    assert locked.operation.charge_id is not None, "only a charge has something to change"
    return Operation.objects.select_for_update().get(pk=locked.operation.charge_id)


def _make_change(
    locked: LockedRows,
    charge: Operation,
    refund: Refund | None,
    result: PspResult,
    caller: Caller,
    batch: Batch,
    *,
    was_accepted: bool = False,
    elsewhere: ChargeElsewhere | None = None,
) -> Operation | None:
    """Apply a result; returns the charge that goes on at another account, if there is one."""
    intent, operation = locked.intent, locked.operation
    change = Change.of(
        merchant=_merchant_of(intent, caller),
        intent=intent,
        operation=operation,
        charge=charge,
        refund=refund,
        result=result,
        answered=locked.key is None or _is_answered(locked.key),
    )
    carries_on = was_accepted and never_reached_psp(change)
    if carries_on and replace_or_open_case(change, locked.key):
        return None
    if elsewhere is not None and may_be_charged_elsewhere(change, locked.key):
        following = elsewhere(change)
        if following is not None:
            move_on(change, following, locked.key, caller)
            return following.charge
    apply_effect(change)
    _close_or_schedule(operation, result.retry_after_seconds)
    if operation.is_charge and holds_otherwise(operation, result):
        operation.next_check_at = now_utc()
    put_change(batch, change, caller)
    return None


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
