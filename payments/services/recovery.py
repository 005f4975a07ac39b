"""Operations with no known outcome yet: ask the PSP, repeat the same key while that is safe, or
forbid what never arrived. Never a new charge.

Several may run at once: a lease in the database gives each operation to one of them. What may not
live here: what an outcome causes.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Final
from uuid import UUID

from django.db import connection, transaction

from ledger.statements import execute, table_of
from payments.models import Operation
from payments.services import psp
from payments.services.breakers import CallKind, Refusal, guarded_call
from payments.services.caller import Caller
from payments.services.events import now_utc
from payments.services.idempotency import LEASE_SECONDS
from payments.services.outcomes import put_off, record_outcome
from payments.states import OPERATION_IN_DOUBT, OPERATION_OPEN, OperationStatus
from psp_adapters.contract import Outcome, PspAdapter, PspResult, PspUnavailable

logger = logging.getLogger(__name__)

REPEAT_WITHIN_SECONDS: Final = 60.0
"""The same key is sent again only this soon: later the customer would not expect to be charged."""
WINDOW_SHARE: Final = 0.9
"""… and only well inside the PSP's idempotency window, where a repeat cannot be a new charge."""
LOOKS_BEFORE_FENCE: Final = 3
"""From this look on, a repeat that tells nothing is followed by the fence: some PSPs keep a 5xx as
the answer of its key, and would answer the same for as long as we repeat."""
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
            "WHERE id = %s AND status = ANY(%s) AND lease_until <= now() RETURNING id",
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
    caller = caller_of(operation, actor)
    adapter = psp.adapter_of(psp.psp_account_of(operation.psp_account_id))
    connection.close()
    try:
        result = _find_out(operation, adapter)
    except (PspUnavailable, Refusal) as error:
        _note_silence(operation, caller, f"the provider could not be asked: {error}")
        return False
    record_outcome(operation=operation, result=result, caller=caller)
    return True


def _note_silence(operation: Operation, caller: Caller, reason: str) -> None:
    """Come back soon: that nobody was there to ask says nothing of the operation."""
    if operation.status == OperationStatus.SENDING:  # Whoever sent it is gone: that is news.
        record_outcome(operation=operation, result=_still_unknown(reason), caller=caller)
        return
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    within_seconds = min(max(age_seconds / 10, SILENCE_SECONDS_MIN), SILENCE_SECONDS_MAX)
    put_off(operation.id, reason, within_seconds=within_seconds)


def _find_out(operation: Operation, adapter: PspAdapter) -> PspResult:
    """What became of the operation, as far as the PSP can tell: an outcome, UNKNOWN at worst.

    Raises PspUnavailable or Refusal if it could not be asked.
    """
    question = psp.question_of(operation)
    deadline_seconds = psp.QUESTION_DEADLINE_SECONDS
    account_code = psp.psp_account_of(operation.psp_account_id).code
    with guarded_call(account_code, CallKind.RECOVERY) as verdict:
        found = adapter.look_up(question, deadline_seconds=deadline_seconds)
        verdict.healthy = True
    if found is not None:
        return psp.doubted_unless_it_fits(operation, found)
    if operation.status not in OPERATION_IN_DOUBT:
        return _still_unknown("the provider no longer finds an operation that it had accepted")
    can_fence = adapter.capabilities.fence_by_reference
    if _may_repeat(operation, adapter):
        repeated = _repeat(operation)
        if repeated.outcome is not Outcome.UNKNOWN or not can_fence:
            return repeated
        if operation.checks < LOOKS_BEFORE_FENCE:
            return repeated
    if not can_fence:
        return _still_unknown("not found, and the provider cannot forbid a late arrival")
    with guarded_call(account_code, CallKind.RECOVERY) as verdict:
        fenced = adapter.fence(question, deadline_seconds=deadline_seconds)
        verdict.healthy = True
    if fenced is not None:
        return psp.doubted_unless_it_fits(operation, fenced)
    return PspResult(outcome=Outcome.NOT_SENT, detail="never arrived; forbidden at the provider")


def _repeat(operation: Operation) -> PspResult:
    """Send the same request with the same key again.

    A repeat that never left says nothing about the first request, which may still arrive.
    """
    result = psp.send(operation)
    if result.outcome is Outcome.NOT_SENT:
        return _still_unknown(f"the repeat was not sent: {result.detail}")
    if result.outcome is Outcome.DECLINED and not result.psp_id:
        # Refused without becoming an operation at the PSP: said of the repeat, not of the first.
        return _still_unknown(f"the repeat was refused: {result.detail}")
    return result


def _may_repeat(operation: Operation, adapter: PspAdapter) -> bool:
    age_seconds = (now_utc() - operation.created_at).total_seconds()
    window_seconds = adapter.capabilities.idempotency_window_seconds * WINDOW_SHARE
    return age_seconds < min(REPEAT_WITHIN_SECONDS, window_seconds)


def _still_unknown(detail: str) -> PspResult:
    return PspResult(outcome=Outcome.UNKNOWN, detail=detail)


def caller_of(operation: Operation, actor: str) -> Caller:
    """The merchant's side of an operation, for a change that no request waits for."""
    operation = Operation.objects.select_related("merchant", "psp_account").get(pk=operation.pk)
    return Caller(
        merchant=operation.merchant,
        livemode=operation.livemode,
        psp_account=operation.psp_account,
        actor=actor,
        request_id=operation.request_id,
    )
