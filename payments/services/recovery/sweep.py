"""Operations with no known outcome yet: ask the PSP, repeat the same key while that is safe, or
forbid what never arrived. Never a new charge.

Closed operations come here too, when a word differed from ours: they are asked about again. Several
may run at once: a lease in the database gives each operation to one of them. What may not live
here: what an outcome causes.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from ledger.database.statements import Batch, execute, table_of
from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services import callers
from payments.services.callers.caller import Caller
from payments.services.cases.opening import case_about_operation, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.outcomes.change import OPERATION_FIELDS
from payments.services.outcomes.check_schedule import schedule_check
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.unresponsive_accounts import Silence
from payments.services.recovery.questions import (
    Contradicted,
    NotYetKnown,
    look_at_closed,
)
from payments.services.recovery.resolution import Resolution, still_unknown
from payments.states import (
    OPERATION_IN_DOUBT,
    OPERATION_OPEN,
    CaseKind,
    CaseStatus,
    OperationStatus,
)
from psp_adapters.contract.operations import Outcome, PspResult, PspUnavailable

logger = logging.getLogger(__name__)

SILENCE_SECONDS_MIN: Final = 5.0
SILENCE_SECONDS_MAX: Final = 30.0
"""An operation that was the one to find its PSP silent is looked at again within this time."""
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
"""A PSP that hangs must not keep a sweep, and so a worker, for longer: heartbeats wait for it."""


def resolve_due_operations(*, limit: int = SWEEP_LIMIT) -> int:
    """Look at the operations whose next check is due; returns how many it looked at.

    Bounded, safe to run again, safe to run several at once (SKIP LOCKED, and a lease each). Leases
    are taken one by one: a job that is killed, or loses its database, holds up one operation only.

    An account that gives no answer twice in a row is left alone for the rest of the sweep: the
    others do not wait for it, and its operations stay due, so that they are all looked at as soon
    as it answers again.
    """
    looked_at = 0
    silence = Silence()
    end = time.monotonic() + SWEEP_SECONDS
    while looked_at < limit and time.monotonic() < end:
        operation_id = _lease_next_due(silence.accounts)
        if operation_id is None:
            break
        looked_at += 1
        operation = Operation.objects.get(pk=operation_id)
        try:
            answered = _resolve(operation, actor="job:recovery")
        except Exception as error:
            logger.exception("operation %s could not be resolved", operation_id)
            _note_failure(operation, f"{type(error).__name__}: {error}")
        else:
            silence.note(operation.psp_account_id, answered=answered)
    return looked_at


def resolve_operation(operation_id: UUID, *, actor: str) -> bool:
    """Find out now what became of one operation; False if somebody else has it or it is closed."""
    with transaction.atomic(durable=True):
        leased = execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() + make_interval(secs => %s) "
            "WHERE id = %s AND (status = ANY(%s) OR next_check_at IS NOT NULL) "
            "AND lease_until <= now() RETURNING id",
            [LEASE_SECONDS, operation_id, sorted(OPERATION_OPEN)],
        )
    if not leased:
        return False
    _resolve(Operation.objects.get(pk=operation_id), actor=actor)
    return True


def resolve_within(operation_id: UUID, *, actor: str, answer_by_monotonic: float | None) -> None:
    """Do the same for a request, which waits until then at most; the look-up goes on after that.

    It takes a permit of the account's bulkhead; with none free it is left to the sweep. Called
    outside any transaction; gives this thread's database connection back first.
    """
    operation = Operation.objects.only("id", "psp_account_id").get(pk=operation_id)
    bulkhead = bulkhead_of(accounts.psp_account_of(operation.psp_account_id).code)
    resolve = partial(resolve_operation, operation_id, actor=actor)
    bulkhead.run_within(resolve, answer_by=answer_by_monotonic)


def _lease_next_due(silent: list[UUID]) -> UUID | None:
    """The operation that has been due for longest, but for those of silent accounts."""
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET lease_until = now() + make_interval(secs => %s), "
            "next_check_at = now() + make_interval(secs => %s) WHERE id = ("
            f"SELECT id FROM {table_of(Operation)} WHERE next_check_at <= now() "
            "AND psp_account_id <> ALL(%s) "
            "ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            [LEASE_SECONDS, LEASE_SECONDS, silent],
        )
    return rows[0][0] if rows else None


def _resolve(operation: Operation, *, actor: str) -> bool:
    """Ask and record; the lease is ours. Holds no connection while asking. False: no answer."""
    if not operation.is_open:
        try:
            look_at_closed(operation, actor=actor, lease=operation.lease_until)
        except (NotYetKnown, Contradicted) as reason:
            _look_later(operation, reason)
            return not (isinstance(reason, NotYetKnown) and reason.is_silence)
        return True
    caller = callers.for_operation(operation, actor)
    adapter = accounts.adapter_of(accounts.psp_account_of(operation.psp_account_id))
    search = Resolution(operation, adapter, may_act=not _is_contradicted(operation))
    connection.close()
    try:
        result = search.find_out()
    except (PspUnavailable, CallRefused) as error:
        result = _silence(error)
        _note_silence(operation, caller, result)
        return False
    record_outcome(operation=operation, result=result, caller=caller)
    if result.outcome is Outcome.UNKNOWN:
        _open_case_if_old(operation, result.detail)
    return True


def _note_failure(operation: Operation, why: str) -> None:
    """Looking itself failed, by a mistake in our code or settings: others must not wait for it."""
    put_off(operation.id, why)
    if operation.status == OperationStatus.SENDING:  # Whoever sent it is gone: that is news.
        caller = callers.for_operation(operation, "job:recovery")
        record_outcome(operation=operation, result=still_unknown(why), caller=caller)
    _open_case_if_old(operation, why)


def _silence(error: PspUnavailable | CallRefused) -> PspResult:
    """As soon as a circuit lets a probe through, somebody must be due."""
    look_in_seconds = error.retry_after_seconds if isinstance(error, CallRefused) else None
    return still_unknown(f"the provider could not be asked: {error}", look_in_seconds)


def _note_silence(operation: Operation, caller: Caller, result: PspResult) -> None:
    """Come back soon: that nobody was there to ask says nothing of the operation."""
    if operation.status == OperationStatus.SENDING:  # Whoever sent it is gone: that is news.
        record_outcome(operation=operation, result=result, caller=caller)
        return
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    soon_seconds = min(max(age_seconds / 10, SILENCE_SECONDS_MIN), SILENCE_SECONDS_MAX)
    within_seconds = result.retry_after_seconds or soon_seconds
    put_off(operation.id, result.detail, within_seconds=within_seconds)
    if operation.status in OPERATION_IN_DOUBT:  # What is pending may rightly be so for days.
        _open_case_if_old(operation, result.detail)


def _look_later(operation: Operation, reason: Exception) -> None:
    """At a closed operation; after a day without a word that can be recorded, it is a person's."""
    patience = timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS)
    if operation.closed_at is None or now_utc() - operation.closed_at < patience:
        put_off(operation.id, str(reason))
        return
    summary = f"The provider differs from us about what is closed, and does not say how: {reason}."
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.OUTCOME_UNKNOWN, operation, summary))
        Operation.objects.filter(pk=operation.pk).update(next_check_at=None)


