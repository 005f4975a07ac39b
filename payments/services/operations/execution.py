"""Executes a stored operation: calls the PSP, records the outcome, answers.

The call holds no database connection. A request waits for it no longer than its wait
budget; after that the call continues in its bulkhead.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from threading import Event
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from ledger.database.statements import Batch
from payments.exceptions import PspNotReached
from payments.models import IdempotencyKey, Operation, PaymentIntent, Refund
from payments.services.callers.caller import CommandRequest, CommandResult, Subject
from payments.services.idempotency import keys
from payments.services.outcomes.locking import locked_rows
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult

logger = logging.getLogger(__name__)

RECORD_ATTEMPTS: Final = 3
"""Transaction 2 may be repeated; the call to the PSP never is."""


def execute(operation: Operation, request: CommandRequest[Subject]) -> CommandResult:
    """Send a written-down operation, record its outcome and answer, within the caller's budget.

    Called outside any transaction; gives this thread's database connection back first. Raises
    PspNotReached if nothing was sent: the request may be repeated with the same key.
    """
    # Read before the connection is given back; the call finds it in memory.
    bulkhead = bulkhead_of(accounts.psp_account_of(operation.psp_account_id).code)
    connection.close()
    answered_early = Event()  # A request without a key leaves no other trace of its answer.
    future = bulkhead.submit(_call_and_record, operation, request, answered_early)
    if future is None:
        return _record(operation, _no_permit(), request)
    with bulkhead.wait_budget(request.caller.answer_by_monotonic) as seconds:
        try:
            return future.result(timeout=seconds)
        except WaitedTooLong:
            if future.done():  # The call itself may have raised a TimeoutError of its own.
                return future.result()
    answered_early.set()
    future.add_done_callback(_log_failure)
    return _as_it_stands(operation, request)


def result_as_it_stands(operation_id: UUID, request: CommandRequest[Subject]) -> CommandResult:
    """The result from the newest rows; its answer is the key's final one.

    Raises PspNotReached if nothing was sent.
    """
    operation = Operation.objects.only("id", "idempotency_id").get(pk=operation_id)
    return _as_it_stands(operation, request)


def _as_it_stands(operation: Operation, request: CommandRequest[Subject]) -> CommandResult:
    with transaction.atomic(durable=True):
        key, intent, operation = _lock_newest(operation)
        subject = Subject(intent=intent, operation=operation, refund=_refund_of(operation))
        is_answered = key is not None and key.answer_status is not None
        if operation.status == OperationStatus.NOT_SENT and not is_answered:
            raise _not_reached(None)
        batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, request.caller, request.render)
        batch.execute()
    return CommandResult.of(subject, answer)


def _lock_newest(operation: Operation) -> tuple[IdempotencyKey | None, PaymentIntent, Operation]:
    """Lock key, intent and operation; of one that was replaced, its last replacement."""
    key, intent, operation = locked_rows(operation)
    while operation.status == OperationStatus.NOT_SENT:
        replacement = Operation.objects.filter(replaces_id=operation.id).first()
        if replacement is None:
            break
        key, intent, operation = locked_rows(replacement)
    return key, intent, operation


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    return Refund.objects.filter(operation_id=operation.id).first()


def _call_and_record(
    operation: Operation, request: CommandRequest[Subject], answered_early: Event
) -> CommandResult:
    retry_until = request.caller.answer_by_monotonic or math.inf
    result = sending.send(operation, retry_until=retry_until)
    return _record(operation, result, request, was_accepted=answered_early.is_set)


def _record(
    operation: Operation,
    result: PspResult,
    request: CommandRequest[Subject],
    *,
    was_accepted: Callable[[], bool] = bool,
) -> CommandResult:
    """Run transaction 2, again on a lost connection, a deadlock or a lock timeout.

    After the last attempt the error goes to the caller and the operation stays open: recovery
    looks it up when its lease ends.
    """
    sender_lease = operation.lease_until
    for attempt in range(1, RECORD_ATTEMPTS + 1):
        try:
            recorded = record_outcome(
                operation=operation,
                result=result,
                caller=request.caller,
                renderer=request.render,
                sender_lease=sender_lease,
                was_accepted=was_accepted,
            )
            break
        except (OperationalError, InterfaceError):
            if attempt == RECORD_ATTEMPTS:
                raise
            logger.warning("recording an outcome failed, attempt %s", attempt, exc_info=True)
            connection.close()
            time.sleep(random.uniform(0, 0.2 * attempt))
    stands = recorded.subject.operation
    was_sent = stands is not None and stands.status != OperationStatus.NOT_SENT
    if recorded.answer is None and not was_sent:
        if Operation.objects.filter(replaces_id=operation.id).exists():
            return _as_it_stands(operation, request)
        raise _not_reached(result.retry_after_seconds)
    return CommandResult.of(recorded.subject, recorded.answer)


def _no_permit() -> PspResult:
    return PspResult(
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


def _log_failure(future: Future[CommandResult]) -> None:
    """The request was answered already: log what went wrong after that."""
    error = future.exception()
    if error is not None and not isinstance(error, PspNotReached):
        logger.error("a PSP call that outlived its request failed", exc_info=error)
