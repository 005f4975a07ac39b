"""Finds out which statuses and moves PostgreSQL itself accepts in a table with a state machine."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Any

import psycopg
from psycopg import errors, sql

from payments.states import Table

Cursor = psycopg.Cursor[Any]


def accepted(
    cursor: Cursor, table: str, statuses: Iterable[str]
) -> tuple[set[str], set[tuple[str, str]]]:
    """The first statuses and the moves that the table's own triggers let pass; nothing stays.

    Every pair is tried on a row that has nothing but a status. Constraints and other triggers are
    taken away meanwhile, so that what is refused is refused by the state machine.
    """
    tried = [*statuses, "no such status"]
    name = sql.Identifier(table)
    insert = sql.SQL("INSERT INTO {} (status) VALUES (%s)").format(name)
    update = sql.SQL("UPDATE {} SET status = %s").format(name)
    with cursor.connection.transaction(force_rollback=True):
        _strip(cursor, table)
        initial = {status for status in tried if _passes(cursor, insert, status)}
        cursor.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER legal_initial_status").format(name))
        moves = set()
        for source in tried:
            with cursor.connection.transaction(force_rollback=True):
                cursor.execute(insert, [source])
                moves |= {
                    (source, target)
                    for target in tried
                    if target != source and _passes(cursor, update, target)
                }
    return initial, moves


def _passes(cursor: Cursor, statement: sql.Composed, status: str) -> bool:
    try:
        with cursor.connection.transaction(force_rollback=True):
            cursor.execute(statement, [status])
    except errors.CheckViolation as error:
        if str(error).startswith("illegal_status"):
            return False
        raise
    return True


def _strip(cursor: Cursor, table: str) -> None:
    """Leave a table of nullable columns with the triggers of its state machine."""
    name = sql.Identifier(table)
    constraints = cursor.execute(
        "SELECT conname FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND contype NOT IN ('n', 't')",
        [table],
    ).fetchall()
    for (constraint,) in constraints:
        cursor.execute(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {} CASCADE").format(
                name, sql.Identifier(constraint)
            )
        )
    columns = cursor.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped AND attnotnull AND attidentity = ''",
        [table],
    ).fetchall()
    for (column,) in columns:
        cursor.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(
                name, sql.Identifier(column)
            )
        )
    for change in (
        "DISABLE TRIGGER USER",
        "ENABLE TRIGGER legal_initial_status",
        "ENABLE TRIGGER legal_transition",
    ):
        cursor.execute(sql.SQL("ALTER TABLE {} ").format(name) + sql.SQL(change))


def digest(transitions: Table, initial: Collection[str]) -> str:
    """Eight hexadecimal digits that change with the state machine."""
    moves = (f"{source}>{target}" for source, to in transitions.items() for target in to)
    text = " ".join([*sorted(initial), *sorted(moves)])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
