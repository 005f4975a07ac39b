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
from functools import partial
from threading import Event
from typing import Final, Protocol
from uuid import UUID

from django.db import InterfaceError, OperationalError, connection, transaction

from ledger.database.statements import Batch
from payments.exceptions import PspNotReached
from payments.models import IdempotencyKey, Operation, PaymentIntent, Refund
from payments.services.callers.caller import CommandRequest, CommandResult, Subject
from payments.services.idempotency import keys
from payments.services.outcomes.locking import locked_rows
from payments.services.outcomes.next_charge import ChargeElsewhere
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult

logger = logging.getLogger(__name__)

RECORD_ATTEMPTS: Final = 3
"""Transaction 2 may be repeated; the call to the PSP never is."""


class Elsewhere(Protocol):
    """The further accounts that a request's charge may be tried at."""

    @property
    def is_over(self) -> bool:
        """Is there no further account, or no time for one?"""
        ...

    def after(self, charge: Operation, result: PspResult) -> ChargeElsewhere | None:
        """Prepare the next charge, now that one ended so; None if none is to be made.

        Called outside any transaction, for it may ask a PSP about a token.
        """
        ...


def execute(
    operation: Operation, request: CommandRequest[Subject], *, elsewhere: Elsewhere | None = None
) -> CommandResult:
    """Send a written-down operation, record its outcome and answer, within the caller's budget.

    A charge that certainly was not made may go on `elsewhere`: the result is that of the last one.
    Called outside any transaction; gives this thread's database connection back first. Raises
    PspNotReached if nothing was sent: the request may be repeated with the same key.
    """
    going = _execute_one(operation, request, elsewhere)
    while isinstance(going, Operation):
        going = _execute_one(going, request, elsewhere)
    return going


def execute_accepted(operation: Operation, request: CommandRequest[Subject]) -> None:
    """Send an operation that was accepted before, such as an approved refund, and record it.

    If nothing is sent, it is replaced, and recovery sends it. What may not be sent any more has a
    case by then.
    """
    try:
        _execute_one(operation, request, None, was_accepted=True)
    except PspNotReached as reason:
        logger.warning("%s was accepted and is not carried out: %s", operation.public_id, reason)


def _execute_one(
    operation: Operation,
    request: CommandRequest[Subject],
    elsewhere: Elsewhere | None,
    *,
    was_accepted: bool = False,
) -> CommandResult | Operation:
    """Execute one operation; returns the charge to go on with, if it was not made and one was
    written in its place.
    """
    # Read before the connection is given back; the call finds it in memory.
    bulkhead = bulkhead_of(accounts.psp_account_of(operation.psp_account_id).code)
    connection.close()
    answered_early = Event()  # A request without a key leaves no other trace of its answer.
    if was_accepted:
        answered_early.set()
    future = bulkhead.submit(_call_and_record, operation, request, answered_early, elsewhere)
    if future is None:
        accepted = answered_early.is_set
        return _record(operation, _no_permit(), request, was_accepted=accepted, elsewhere=elsewhere)
    with bulkhead.wait_budget(request.caller.answer_by_monotonic) as seconds:
        try:
            return future.result(timeout=seconds)
        except WaitedTooLong:
            if future.done():  # The call itself may have raised a TimeoutError of its own.
                return future.result()
    answered_early.set()
    future.add_done_callback(partial(_after_the_answer, request))
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
    """Lock key, intent and operation; of one that was replaced, its last replacement.

    Of a charge in whose place its request went on at another account, that one's last charge.
    """
    key, intent, operation = locked_rows(operation)
    if operation.is_charge and intent.latest_charge_id not in (None, operation.id):
        latest = Operation.objects.get(pk=intent.latest_charge_id)
        if _is_of_same_request(latest, operation):
            key, intent, operation = locked_rows(latest)
    while operation.status == OperationStatus.NOT_SENT:
        replacement = Operation.objects.filter(replaces_id=operation.id).first()
        if replacement is None:
            break
        key, intent, operation = locked_rows(replacement)
    return key, intent, operation


