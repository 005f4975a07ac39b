"""Idempotency keys: claim one, replay its answer, resume what a crash left.

Locks: the key's row first, before any intent. What may not live here: what a command does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar
from uuid import UUID

from ledger.database.instances import new_instance
from ledger.database.statements import (
    Batch,
    columns_of,
    execute,
    insert_if_absent,
    instance_of,
    table_of,
)
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import IdempotencyKeyInUse, IdempotencyKeyReused
from payments.models import DisputeResponse, IdempotencyKey, Operation, SetupAttempt
from payments.public_ids import created_at_of
from payments.services.callers.caller import Answer, Caller, Render
from payments.states import OPERATION_OPEN, OperationStatus

S = TypeVar("S")

LEASE_SECONDS: Final = 30
"""Longer than a PSP call may take (12 s), so a living request never loses its claim."""


def new_lease() -> datetime:
    """Until when a claim, or an operation, is this process's own from now on."""
    return now_utc() + timedelta(seconds=LEASE_SECONDS)


@dataclass(slots=True)
class Claim:
    """The right to run a request; the row points at the operation that counts."""

    row: IdempotencyKey
    fresh: bool
    """False: an earlier run of this request left something behind, see row.intent_id."""
    answer: Answer | None = None
    """The stored answer, if the request was answered before."""
    open_operation_id: UUID | None = None
    """The operation that an earlier run left open: resume it, never start another."""
    closed_operation_id: UUID | None = None
    """The operation that an earlier run finished without answering: answer from it."""
    ends_challenge: bool = False
    """True if the open operation only makes room for the charge: the request goes on after it."""

    @property
    def has_operation(self) -> bool:
        """Did an earlier run leave an operation, to be resumed or answered from?"""
        return bool(self.open_operation_id or self.closed_operation_id)


def claim(
    caller: Caller, *, intent_id: UUID | None = None, operation_id: UUID | None = None
) -> Claim | None:
    """Claim the caller's key inside the caller's transaction; None if it sent no key.

    The row is locked until the transaction ends. Refuses with IdempotencyKeyReused (other
    parameters) and IdempotencyKeyInUse (the first request still runs).
    """
    if not caller.idempotency_key:
        return None
    row = _new_row(caller, intent_id=intent_id, operation_id=operation_id)
    # A concurrent claim of the same key waits here for the other's commit.
    if insert_if_absent(row, conflict="(merchant_id, livemode, key)"):
        return Claim(row=row, fresh=True)
    return _claim_existing(caller)


def take_over(held: Claim, *, intent_id: UUID | None, operation_id: UUID | None) -> None:
    """Point a claim at the work it is now for, with a new epoch and lease.

    The row must be locked by this transaction (`claim` did).
    """
    row = held.row
    row.epoch += 1
    row.lease_until = new_lease()
    row.intent_id = intent_id
    row.operation_id = operation_id
    Batch().update(row, ("epoch", "lease_until", "intent_id", "operation_id")).execute()


def pass_on(batch: Batch, row: IdempotencyKey, *, operation_id: UUID) -> None:
    """Let a claim go on with the next operation of its request, under a new epoch and lease.

    The row must be locked, and without an answer.
    """
    row.epoch += 1
    row.lease_until = new_lease()
    row.operation_id = operation_id
    batch.update(row, ("epoch", "lease_until", "operation_id"))


def put_answer(batch: Batch, row: IdempotencyKey, answer: Answer) -> Answer:
    """Make `answer` the key's final one, unless it has one already; return the one that counts.

    The row must be locked. PostgreSQL refuses to change an answer once given.
    """
    if row.answer_status is not None:
        return stored_answer(row)
    row.answer_status = answer.status
    row.answer_body = answer.body
    row.answered_at = now_utc()
    batch.update(row, ("answer_status", "answer_body", "answered_at"))
    return answer


def lock_key(operation: Operation | DisputeResponse | SetupAttempt) -> IdempotencyKey | None:
    """Lock the key that an operation works for; None if it has none, or lost it to a later one."""
    if operation.idempotency_id is None:
        return None
    row = IdempotencyKey.objects.select_for_update().filter(pk=operation.idempotency_id).first()
    return row if row is not None and row.operation_id == operation.id else None


