"""Locks idempotency key, intent and operation, in this order, by one statement."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from ledger.database.row_ids import ANNOUNCE_SQL, note_announced
from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.models import IdempotencyKey, Operation, PaymentIntent


@dataclass(slots=True)
class LockedRows:
    key: IdempotencyKey | None
    intent: PaymentIntent
    operation: Operation


def lock_rows(operation: Operation) -> LockedRows:
    """Lock key, intent and operation, in this order, with one statement.

    PostgreSQL takes the row locks of `FOR UPDATE OF a, b, c` in the order of that list, and returns
    the newest version of each row. It also announces the ids that the transaction will make.
    """
    rows = []
    if operation.idempotency_id is not None:
        rows = execute(_lock_sql(with_key=True), [operation.idempotency_id, operation.id])
    if not rows:  # Sent without a key, or so long ago that the key is forgotten.
        key, rest = None, execute(_lock_sql(with_key=False), [operation.id])[0]
    else:
        row = rows[0]
        width = len(IdempotencyKey._meta.concrete_fields)
        key, rest = instance_of(IdempotencyKey, row[:width]), row[width:]
        if key.operation_id != operation.id:
            key = None  # The key was taken over by a later operation of the same request.
    width = len(PaymentIntent._meta.concrete_fields)
    note_announced(rest[-1])
    return LockedRows(
        key=key,
        intent=instance_of(PaymentIntent, rest[:width]),
        operation=instance_of(Operation, rest[width:-1]),
    )


def locked_rows(operation: Operation) -> tuple[IdempotencyKey | None, PaymentIntent, Operation]:
    """The newest key, intent and operation, locked in this order by the caller's transaction."""
    locked = lock_rows(operation)
    return locked.key, locked.intent, locked.operation


@cache
def _lock_sql(*, with_key: bool) -> str:
    columns = f"{columns_of(PaymentIntent, 'i')}, {columns_of(Operation, 'o')}, {ANNOUNCE_SQL}"
    tables = f"{table_of(PaymentIntent)} i JOIN {table_of(Operation)} o ON o.intent_id = i.id"
    if not with_key:
        return f"SELECT {columns} FROM {tables} WHERE o.id = %s FOR UPDATE OF i, o"
    return (
        f"SELECT {columns_of(IdempotencyKey, 'k')}, {columns} "
        f"FROM {table_of(IdempotencyKey)} k, {tables} "
        "WHERE k.id = %s AND o.id = %s FOR UPDATE OF k, i, o"
    )