def _is_of_same_request(one: Operation, other: Operation) -> bool:
    if one.idempotency_id is not None or other.idempotency_id is not None:
        return one.idempotency_id == other.idempotency_id
    return bool(one.request_id) and one.request_id == other.request_id


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    return Refund.objects.filter(operation_id=operation.id).first()


def _call_and_record(
    operation: Operation,
    request: CommandRequest[Subject],
    answered_early: Event,
    elsewhere: Elsewhere | None,
) -> CommandResult | Operation:
    is_last = elsewhere is None or elsewhere.is_over
    # Where another account may be tried, that is the retry.
    retry_until = (request.caller.answer_by_monotonic or math.inf) if is_last else None
    result = sending.send(operation, retry_until=retry_until)
    return _record(
        operation, result, request, was_accepted=answered_early.is_set, elsewhere=elsewhere
    )


def _record(
    operation: Operation,
    result: PspResult,
    request: CommandRequest[Subject],
    *,
    was_accepted: Callable[[], bool] = bool,
    elsewhere: Elsewhere | None = None,
) -> CommandResult | Operation:
    """Run transaction 2, again on a lost connection, a deadlock or a lock timeout.

    After the last attempt the error goes to the caller and the operation stays open: recovery
    looks it up when its lease ends.
    """
    sender_lease = operation.lease_until
    may_go_on = elsewhere is not None and not was_accepted()
    next_charge = elsewhere.after(operation, result) if elsewhere and may_go_on else None
    for attempt in range(1, RECORD_ATTEMPTS + 1):
        try:
            recorded = record_outcome(
                operation=operation,
                result=result,
                caller=request.caller,
                renderer=request.render,
                sender_lease=sender_lease,
                was_accepted=was_accepted,
                elsewhere=next_charge,
            )
            break
        except (OperationalError, InterfaceError):
            if attempt == RECORD_ATTEMPTS:
                raise
            logger.warning("recording an outcome failed, attempt %s", attempt, exc_info=True)
            connection.close()
            time.sleep(random.uniform(0, 0.2 * attempt))
    if next_charge is not None:
        going = recorded.next_charge or (_went_on(operation) if attempt > 1 else None)
        if going is not None:
            return going
    stands = recorded.subject.operation
    was_sent = stands is not None and stands.status != OperationStatus.NOT_SENT
    if recorded.answer is None and not was_sent:
        if Operation.objects.filter(replaces_id=operation.id).exists():
            return _as_it_stands(operation, request)
        raise _not_reached(result.retry_after_seconds)
    return CommandResult.of(recorded.subject, recorded.answer)


def _went_on(operation: Operation) -> Operation | None:
    """The charge that an attempt of transaction 2 wrote whose commit was not confirmed to us."""
    later = Operation.objects.filter(intent_id=operation.intent_id, id__gt=operation.id)
    charges = later.filter(kind=OperationKind.AUTHORIZE.value, status=OperationStatus.SENDING)
    return next((each for each in charges if _is_of_same_request(each, operation)), None)


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


def _after_the_answer(
    request: CommandRequest[Subject], future: Future[CommandResult | Operation]
) -> None:
    """The request was answered already: log what went wrong after that, and go on where it ended.

    A charge that was written at another account in the moment of the answer is sent now. If no
    thread is free for it, recovery takes it up when its lease ends.
    """
    error = future.exception()
    if error is not None:
        if not isinstance(error, PspNotReached):
            logger.error("a PSP call that outlived its request failed", exc_info=error)
        return
    going = future.result()
    if not isinstance(going, Operation):
        return
    answered_early = Event()
    answered_early.set()
    bulkhead = bulkhead_of(accounts.identity_of(going.psp_account_id).code)
    following = bulkhead.submit(_call_and_record, going, request, answered_early, None)
    if following is not None:
        following.add_done_callback(partial(_after_the_answer, request))
