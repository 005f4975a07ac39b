"""The seeded bugs themselves: each function changes the loaded product, in this process alone.

They reach into private names on purpose: what they imitate is a change of that very code.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.db import connection, transaction

from bench.chaos.faults.bugs import BUGS
from ledger.database.statements import execute, table_of
from payments import tasks
from payments.models import Delivery, Dispatch, IdempotencyKey, Operation
from payments.services.commands import create_and_confirm, refund, run
from payments.services.idempotency import keys
from payments.services.merchant_webhooks import fan_out
from payments.services.operations import execution
from payments.services.outcomes import change, recording
from payments.services.psp_gateway import sending
from payments.services.psp_notifications import receiving
from payments.services.recovery import resolution
from payments.services.recovery import sweep as recovery_sweep
from payments.states import OPERATION_OPEN
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.sandbox import webhook
from reconciliation.services.matching import dispute_lines, operation_lines


def new_psp_key_per_retry() -> None:
    original = sending.request_of

    def request_of(operation: Operation) -> Any:
        return replace(original(operation), psp_key=f"try_{uuid.uuid4().hex}")

    _swap(sending, "request_of", request_of)


def doubt_is_a_decline() -> None:
    _settle_doubts(
        lambda result: replace(result, outcome=Outcome.DECLINED, code="processing_error")
    )


def doubt_is_not_sent() -> None:
    _settle_doubts(lambda result: replace(result, outcome=Outcome.NOT_SENT))


def _settle_doubts(settled: Callable[[PspResult], PspResult]) -> None:
    original = sending.send

    def send(operation: Operation, **others: Any) -> PspResult:
        result = original(operation, **others)
        return settled(result) if result.outcome is Outcome.UNKNOWN else result

    _swap(sending, "send", send)


def kept_error_is_final() -> None:
    """A PSP repeats the 5xx it kept for a key for as long as the key is sent, whatever it did."""

    def find_out(search: Any) -> PspResult:
        result = sending.send(search._operation)
        if result.outcome is Outcome.UNKNOWN and result.detail.startswith("answered 5"):
            return replace(result, outcome=Outcome.DECLINED, code="processing_error")
        return result if result.outcome is not Outcome.NOT_SENT else PspResult(Outcome.UNKNOWN)

    _swap(resolution.Resolution, "find_out", find_out)


def no_order_guard() -> None:
    original = create_and_confirm._start

    def start(intent: Any, operation: Operation, *others: Any) -> None:
        operation.guard_order = None
        original(intent, operation, *others)

    _swap(create_and_confirm, "_start", start)


def refund_without_limits() -> None:
    """Reads without the lock, so that two refunds both see what only one may have."""

    def unlocked_intent(caller: Any, intent_id: uuid.UUID) -> Any:
        from payments.models import PaymentIntent

        found = PaymentIntent.objects.get(pk=intent_id, merchant_id=caller.merchant.id)
        time.sleep(0.05)  # what a slower machine would do by itself
        return found

    _swap(refund, "locked_intent", unlocked_intent)


def not_found_is_final() -> None:
    def find_out(search: Any) -> PspResult:
        question = sending.lookup_of(search._operation)
        found = search._adapter.look_up(question, deadline_seconds=5.0)
        return found or PspResult(outcome=Outcome.NOT_SENT, detail="not found")

    _swap(resolution.Resolution, "find_out", find_out)


def books_after_commit() -> None:
    original = change._post

    def post_later(changed: Any) -> None:
        def post() -> None:
            time.sleep(0.3)
            try:
                with transaction.atomic(durable=True):
                    original(changed)
            finally:
                connection.close()

        transaction.on_commit(lambda: threading.Thread(target=post, daemon=True).start())

    _swap(change, "_post", post_later)


def key_is_ignored() -> None:
    original = keys.claim

    def claim(caller: Any, **others: Any) -> Any:
        other_key = f"{caller.idempotency_key}-{uuid.uuid4().hex}"
        return original(replace(caller, idempotency_key=other_key), **others)

    _swap(keys, "claim", claim)


def recovery_charges_again() -> None:
    def find_out(search: Any) -> PspResult:
        operation = search._operation
        request = replace(sending.request_of(operation), psp_key=f"again_{uuid.uuid4().hex}")
        return getattr(search._adapter, operation.kind)(request, deadline_seconds=12.0)

    _swap(resolution.Resolution, "find_out", find_out)


def answer_before_outcome() -> None:
    original = execution.carry_out

    def carry_out(operation: Operation, caller: Any, renderer: Any) -> Any:
        def hopeful(subject: Any, asking: Any) -> Any:
            answer = renderer(subject, asking)
            body = answer.body.replace('"status":"processing"', '"status":"succeeded"')
            return replace(answer, body=body)

        execution.answer_as_it_stands(operation.id, caller, hopeful)
        return original(operation, caller, renderer)

    _swap(execution, "carry_out", carry_out)


def keys_are_forgotten() -> None:
    """A reaper that is far too eager; PostgreSQL itself still spares keys of open operations."""
    original = tasks.recovery_sweep.resolve_due_operations

    def resolve_and_forget(**others: Any) -> int:
        looked_at: int = original(**others)
        with transaction.atomic(durable=True):
            execute(
                f"DELETE FROM {table_of(IdempotencyKey)} k WHERE "
                "k.created_at < now() - interval '3 seconds' AND NOT EXISTS ("
                f"SELECT 1 FROM {table_of(Operation)} o WHERE o.idempotency_id = k.id "
                "AND o.status = ANY(%s))",
                [sorted(OPERATION_OPEN)],
            )
        return looked_at

    _swap(tasks.recovery_sweep, "resolve_due_operations", resolve_and_forget)


def doubt_is_forgotten() -> None:
    """The PSP is not asked again about a doubt: if no notice tells of it, nobody ever knows."""
    original = recording.schedule_check

    def schedule(operation: Operation, *others: Any) -> None:
        original(operation, *others)
        operation.next_check_at = None

    for module in (recording, recovery_sweep):
        _swap(module, "schedule_check", schedule)


def events_behind_a_cursor() -> None:
    """Events have the order in which they were begun, which is not that of their commits."""

    def claim() -> list[uuid.UUID]:
        newest = execute(
            f"SELECT event_id FROM {table_of(Delivery)} ORDER BY event_id DESC LIMIT 1"
        )
        rows = execute(
            f"SELECT event_id FROM {table_of(Dispatch)} WHERE fanned_out_at IS NULL "
            "AND event_id > %s ORDER BY event_id LIMIT %s FOR UPDATE SKIP LOCKED",
            [newest[0][0] if newest else uuid.UUID(int=0), fan_out.EVENTS_PER_BATCH],
        )
        return [row[0] for row in rows]

    _swap(fan_out, "_claim", claim)


def no_line_per_payment() -> None:
    original = fan_out._row

    def row(*words: Any, is_head: bool) -> Any:
        return original(*words, is_head=True)

    _swap(fan_out, "_row", row)


def notices_are_not_deduplicated() -> None:
    original = receiving._insert_once

    def insert(row: Any) -> bool:
        row.event_id = f"{row.event_id}-{uuid.uuid4().hex[:8]}"
        inserted: bool = original(row)
        return inserted

    _swap(receiving, "_insert_once", insert)


def lines_ask_nobody() -> None:
    _swap(dispute_lines, "_sync_with_psp", lambda *_: None)
    _swap(operation_lines, "sync_operation", lambda *_, **__: None)
    _swap(operation_lines, "sync_payment", lambda *_, **__: None)


def notices_are_not_verified() -> None:
    _swap(webhook, "_require_signature", lambda *_: None)


def _swap(owner: Any, name: str, planted: object) -> None:
    """Put a bug where the product has something: in place of nothing it would do nothing."""
    if not hasattr(owner, name):
        raise AttributeError(f"{owner.__name__} has no {name} any more: plant the bug elsewhere")
    setattr(owner, name, planted)


def plant(name: str) -> None:
    """Change the product; raises KeyError for no bug, AttributeError if what it changes is gone."""
    if name not in BUGS:
        raise KeyError(name)
    bug: Callable[[], None] = globals()[name]
    bug()
    assert run.keys is keys, "bugs are planted where the code looks them up"
