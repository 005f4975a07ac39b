"""The seeded bugs: each function changes the loaded product, in this process alone.

Where it does so is in `places`.
"""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.db import connection, transaction

from bench.chaos.faults.bugs import BUGS, places
from ledger.database.statements import execute, table_of
from payments.models import Delivery, Dispatch, IdempotencyKey, Operation, PaymentIntent
from payments.services.commands import refund
from payments.services.merchant_webhooks import fan_out
from payments.services.operations import execution
from payments.services.psp_gateway import sending
from payments.states import OPERATION_OPEN
from psp_adapters.contract.operations import Outcome, PspResult


def new_psp_key_per_retry() -> None:
    original = places.PSP_REQUEST.original()

    def request_of(operation: Operation) -> Any:
        return replace(original(operation), psp_key=f"try_{uuid.uuid4().hex}")

    places.PSP_REQUEST.plant(request_of)


def unknown_is_declined() -> None:
    _replace_unknown_results(
        lambda result: replace(result, outcome=Outcome.DECLINED, code="processing_error")
    )


def unknown_is_not_sent() -> None:
    _replace_unknown_results(lambda result: replace(result, outcome=Outcome.NOT_SENT))


def _replace_unknown_results(replaced: Callable[[PspResult], PspResult]) -> None:
    original = places.PSP_CALL.original()

    def send(operation: Operation, **others: Any) -> PspResult:
        result: PspResult = original(operation, **others)
        return replaced(result) if result.outcome is Outcome.UNKNOWN else result

    places.PSP_CALL.plant(send)


def replayed_error_is_final() -> None:
    """The PSP repeats the 5xx that it stored for a key, although it has executed the operation."""

    def find_out(resolution: Any) -> PspResult:
        result = sending.send(resolution._operation)
        if result.outcome is Outcome.UNKNOWN and result.detail.startswith("answered 5"):
            return replace(result, outcome=Outcome.DECLINED, code="processing_error")
        return (
            result if result.outcome is not Outcome.NOT_SENT else PspResult(outcome=Outcome.UNKNOWN)
        )

    places.FIND_OUT_OUTCOME.plant(find_out)


def no_order_guard() -> None:
    original = places.START_CHARGE.original()

    def start(intent: Any, operation: Operation, *others: Any) -> None:
        operation.guard_order = None
        original(intent, operation, *others)

    places.START_CHARGE.plant(start)


def refund_without_limits() -> None:
    """Reads without the lock, so that two concurrent refunds both see the whole rest."""

    original = places.LOCK_INTENT.original()

    def unlocked_for_refunds(caller: Any, intent_id: uuid.UUID, **others: Any) -> Any:
        verb = sys._getframe(2).f_globals["__name__"]  # the caller of CommandTx.lock_intent
        if verb != refund.__name__:
            return original(caller, intent_id, **others)
        found = PaymentIntent.objects.get(pk=intent_id, merchant_id=caller.merchant.id)
        time.sleep(0.05)  # as long as a slower machine would take
        return found

    places.LOCK_INTENT.plant(unlocked_for_refunds)


def not_found_is_final() -> None:
    def find_out(resolution: Any) -> PspResult:
        look_up = sending.lookup_of(resolution._operation)
        found = resolution._adapter.look_up(look_up, deadline_seconds=5.0)
        return found or PspResult(outcome=Outcome.NOT_SENT, detail="not found")

    places.FIND_OUT_OUTCOME.plant(find_out)


def books_after_commit() -> None:
    original = places.POST_TO_LEDGER.original()

    def post_later(changed: Any) -> None:
        def post() -> None:
            time.sleep(0.3)
            try:
                with transaction.atomic(durable=True):
                    original(changed)
            finally:
                connection.close()

        transaction.on_commit(lambda: threading.Thread(target=post, daemon=True).start())

    places.POST_TO_LEDGER.plant(post_later)


def idempotency_key_is_ignored() -> None:
    original = places.CLAIM_KEY.original()

    def claim(caller: Any, **others: Any) -> Any:
        other_key = f"{caller.idempotency_key}-{uuid.uuid4().hex}"
        return original(replace(caller, idempotency_key=other_key), **others)

    places.CLAIM_KEY.plant(claim)


def recovery_charges_again() -> None:
    def find_out(resolution: Any) -> PspResult:
        operation = resolution._operation
        request = replace(sending.request_of(operation), psp_key=f"again_{uuid.uuid4().hex}")
        return getattr(resolution._adapter, operation.kind)(request, deadline_seconds=12.0)

    places.FIND_OUT_OUTCOME.plant(find_out)