def _open_case_if_old(operation: Operation, why: str) -> None:
    """What nobody could find out for a day is a person's; recovery goes on meanwhile."""
    since = operation.closed_at or operation.created_at
    if now_utc() - since < timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS):
        return
    summary = f"What became of the {operation.kind} could not be found out: {why}."
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.OUTCOME_UNKNOWN, operation, summary))


def _is_contradicted(operation: Operation) -> bool:
    """Is a person comparing it with the PSP? Until then nothing is sent, and nothing forbidden."""
    cases = Case.objects.filter(operation_id=operation.id, kind=CaseKind.CONTRADICTION)
    return bool(cases.filter(status=CaseStatus.OPEN).exists())


def put_off(operation_id: UUID, reason: str, *, within_seconds: float | None = None) -> None:
    """Look at an operation later and later if looking at it fails, and keep what went wrong.

    `within_seconds` bounds the wait, and such a look does not count: nobody was asked.
    """
    with transaction.atomic(durable=True):
        operation = Operation.objects.select_for_update().get(pk=operation_id)
        if operation.next_check_at is None:
            return
        operation.detail = reason[:500]
        looks = operation.checks
        schedule_check(operation)
        if within_seconds is not None:
            operation.checks = looks
            soon = operation.lease_until + timedelta(seconds=within_seconds)
            operation.next_check_at = min(operation.next_check_at or soon, soon)
        Batch().update(operation, OPERATION_FIELDS).execute()
