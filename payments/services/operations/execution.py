"""One money move in three phases: write down, ask, record.

`begin` runs in transaction 1, the PSP is asked with no connection held, services.outcomes records
in transaction 2. A request waits no longer than its budget; the call goes on in its lane (see
services.lanes). What may not live here: what an operation means.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as WaitedTooLong
from typing import Final
from uuid import UUID

from django.db import (
    InterfaceError,
    OperationalError,
    connection,
    transaction,
)

from ledger.database.statements import Batch
from payments.exceptions import PspNotReached
from payments.models import Operation, Refund
from payments.services.callers.caller import Answer, Caller, Renderer, Subject
from payments.services.idempotency import keys
from payments.services.outcomes.locking import locked_rows
from payments.services.outcomes.recording import Recorded, record_outcome
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.bulkhead import bulkhead_of
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult

logger = logging.getLogger(__name__)

RECORD_ATTEMPTS: Final = 3
"""Transaction 2 may be repeated; the call to the PSP never is."""


def carry_out(operation: Operation, caller: Caller, renderer: Renderer) -> Answer:
    """Send a written-down operation and answer, within the caller's budget.

    Called outside any transaction; gives this thread's database connection back first. Raises
    PspNotReached if nothing was sent (the request may be repeated with the same key).
    """
    # From memory later, where no connection is held.
    bulkhead = bulkhead_of(accounts.psp_account_of(operation.psp_account_id).code)
    connection.close()
    future = bulkhead.submit(_ask_and_record, operation, caller, renderer)
    if future is None:
        return _record_and_answer(operation, _no_place(), caller, renderer)
    with bulkhead.wait_budget(caller.answer_by_monotonic) as seconds:
        try:
            return future.result(timeout=seconds)
        except WaitedTooLong:
            if future.done():  # The call itself may have raised a TimeoutError of its own.
                return future.result()
    future.add_done_callback(_log_failure)
    return _answer_now(operation, caller, renderer)


def answer_as_it_stands(operation_id: UUID, caller: Caller, renderer: Renderer) -> Answer:
    """Answer from what the database shows now, as the key's final answer if it has none yet."""
    operation = Operation.objects.only("id", "idempotency_id").get(pk=operation_id)
    return _answer_now(operation, caller, renderer)


def _answer_now(operation: Operation, caller: Caller, renderer: Renderer) -> Answer:
    """The same for an operation whose key is known: two statements, since somebody waits."""
    with transaction.atomic(durable=True):
        key, intent, operation = locked_rows(operation)
        if key is not None and key.answer_status is not None:
            return keys.stored_answer(key)
        if operation.status == OperationStatus.NOT_SENT:
            raise _not_reached(None)
        subject = Subject(intent=intent, operation=operation, refund=_refund_of(operation))
        batch = Batch()
        answer = keys.answer_under_key(batch, key, subject, caller, renderer)
        batch.execute()
    assert answer is not None, "there is a renderer"
    return answer


def _refund_of(operation: Operation) -> Refund | None:
    if operation.kind != OperationKind.REFUND:
        return None
    return Refund.objects.filter(operation_id=operation.id).first()


def _ask_and_record(operation: Operation, caller: Caller, renderer: Renderer) -> Answer:
    result = sending.send(operation, retry_until=caller.answer_by_monotonic or math.inf)
    return _record_and_answer(operation, result, caller, renderer)


def _record_and_answer(
    operation: Operation, result: PspResult, caller: Caller, renderer: Renderer
) -> Answer:
    sender_lease = operation.lease_until
    recorded = _keep_trying(
        lambda: record_outcome(
            operation=operation,
            result=result,
            caller=caller,
            renderer=renderer,
            sender_lease=sender_lease,
        )
    )
    if recorded.answer is None:
        raise _not_reached(result.retry_after_seconds)
    return recorded.answer


def _keep_trying(record: Callable[[], Recorded]) -> Recorded:
    """Repeat transaction 2 on a lost connection, a deadlock or a lock timeout.

    After the last attempt the error goes to the caller and the operation stays open: recovery asks
    the PSP when its lease ends.
    """
    for attempt in range(1, RECORD_ATTEMPTS + 1):
        try:
            return record()
        except (OperationalError, InterfaceError):
            if attempt == RECORD_ATTEMPTS:
                raise
            logger.warning("recording an outcome failed, attempt %s", attempt, exc_info=True)
            connection.close()
            time.sleep(random.uniform(0, 0.2 * attempt))
    raise AssertionError("unreachable")


def _no_place() -> PspResult:
    return PspResult(
        outcome=Outcome.NOT_SENT,
        detail="every place for calls to the PSP is taken",
        retry_after_seconds=1.0,
    )


def _not_reached(retry_after_seconds: float | None) -> PspNotReached:
    return PspNotReached(
        "The payment provider could not be reached; nothing was sent. "
        "Please try the same request again.",
        retry_after_seconds=retry_after_seconds or 1.0,
    )


def _log_failure(future: Future[Answer]) -> None:
    """Nobody waits for this answer any more; what went wrong must still be seen."""
    error = future.exception()
    if error is not None and not isinstance(error, PspNotReached):
        logger.error("a PSP call that outlived its request failed", exc_info=error)