def answer_before_outcome() -> None:
    original = places.EXECUTE_OPERATION.original()

    def execute_after_answer(operation: Operation, request: Any, **others: Any) -> Any:
        def render_as_succeeded(subject: Any, caller: Any) -> Any:
            answer = request.render(subject, caller)
            body = answer.body.replace('"status":"processing"', '"status":"succeeded"')
            return replace(answer, body=body)

        if request.render is not None:
            hopeful = replace(request, render=render_as_succeeded)
            execution.result_as_it_stands(operation.id, hopeful)
        return original(operation, request, **others)

    places.EXECUTE_OPERATION.plant(execute_after_answer)


def idempotency_keys_are_deleted() -> None:
    """Deletes keys after 3 s; a foreign key still protects those of open operations."""
    original = places.RECOVERY_TASK.original()

    def resolve_and_delete_keys(**others: Any) -> int:
        resolved: int = original(**others)
        with transaction.atomic(durable=True):
            execute(
                f"DELETE FROM {table_of(IdempotencyKey)} k WHERE "
                "k.created_at < now() - interval '3 seconds' AND NOT EXISTS ("
                f"SELECT 1 FROM {table_of(Operation)} o WHERE o.idempotency_id = k.id "
                "AND o.status = ANY(%s))",
                [sorted(OPERATION_OPEN)],
            )
        return resolved

    places.RECOVERY_TASK.plant(resolve_and_delete_keys)


def unknown_is_never_looked_up() -> None:
    """An unknown outcome stays unknown unless the PSP notifies us of it."""
    original = places.SCHEDULE_AFTER_RESULT.original()

    def schedule(operation: Operation, *others: Any) -> None:
        original(operation, *others)
        operation.next_check_at = None

    for place in (places.SCHEDULE_AFTER_RESULT, places.SCHEDULE_AFTER_LOOK_UP):
        place.plant(schedule)


def events_behind_a_cursor() -> None:
    """Event ids have the order in which transactions began, not the order of their commits."""

    def claim() -> list[uuid.UUID]:
        newest = execute(
            f"SELECT event_id FROM {table_of(Delivery)} ORDER BY event_id DESC LIMIT 1"
        )
        rows = execute(
            f"DELETE FROM {table_of(Dispatch)} WHERE event_id IN ("
            f"SELECT event_id FROM {table_of(Dispatch)} WHERE event_id > %s "
            "ORDER BY event_id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING event_id",
            [newest[0][0] if newest else uuid.UUID(int=0), fan_out.EVENTS_PER_BATCH],
        )
        return sorted(row[0] for row in rows)

    places.CLAIM_EVENTS.plant(claim)


def no_delivery_order() -> None:
    places.WAITS_IN_ORDER.plant(lambda *_: False)


def notifications_are_not_deduplicated() -> None:
    original = places.INSERT_NOTIFICATION.original()

    def insert(rows: Any) -> Any:
        for row in rows:
            row.event_id = f"{row.event_id}-{uuid.uuid4().hex[:8]}"
        return original(rows)

    places.INSERT_NOTIFICATION.plant(insert)


def nothing_is_sent_again() -> None:
    places.IS_SENT_AGAIN.plant(lambda *_: False)


def settlement_lines_start_no_look_up() -> None:
    for place in (
        places.SYNC_DISPUTE_OF_LINE,
        places.SYNC_OPERATION_OF_LINE,
        places.SYNC_PAYMENT_OF_LINE,
    ):
        place.plant(lambda *_, **__: None)


def fails_over_while_unknown() -> None:
    """A charge of unknown outcome goes on at the next account, as if it had not been sent."""
    prepare = places.PREPARE_NEXT_ACCOUNT.original()
    allowed = places.MAY_BE_CHARGED_ELSEWHERE.original()

    def guessed(result: PspResult) -> PspResult:
        is_unknown = result.outcome is Outcome.UNKNOWN
        return replace(result, outcome=Outcome.NOT_SENT) if is_unknown else result

    def prepare_anyway(accounts: Any, charge: Operation, result: PspResult) -> Any:
        return prepare(accounts, charge, guessed(result))

    def allow_anyway(change: Any, key: Any) -> Any:
        change.result = guessed(change.result)
        return allowed(change, key)

    places.PREPARE_NEXT_ACCOUNT.plant(prepare_anyway)
    places.MAY_BE_CHARGED_ELSEWHERE.plant(allow_anyway)


def adoption_leaves_the_hold() -> None:
    places.BALANCE_HOLD.plant(lambda *_: None)


def notifications_are_not_verified() -> None:
    places.VERIFY_NOTIFICATION.plant(lambda *_, **__: None)


def plant(name: str) -> None:
    """Change the product.

    Raises KeyError if there is no such bug, AttributeError if its place in the product is gone.
    """
    if name not in BUGS:
        raise KeyError(name)
    bug: Callable[[], None] = globals()[name]
    bug()