def reopen(row: IdempotencyKey | None) -> None:
    """Let the same request come again at once, for nothing was sent; the row must be locked."""
    if row is not None and row.answer_status is None:
        row.lease_until = now_utc()
        row.save(update_fields=["lease_until"])


def stored_answer(row: IdempotencyKey) -> Answer:
    """The answer that the key was given, marked as a replay."""
    if row.answer_status is None or row.answer_body is None:
        raise ValueError("this key has no answer yet")
    return Answer(
        status=row.answer_status,
        body=row.answer_body,
        replayed=True,
        original_request_id=row.request_id,
    )


def with_saved_rendering(caller: Caller, row: IdempotencyKey) -> Caller:
    """The caller with `expand` and API version as saved when the key was first claimed."""
    return replace(caller, expand=tuple(row.expand), api_version=row.api_version)


def answer_under_key(
    batch: Batch,
    key: IdempotencyKey | None,
    subject: S,
    caller: Caller,
    render: Render[S] | None,
) -> Answer | None:
    """The final answer of a request: the key's stored one, or else rendered now.

    What is rendered becomes the key's answer when the batch is written; the key must be locked.
    Returns None without a renderer. The newest rows must be written, or be in the subject.
    """
    if key is not None and key.answer_status is not None:
        return stored_answer(key)
    if render is None:
        return None
    if key is None:
        return render(subject, caller)
    return put_answer(batch, key, render(subject, with_saved_rendering(caller, key)))


def _new_row(
    caller: Caller, *, intent_id: UUID | None, operation_id: UUID | None
) -> IdempotencyKey:
    identifier = public_ids.new_id()
    created_at = created_at_of(identifier)
    return new_instance(
        IdempotencyKey,
        id=identifier,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        key=caller.idempotency_key,
        fingerprint=caller.fingerprint,
        request_id=caller.request_id,
        api_version=caller.api_version,
        expand=list(caller.expand),
        lease_until=new_lease(),
        intent_id=intent_id,
        operation_id=operation_id,
        created_at=created_at,
    )


def _claim_existing(caller: Caller) -> Claim:
    row = _locked_row(caller)
    if row.fingerprint != caller.fingerprint:
        raise IdempotencyKeyReused(
            "Keys for idempotent requests can only be used with the same parameters they were "
            f"first used with. Try using a key other than '{caller.idempotency_key}' if you meant "
            "to execute a different request."
        )
    if row.answer_status is not None:
        return Claim(row=row, fresh=False, answer=stored_answer(row))
    return _claim_unanswered(row, now=now_utc())


def _claim_unanswered(row: IdempotencyKey, *, now: datetime) -> Claim:
    operation = (
        Operation.objects.only("id", "status", "ends_challenge").filter(pk=row.operation_id).first()
        if row.operation_id
        else None
    )
    if operation is not None and operation.status not in OPERATION_OPEN:
        if operation.status == OperationStatus.NOT_SENT or operation.ends_challenge:
            return Claim(row=row, fresh=False)
        return Claim(row=row, fresh=False, closed_operation_id=operation.id)
    if row.lease_until > now:
        raise IdempotencyKeyInUse(
            "There is currently another in-progress request using this Idempotency-Key (that "
            "probably means you submitted twice, and the other request is still going through). "
            "Please try again later."
        )
    return Claim(
        row=row,
        fresh=False,
        open_operation_id=operation.id if operation is not None else None,
        ends_challenge=operation is not None and operation.ends_challenge,
    )


def _locked_row(caller: Caller) -> IdempotencyKey:
    sql = (
        f"SELECT {columns_of(IdempotencyKey)} FROM {table_of(IdempotencyKey)} "
        "WHERE merchant_id = %s AND livemode = %s AND key = %s FOR UPDATE"
    )
    rows = execute(sql, [caller.merchant.id, caller.livemode, caller.idempotency_key])
    if not rows:
        raise IdempotencyKeyInUse(
            "Another request released this Idempotency-Key just now. Please try again."
        )
    return instance_of(IdempotencyKey, rows[0])
