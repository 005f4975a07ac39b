"""Operations with no known outcome yet: ask the PSP, repeat the same key while that is safe, or
forbid what never arrived. Never a new charge.

Closed operations come here too, when a word differed from ours: they are asked about again. Several
may run at once: a lease in the database gives each operation to one of them. What may not live
here: what an outcome causes.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from ledger.statements import execute, table_of
from payments.models import Operation
from payments.services import psp
from payments.services.breakers import CallKind, Refusal, guarded_call
from payments.services.caller import Caller
from payments.services.cases import case_about_operation, open_case
from payments.services.events import now_utc
from payments.services.idempotency import LEASE_SECONDS
from payments.services.outcomes import put_off, record_outcome
from payments.services.questions import (
    Contradicted,
    NotYetKnown,
    caller_of,
    contradiction,
    look_at_closed,
)
from payments.states import OPERATION_IN_DOUBT, OPERATION_OPEN, CaseKind, OperationStatus
from psp_adapters.contract import Outcome, PspAdapter, PspResult, PspUnavailable

logger = logging.getLogger(__name__)

T = TypeVar("T")

REPEAT_WITHIN_SECONDS: Final = 60.0
"""The same key is sent again only this soon: later the customer would not expect to be charged."""
WINDOW_SHARE: Final = 0.9
"""… and only well inside the PSP's idempotency window, where a repeat cannot be a new charge."""
LOOKS_BEFORE_FENCE: Final = 3
"""From this look on it is forbidden and not repeated: some PSPs keep a 5xx as the answer of its
key, and would answer the same for as long as we repeat."""
UNANSWERED_MAX: Final = 2
"""Questions in a row: one bad answer may be about one operation only."""
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
    unanswered: Counter[UUID] = Counter()
    end = time.monotonic() + SWEEP_SECONDS
    while looked_at < limit and time.monotonic() < end:
        silent = [each for each, times in unanswered.items() if times >= UNANSWERED_MAX]
        operation_id = _lease_next_due(silent)
        if operation_id is None:
            break
        looked_at += 1
        try:
            operation = Operation.objects.get(pk=operation_id)
            answered = _resolve(operation, actor="job:recovery")
        except Exception as error:
            logger.exception("operation %s could not be resolved", operation_id)
            put_off(operation_id, f"{type(error).__name__}: {error}")
        else:
            account_id = operation.psp_account_id
            unanswered[account_id] = 0 if answered else unanswered[account_id] + 1
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
            return not isinstance(reason.__cause__, PspUnavailable | Refusal)
        return True
    caller = caller_of(operation, actor)
    adapter = psp.adapter_of(psp.psp_account_of(operation.psp_account_id))
    connection.close()
    search = _Search(operation, adapter)
    try:
        result = search.find_out()
    except (PspUnavailable, Refusal) as error:
        result = _silence(error)
        _note_silence(operation, caller, result)
        return False
    finally:
        if search.circuit_closed:
            pull_forward(operation.psp_account_id)
    record_outcome(operation=operation, result=result, caller=caller)
    _open_case_if_old(operation, result)
    return True


def _silence(error: PspUnavailable | Refusal) -> PspResult:
    """As soon as a circuit lets a probe through, somebody must be due."""
    look_in_seconds = error.retry_after_seconds if isinstance(error, Refusal) else None
    return _still_unknown(f"the provider could not be asked: {error}", look_in_seconds)


def _note_silence(operation: Operation, caller: Caller, result: PspResult) -> None:
    """Come back soon: that nobody was there to ask says nothing of the operation."""
    if operation.status == OperationStatus.SENDING:  # Whoever sent it is gone: that is news.
        record_outcome(operation=operation, result=result, caller=caller)
        return
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    soon_seconds = min(max(age_seconds / 10, SILENCE_SECONDS_MIN), SILENCE_SECONDS_MAX)
    within_seconds = result.retry_after_seconds or soon_seconds
    put_off(operation.id, result.detail, within_seconds=within_seconds)
    _open_case_if_old(operation, result)


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


def pull_forward(psp_account_id: UUID) -> int:
    """The PSP is well again: what is in doubt there and waits is due at once; how many there are.

    What somebody is sending or asking about just now is left to them.
    """
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Operation)} SET next_check_at = now() WHERE id IN ("
            f"SELECT id FROM {table_of(Operation)} WHERE next_check_at > now() "
            "AND psp_account_id = %s AND status = ANY(%s) AND lease_until <= now() "
            "FOR UPDATE SKIP LOCKED) RETURNING id",
            [psp_account_id, sorted(OPERATION_IN_DOUBT)],
        )
    return len(rows)


