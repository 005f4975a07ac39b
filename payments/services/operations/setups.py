"""Executes a stored setup attempt: calls the PSP, records the result, answers.

As `execution` does for operations: the call holds no database connection, and a request waits for
it no longer than its wait budget.
"""

from __future__ import annotations

import logging
import math
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from threading import Event
from typing import Protocol
from uuid import UUID

from django.db import connection, transaction

from ledger.database.statements import Batch
from payments.exceptions import PspNotReached
from payments.models import SetupAttempt, SetupIntent
from payments.services.callers.caller import CommandRequest, CommandResult, SetupSubject
from payments.services.idempotency import keys
from payments.services.outcomes.setups import SetupElsewhere, record_setup
from payments.services.psp_gateway import accounts, setup_calls
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.states import SetupAttemptStatus
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.setups import SetupResult

logger = logging.getLogger(__name__)


class SetsUpElsewhere(Protocol):
    """The further accounts that a request's setup may be tried at."""

    @property
    def is_over(self) -> bool:
        """Is there no further account, or no time for one?"""
        ...

    def after(self, attempt: SetupAttempt, result: SetupResult) -> SetupElsewhere | None:
        """Prepare the next attempt, now that one ended so; None if none is to be made.

        Called outside any transaction, for it may ask a PSP about a token.
        """
        ...


def execute_setup(
    attempt: SetupAttempt,
    request: CommandRequest[SetupSubject],
    *,
    elsewhere: SetsUpElsewhere | None = None,
) -> CommandResult:
    """Send an attempt that was written down, record its result and answer, within the budget.

    One that certainly kept nothing may go on `elsewhere`: the result is that of the last one.
    Called outside any transaction; gives this thread's database connection back first. Raises
    PspNotReached if nothing was sent: the request may be repeated with the same key.
    """
    going = _execute_one(attempt, request, elsewhere)
    while isinstance(going, SetupAttempt):
        going = _execute_one(going, request, elsewhere)
    return going


def _execute_one(
    attempt: SetupAttempt,
    request: CommandRequest[SetupSubject],
    elsewhere: SetsUpElsewhere | None,
) -> CommandResult | SetupAttempt:
    """Execute one attempt; returns the one to go on with, if one was written in its place."""
    # Read before the connection is given back; the call finds it in memory.
    bulkhead = bulkhead_of(accounts.identity_of(attempt.psp_account_id).code)
    connection.close()
    answered_early = Event()  # A request without a key leaves no other trace of its answer.
    future = bulkhead.submit(_call_and_record, attempt, request, answered_early, elsewhere)
    if future is None:
        return _record(attempt, _no_permit(), request, answered_early, elsewhere)
    with bulkhead.wait_budget(request.caller.answer_by_monotonic) as seconds:
        try:
            return future.result(timeout=seconds)
        except WaitedTooLong:
            if future.done():  # The call itself may have raised a TimeoutError of its own.
                return future.result()
    answered_early.set()
    future.add_done_callback(_log_failure)
    return setup_as_it_stands(attempt.id, request)


def setup_as_it_stands(attempt_id: UUID, request: CommandRequest[SetupSubject]) -> CommandResult:
    """The result from the newest rows; its answer is the key's final one.

    Raises PspNotReached if nothing was sent.
    """
    with transaction.atomic(durable=True):
        attempt = SetupAttempt.objects.get(pk=attempt_id)
        key = keys.lock_key(attempt)
        setup = SetupIntent.objects.select_for_update().get(pk=attempt.setup_intent_id)
        attempt.refresh_from_db()
        if setup.latest_attempt_id not in (None, attempt.id):
            latest = SetupAttempt.objects.get(pk=setup.latest_attempt_id)
            if _is_of_same_request(latest, attempt):  # It went on at another account.
                attempt, key = latest, keys.lock_key(latest)
        is_answered = key is not None and key.answer_status is not None
        if attempt.status == SetupAttemptStatus.NOT_SENT and not is_answered:
            raise _not_reached(None)
        subject = SetupSubject(setup_intent=setup, attempt=attempt)
        batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, request.caller, request.render)
        batch.execute()
    return CommandResult.of(subject, answer)


def _call_and_record(
    attempt: SetupAttempt,
    request: CommandRequest[SetupSubject],
    answered_early: Event,
    elsewhere: SetsUpElsewhere | None,
) -> CommandResult | SetupAttempt:
    is_last = elsewhere is None or elsewhere.is_over
    # Where another account may be tried, that is the retry.
    retry_until = (request.caller.answer_by_monotonic or math.inf) if is_last else None
    result = setup_calls.send(attempt, retry_until=retry_until)
    return _record(attempt, result, request, answered_early, elsewhere)


def _record(
    attempt: SetupAttempt,
    result: SetupResult,
    request: CommandRequest[SetupSubject],
    answered_early: Event,
    elsewhere: SetsUpElsewhere | None,
) -> CommandResult | SetupAttempt:
    """Run transaction 2. If it fails, the sweep looks the attempt up when its lease ends."""
    may_go_on = elsewhere is not None and not answered_early.is_set()
    recorded = record_setup(
        attempt=attempt,
        result=result,
        caller=request.caller,
        renderer=request.render,
        sender_lease=attempt.lease_until,
        was_accepted=answered_early.is_set,
        elsewhere=elsewhere.after(attempt, result) if elsewhere and may_go_on else None,
    )
    if recorded.next_attempt is not None:
        return recorded.next_attempt
    stands = recorded.subject.attempt
    was_sent = stands is not None and stands.status != SetupAttemptStatus.NOT_SENT
    if recorded.answer is None and not was_sent:
        raise _not_reached(result.retry_after_seconds)
    return CommandResult.of(recorded.subject, recorded.answer)


def _is_of_same_request(one: SetupAttempt, other: SetupAttempt) -> bool:
    if one.idempotency_id is not None or other.idempotency_id is not None:
        return one.idempotency_id == other.idempotency_id
    return bool(one.request_id) and one.request_id == other.request_id


def _no_permit() -> SetupResult:
    return SetupResult(
        outcome=Outcome.NOT_SENT,
        detail="too many calls to the PSP are under way",
        retry_after_seconds=1.0,
    )


def _not_reached(retry_after_seconds: float | None) -> PspNotReached:
    return PspNotReached(
        "The payment provider could not be reached; nothing was sent. "
        "Please try the same request again.",
        retry_after_seconds=retry_after_seconds or 1.0,
    )


def _log_failure(future: Future[CommandResult | SetupAttempt]) -> None:
    """The request was answered already: log what went wrong after that.

    An attempt that was written at another account in the moment of the answer is left to recovery.
    """
    error = future.exception()
    if error is not None and not isinstance(error, PspNotReached):
        logger.error("a setup that outlived its request failed", exc_info=error)
