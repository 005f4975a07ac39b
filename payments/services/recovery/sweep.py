"""Resolves operations whose outcome is unknown, and checks closed ones that the PSP contradicts.

Looks up, repeats the same key while that is safe, or fences what never arrived. Never a new charge.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services import callers
from payments.services.callers.caller import Caller
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.outcomes.change import OPERATION_FIELDS
from payments.services.outcomes.check_schedule import schedule_check
from payments.services.outcomes.further_operations import SECOND_CHARGE_ACTOR
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.bulkhead import Bulkhead, bulkhead_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict, sync_payment
from payments.services.recovery.resolution import Resolution, still_unknown
from payments.states import (
    OPERATION_OUTCOME_UNKNOWN,
    CaseKind,
    CaseStatus,
    OperationStatus,
)
from psp_adapters.contract.operations import Outcome, PspResult, PspUnavailable
from psp_adapters.contract.stored_text import clean_text

logger = logging.getLogger(__name__)

RETRY_SECONDS_MIN: Final = 5.0
RETRY_SECONDS_MAX: Final = 30.0
"""Within this time an operation whose PSP gave no answer is resolved again."""
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
"""A PSP that hangs must not keep a sweep, and so a worker, for longer: heartbeats wait for it."""
_LEASE_AGAIN_SECONDS: Final = 0.2


QUEUE: Final = DueQueue(
    Operation.objects.all(),
    due="next_check_at",
    lease=timedelta(seconds=LEASE_SECONDS),
    account="psp_account_id",
    lease_until="lease_until",
)


def resolve_due_operations(*, limit: int = SWEEP_LIMIT) -> int:
    """Resolve the operations whose next check is due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once. Operations
    of an account that does not answer stay due, so that all are resolved as soon as it answers.
    """
    return run_sweep(QUEUE, _resolve_due, most=limit, seconds=SWEEP_SECONDS)


def _resolve_due(operation: Operation) -> Handled:
    try:
        return _resolve(operation, actor="job:recovery")
    except Exception as error:
        logger.exception("operation %s could not be resolved", operation.id)
        _record_failure(operation, f"{type(error).__name__}: {error}")
        return Handled.NOT_ASKED


def resolve_operation(
    operation_id: UUID, *, actor: str, returned: Mapping[str, str] | None = None
) -> bool:
    """Resolve one operation now; False if a worker holds it, or it is closed and needs no check.

    `returned` is what a customer brought back from a challenge, for the PSP.
    """
    operation = QUEUE.take_row(operation_id)
    if operation is not None:
        _resolve(operation, actor=actor, returned=returned)
    return operation is not None


def resolve_within(
    operation_id: UUID,
    *,
    actor: str,
    answer_by_monotonic: float | None,
    returned: Mapping[str, str] | None = None,
) -> None:
    """Resolve it for a request, which waits until then at most; the look-up goes on after that.

    It takes a permit of the account's bulkhead; with none free it is left to the sweep. Called
    outside any transaction; gives this thread's database connection back first.
    """
    operation = Operation.objects.only("id", "psp_account_id").get(pk=operation_id)
    bulkhead = bulkhead_of(accounts.identity_of(operation.psp_account_id).code)
    if returned and accounts.capabilities_of(operation.psp_account_id).completes_with_returned:
        resolve = partial(resolve_operation, operation_id, actor=actor, returned=returned)
        row = Operation.objects.filter(pk=operation_id)
        hand_over(bulkhead, resolve, row=row, answer_by_monotonic=answer_by_monotonic)
        return
    resolve = partial(resolve_operation, operation_id, actor=actor)
    bulkhead.run_within(resolve, answer_by=answer_by_monotonic)


def hand_over(
    bulkhead: Bulkhead,
    resolve: Callable[[], bool],
    *,
    row: QuerySet[Any],
    answer_by_monotonic: float | None,
) -> None:
    """Resolve a row with what a customer brought back, which comes once: a lease is waited for.

    The request's thread waits, without a permit of the account's bulkhead.
    """
    took: list[bool] = []
    while True:
        bulkhead.run_within(lambda: took.append(resolve()), answer_by=answer_by_monotonic)
        if not took or took[-1]:
            return  # It was resolved; or not begun, since all threads are busy; or still goes on.
        is_open = row.filter(closed_at__isnull=True).exists()
        connection.close()
        is_late = answer_by_monotonic is None or time.monotonic() >= answer_by_monotonic
        if is_late or not is_open:
            return
        took.clear()
        time.sleep(_LEASE_AGAIN_SECONDS)


def _resolve(
    operation: Operation, *, actor: str, returned: Mapping[str, str] | None = None
) -> Handled:
    """Ask the PSP and record what it says. Holds no database connection meanwhile."""
    if not operation.is_open:
        return _sync_payment_of(operation, actor=actor)
    caller = callers.for_operation(operation, actor)
    adapter = accounts.adapter_of(accounts.identity_of(operation.psp_account_id))
    may_act = not _is_contradicted(operation)
    search = Resolution(operation, adapter, may_act=may_act, returned=returned)
    connection.close()
    is_first_sending = operation.awaits_first_sending
    try:
        result = search.find_out()
    except (PspUnavailable, CallRefused) as error:
        result = _no_answer(error)
        _record_no_answer(operation, caller, result)
        return Handled.NO_ANSWER
    recorded = record_outcome(
        operation=operation, result=result, caller=caller, was_accepted=lambda: True
    )
    if recorded.disposition is Disposition.DEFERRED:
        handled = _sync_payment_of(operation, actor=actor)
        operation.refresh_from_db()
        if operation.is_open:
            _open_case_if_old(operation, recorded.why)
        return handled
    if result.outcome is Outcome.UNKNOWN:
        _open_case_if_old(operation, result.detail)
        if is_first_sending and operation.resent_at is not None:
            return Handled.NO_ANSWER  # It was sent, and no look-up came before it.
    return Handled.ANSWERED


def _sync_payment_of(operation: Operation, *, actor: str) -> Handled:
    """Adopt the PSP's snapshot of the payment; postpone the operation's check if that fails."""
    charge_id = operation.charge_id or operation.id
    lease = operation.lease_until if operation.id == charge_id else None
    try:
        sync_payment(charge_id, actor=actor, lease=lease)
    except (Inconclusive, Conflict) as reason:
        _check_later(operation, reason)
        unanswered = isinstance(reason, Inconclusive) and reason.is_unanswered
        return Handled.NO_ANSWER if unanswered else Handled.ANSWERED
    return Handled.ANSWERED


def _record_failure(operation: Operation, why: str) -> None:
    """The look-up raised an unexpected error (bug or settings): postpone only this one."""
    postpone_check(operation.id, why)
    if operation.status == OperationStatus.SENDING:  # Its sender is gone: it is UNKNOWN now.
        caller = callers.for_operation(operation, "job:recovery")
        record_outcome(operation=operation, result=still_unknown(why), caller=caller)
    _open_case_if_old(operation, why)


def _no_answer(error: PspUnavailable | CallRefused) -> PspResult:
    """UNKNOWN; with an open circuit due again as soon as that lets a probe through."""
    check_in_seconds = error.retry_after_seconds if isinstance(error, CallRefused) else None
    return still_unknown(f"the provider could not be asked: {error}", check_in_seconds)


def _record_no_answer(operation: Operation, caller: Caller, result: PspResult) -> None:
    """Retry soon: a missing answer says nothing about the operation."""
    if operation.status == OperationStatus.SENDING:  # Its sender is gone: it is UNKNOWN now.
        record_outcome(operation=operation, result=result, caller=caller)
        return
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    soon_seconds = min(max(age_seconds / 10, RETRY_SECONDS_MIN), RETRY_SECONDS_MAX)
    within_seconds = result.retry_after_seconds or soon_seconds
    postpone_check(operation.id, result.detail, within_seconds=within_seconds)
    if operation.status in OPERATION_OUTCOME_UNKNOWN:  # What is pending may rightly be so for days.
        _open_case_if_old(operation, result.detail)


def _check_later(operation: Operation, reason: Exception) -> None:
    """Check it again later; a closed one has a case after a day without a usable snapshot."""
    wait = timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS)
    is_second_charge = operation.actor == SECOND_CHARGE_ACTOR  # It may be pending there for days.
    is_young = operation.closed_at is None or now_utc() - operation.closed_at < wait
    if operation.is_open or is_young or is_second_charge:
        postpone_check(operation.id, str(reason))
        return
    summary = f"The provider differs from us about what is closed, and does not say how: {reason}."
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.OUTCOME_UNKNOWN, operation, summary))
        QUEUE.under_lease(operation).update(next_check_at=None)


def _open_case_if_old(operation: Operation, why: str) -> None:
    """After a day without an outcome open a case for an operator; recovery continues."""
    since = operation.closed_at or operation.created_at
    if now_utc() - since < timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS):
        return
    summary = f"What became of the {operation.kind} could not be found out: {why}."
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.OUTCOME_UNKNOWN, operation, summary))


def _is_contradicted(operation: Operation) -> bool:
    """Is a case about a contradiction open? While it is, nothing is sent and nothing is fenced."""
    cases = Case.objects.filter(operation_id=operation.id, kind=CaseKind.CONTRADICTION)
    return bool(cases.filter(status=CaseStatus.OPEN).exists())


def postpone_check(operation_id: UUID, reason: str, *, within_seconds: float | None = None) -> None:
    """Postpone the next check by the schedule, and keep the reason on the operation.

    `within_seconds` bounds the wait; such a check is not counted, since the PSP did not answer.
    """
    with transaction.atomic(durable=True):
        operation = Operation.objects.select_for_update().get(pk=operation_id)
        if operation.next_check_at is None:
            return
        operation.detail = clean_text(reason, most=500)
        checks = operation.checks
        schedule_check(operation)
        if within_seconds is not None:
            operation.checks = checks
            soon = operation.lease_until + timedelta(seconds=within_seconds)
            operation.next_check_at = min(operation.next_check_at or soon, soon)
        Batch().update(operation, OPERATION_FIELDS).execute()