def _open_case_if_old(operation: Operation, result: PspResult) -> None:
    """What nobody could find out for a day is a person's; recovery goes on meanwhile."""
    patience = timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS)
    in_doubt = operation.status in OPERATION_IN_DOUBT and result.outcome is Outcome.UNKNOWN
    if not in_doubt or now_utc() - operation.created_at < patience:
        return
    summary = f"What became of the {operation.kind} could not be found out: {result.detail}."
    with transaction.atomic(durable=True):
        open_case(case_about_operation(CaseKind.OUTCOME_UNKNOWN, operation, summary))


class _Search:
    """Finds out what became of one open operation, as far as the PSP can tell."""

    def __init__(self, operation: Operation, adapter: PspAdapter) -> None:
        self._operation = operation
        self._adapter = adapter
        self._question = psp.question_of(operation)
        self._account_code = psp.psp_account_of(operation.psp_account_id).code
        self.circuit_closed = False
        """Did a call of this search show that the PSP is well again?"""

    def find_out(self) -> PspResult:
        """An outcome; UNKNOWN at worst. Raises PspUnavailable or Refusal if nobody was asked."""
        operation, adapter = self._operation, self._adapter
        deadline_seconds = psp.QUESTION_DEADLINE_SECONDS
        found = self._ask(
            lambda: adapter.look_up(self._question, deadline_seconds=deadline_seconds)
        )
        if found is not None:
            return self._fitting(found)
        if operation.status not in OPERATION_IN_DOUBT:
            return _still_unknown("the provider no longer finds an operation that it had accepted")
        can_fence = adapter.capabilities.fence_by_reference
        repeats_are_news = operation.checks < LOOKS_BEFORE_FENCE or not can_fence
        if repeats_are_news and _may_repeat(operation, adapter):
            return _repeat(operation)
        if not can_fence:
            return _still_unknown("not found, and the provider cannot forbid a late arrival")
        fenced = self._ask(lambda: adapter.fence(self._question, deadline_seconds=deadline_seconds))
        if fenced is not None:
            return self._fitting(fenced)
        if operation.fenced_at is None:
            _note_time(operation, "fenced_at")
        return self._never_arrived()

    def _ask(self, question: Callable[[], T]) -> T:
        with guarded_call(self._account_code, CallKind.RECOVERY) as verdict:
            answer = question()
            verdict.healthy = True
        self.circuit_closed |= verdict.closed_circuit
        return answer

    def _fitting(self, found: PspResult) -> PspResult:
        result = psp.doubted_unless_it_fits(self._operation, found)
        if result.outcome is Outcome.UNKNOWN and found.outcome is not Outcome.UNKNOWN:
            contradiction(self._operation, result.detail)
        return result

    def _never_arrived(self) -> PspResult:
        """Final only when nothing that was sent can still arrive, or be there unseen."""
        operation = self._operation
        sent_at = operation.resent_at or operation.created_at
        lag_seconds = self._adapter.capabilities.consistency_lag_seconds
        certain_at = sent_at + timedelta(seconds=lag_seconds + psp.CALL_DEADLINE_SECONDS)
        wait_seconds = (certain_at - now_utc()).total_seconds()
        if wait_seconds > 0:
            return _still_unknown("forbidden at the provider; it may be there unseen", wait_seconds)
        return PspResult(
            outcome=Outcome.NOT_SENT, detail="never arrived; forbidden at the provider"
        )


def _repeat(operation: Operation) -> PspResult:
    """Send the same request with the same key again.

    A repeat that never left says nothing about the first request, which may still arrive.
    """
    _note_time(operation, "resent_at")
    result = psp.send(operation)
    if result.outcome is Outcome.NOT_SENT:
        return _still_unknown(f"the repeat was not sent: {result.detail}")
    if result.outcome is Outcome.DECLINED and not result.psp_id:
        # Refused without becoming an operation at the PSP: said of the repeat, not of the first.
        return _still_unknown(f"the repeat was refused: {result.detail}")
    return result


def _note_time(operation: Operation, column: Literal["resent_at", "fenced_at"]) -> None:
    """Write down that it happens now; holds no connection afterwards."""
    now = now_utc()
    Operation.objects.filter(pk=operation.pk).update(**{column: now})
    setattr(operation, column, now)
    connection.close()


def _may_repeat(operation: Operation, adapter: PspAdapter) -> bool:
    if operation.fenced_at is not None:
        return False
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    window_seconds = adapter.capabilities.idempotency_window_seconds * WINDOW_SHARE
    return age_seconds < min(REPEAT_WITHIN_SECONDS, window_seconds)


def _still_unknown(detail: str, look_in_seconds: float | None = None) -> PspResult:
    return PspResult(outcome=Outcome.UNKNOWN, detail=detail, retry_after_seconds=look_in_seconds)


__all__ = ["caller_of", "pull_forward", "resolve_due_operations", "resolve_operation"]
