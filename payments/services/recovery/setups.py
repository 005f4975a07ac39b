"""Finds out what became of setup attempts: looks them up, repeats them, gives up on some.

No money moves. So an attempt that the PSP does not have is repeated with the same key for a
minute; after that it counts as not made. If it arrives later all the same, nothing is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from payments.clock import now_utc
from payments.models import SetupAttempt
from payments.services import callers
from payments.services.cases.opening import case_about_account, open_case
from payments.services.idempotency.keys import LEASE_SECONDS
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.outcomes.setups import give_up_challenge, record_setup
from payments.services.psp_gateway import accounts, setup_calls
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.sending import CALL_DEADLINE_SECONDS
from payments.services.recovery.resolution import REPEAT_WITHIN_SECONDS
from payments.services.recovery.sweep import hand_over
from payments.states import CaseKind, SetupAttemptStatus
from psp_adapters.contract.operations import Outcome, PspUnavailable
from psp_adapters.contract.setups import SetupResult

logger = logging.getLogger(__name__)

ACTOR: Final = "job:recovery"
SWEEP_LIMIT: Final = 50
SWEEP_SECONDS: Final = 10.0
QUEUE: Final = DueQueue(
    SetupAttempt.objects.all(),
    due="next_check_at",
    lease=timedelta(seconds=LEASE_SECONDS),
    account="psp_account_id",
    lease_until="lease_until",
)


def resolve_due_setups(*, limit: int = SWEEP_LIMIT) -> int:
    """Find out the outcomes of the attempts whose check is due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _resolve_due, most=limit, seconds=SWEEP_SECONDS)


def _resolve_due(attempt: SetupAttempt) -> Handled:
    try:
        return _resolve(attempt, actor=ACTOR)
    except Exception as error:
        logger.exception("setup %s could not be resolved", attempt.id)
        result = _unknown(f"{type(error).__name__}: {error}")
        caller = callers.for_setup(attempt, ACTOR)
        record_setup(attempt=attempt, result=result, caller=caller, was_accepted=lambda: True)
        _open_case_if_old(attempt, result.detail)
        return Handled.NOT_ASKED


def resolve_setup(
    attempt_id: UUID, *, actor: str, returned: Mapping[str, str] | None = None
) -> bool:
    """Find out the outcome of one attempt now; False if a worker holds it or it is closed.

    `returned` is what a customer brought back from a challenge, for the PSP.
    """
    attempt = QUEUE.take_row(attempt_id)
    if attempt is not None:
        _resolve(attempt, actor=actor, returned=returned)
    return attempt is not None


def resolve_setup_within(
    attempt_id: UUID,
    *,
    actor: str,
    answer_by_monotonic: float | None,
    returned: Mapping[str, str] | None = None,
) -> None:
    """Resolve it for a request, which waits until then at most; the look-up goes on after that.

    Called outside any transaction; gives this thread's database connection back first.
    """
    attempt = SetupAttempt.objects.only("id", "psp_account_id").get(pk=attempt_id)
    bulkhead = bulkhead_of(accounts.identity_of(attempt.psp_account_id).code)
    if returned and accounts.capabilities_of(attempt.psp_account_id).completes_with_returned:
        resolve = partial(resolve_setup, attempt_id, actor=actor, returned=returned)
        row = SetupAttempt.objects.filter(pk=attempt_id)
        hand_over(bulkhead, resolve, row=row, answer_by_monotonic=answer_by_monotonic)
        return
    resolve = partial(resolve_setup, attempt_id, actor=actor)
    bulkhead.run_within(resolve, answer_by=answer_by_monotonic)


def _resolve(
    attempt: SetupAttempt, *, actor: str, returned: Mapping[str, str] | None = None
) -> Handled:
    """Ask the PSP and record what it says; the lease is ours."""
    caller = callers.for_setup(attempt, actor)
    connection.close()
    handled = Handled.ANSWERED
    try:
        result = _find_out(attempt, returned)
    except (PspUnavailable, CallRefused) as error:
        handled = Handled.NO_ANSWER
        retry_after_seconds = error.retry_after_seconds if isinstance(error, CallRefused) else None
        result = _unknown(f"the provider could not be asked: {error}", retry_after_seconds)
    record_setup(attempt=attempt, result=result, caller=caller, was_accepted=lambda: True)
    if result.outcome is Outcome.REQUIRES_ACTION and _is_abandoned(attempt):
        give_up_challenge(attempt, caller)
    elif result.outcome is Outcome.UNKNOWN:
        _open_case_if_old(attempt, result.detail)
    return handled


def _find_out(attempt: SetupAttempt, returned: Mapping[str, str] | None) -> SetupResult:
    """Look up or repeat the attempt; UNKNOWN at worst. Raises PspUnavailable or CallRefused."""
    found = setup_calls.look_up(attempt, returned=returned)
    if found is not None:
        return found
    account = accounts.identity_of(attempt.psp_account_id)
    able = accounts.adapter_of(account).capabilities
    if attempt.status == SetupAttemptStatus.REQUIRES_ACTION:
        if able.states_results_by_notification:
            return SetupResult(outcome=Outcome.REQUIRES_ACTION)  # The customer is still away.
        return _unknown("the provider no longer finds a setup that it had accepted")
    age_seconds = (now_utc() - attempt.created_at).total_seconds()
    if age_seconds < REPEAT_WITHIN_SECONDS:
        repeated = setup_calls.send(attempt)
        if repeated.outcome is Outcome.NOT_SENT:
            # Says nothing about the first request, which may still arrive.
            return _unknown(f"the repeat was not sent: {repeated.detail}")
        if repeated.outcome is Outcome.DECLINED and not repeated.psp_id:
            return _unknown(f"the repeat was refused: {repeated.detail}")
        return repeated
    unseen_seconds = CALL_DEADLINE_SECONDS + able.consistency_lag_seconds
    if age_seconds < REPEAT_WITHIN_SECONDS + unseen_seconds:
        return _unknown("not found; it may be there unseen")
    return SetupResult(outcome=Outcome.NOT_SENT, detail="the provider does not have it")


def _is_abandoned(attempt: SetupAttempt) -> bool:
    limit = timedelta(hours=settings.ABANDONED_CHALLENGES_CANCELED_AFTER_HOURS)
    return now_utc() - attempt.created_at >= limit


def _open_case_if_old(attempt: SetupAttempt, why: str) -> None:
    """After a day without an outcome open a case for an operator; recovery continues."""
    if now_utc() - attempt.created_at < timedelta(hours=settings.UNKNOWN_CASE_AFTER_HOURS):
        return
    summary = f"What became of the setup {attempt.public_id} could not be found out: {why}."
    account, subject = attempt.psp_account, attempt.public_id
    with transaction.atomic(durable=True):
        case = case_about_account(CaseKind.OUTCOME_UNKNOWN, account, summary, subject=subject)
        open_case(case)


def _unknown(detail: str, retry_after_seconds: float | None = None) -> SetupResult:
    return SetupResult(
        outcome=Outcome.UNKNOWN, detail=detail, retry_after_seconds=retry_after_seconds
    )
