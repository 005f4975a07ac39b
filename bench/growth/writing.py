"""Writes a history by COPY, in batches of one transaction each, and says how far it is.

Triggers of the books stay on: each batch is checked as any posting is. Those of a live platform are
off for this session (`session_replication_role`): they let no row begin as captured, and would
queue years of events for delivery.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg import sql

from bench.growth.copies import Batch, Copies, Founded
from bench.growth.recording import LIFE_TABLES, MERCHANT_TABLES

LIVES_PER_BATCH: Final = 1_000
_SAY_EVERY_SECONDS: Final = 2.0
_INSERT_ACCOUNT: Final = (
    "INSERT INTO ledger_account (id, code, dimension, currency, kind) VALUES (%s, %s, %s, %s, %s) "
    "ON CONFLICT DO NOTHING"
)
_FILLFACTORS: Final = """
    SELECT c.relname, o.option_value FROM pg_class c, pg_options_to_table(c.reloptions) o
     WHERE c.relname = ANY(%s) AND c.relkind = 'r' AND o.option_name = 'fillfactor'"""
_SIZES: Final = (
    "SELECT c.relname, sum(pg_total_relation_size(part))::bigint, "
    "sum(pg_indexes_size(part))::bigint FROM pg_class c, "
    "unnest(c.oid || ARRAY(SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid)) part "
    "WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p') GROUP BY 1"
)


@dataclass(slots=True, kw_only=True)
class Written:
    """What was written, and how fast."""

    payments: int = 0
    rows: int = 0
    seconds: float = 0.0
    writing_seconds: float = 0.0
    """Of these in PostgreSQL; meanwhile the next rows are made."""
    bytes_by_table: dict[str, int] = field(default_factory=dict)
    """Of the tables with their indexes, at the end."""
    index_bytes: int = 0
    secret_keys: list[str] = field(default_factory=list)

    @property
    def bytes_in_all(self) -> int:
        return sum(self.bytes_by_table.values())


def write_history(url: str, copies: Copies, *, say: Callable[[str], None]) -> Written:
    """Write the history that `copies` makes; `say` gets a line every other second."""
    written, began = Written(), time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection, ThreadPoolExecutor(1) as writer:
        connection.execute("SET session_replication_role = replica")
        founded = _write_merchants(connection, copies)
        written.secret_keys = [each.secret_key for each in founded]
        under_way: Future[float] | None = None
        said = began
        for batch in copies.batches(founded, lives=LIVES_PER_BATCH):
            if under_way is not None:
                written.writing_seconds += under_way.result()
            under_way = writer.submit(_write, connection, copies, batch)
            written.payments += batch.payments
            written.rows += batch.rows
            if time.monotonic() - said > _SAY_EVERY_SECONDS:
                said = time.monotonic()
                say(_progress(written, said - began))
        if under_way is not None:
            written.writing_seconds += under_way.result()
        written.seconds = time.monotonic() - began
        _measure_sizes(connection, written)
    return written


def vacuum(url: str) -> None:
    """Bring statistics and visibility up to date, as autovacuum does in time."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in (*LIFE_TABLES, *MERCHANT_TABLES, "ledger_account"):
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))


def _write_merchants(connection: psycopg.Connection[Any], copies: Copies) -> list[Founded]:
    founded, batch = copies.merchants()
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_INSERT_ACCOUNT, copies.account_rows(founded))
        _copy(cursor, copies, batch, order=MERCHANT_TABLES)
    return founded


def _write(connection: psycopg.Connection[Any], copies: Copies, batch: Batch) -> float:
    """Write a batch; returns the seconds that it took."""
    began = time.monotonic()
    with connection.transaction(), _full_pages(connection), connection.cursor() as cursor:
        _copy(cursor, copies, batch, order=LIFE_TABLES)
    return time.monotonic() - began


@contextmanager
def _full_pages(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Leave no room in pages: it is for updates, and those of history have happened.

    Other transactions never see it, nor is it left behind by a process that is killed.
    """
    found = connection.execute(_FILLFACTORS, [list(LIFE_TABLES)]).fetchall()
    for table, _ in found:
        _set_fillfactor(connection, table, "100")
    yield
    for table, percent in found:
        _set_fillfactor(connection, table, percent)


def _set_fillfactor(connection: psycopg.Connection[Any], table: str, percent: str) -> None:
    alter = sql.SQL("ALTER TABLE {} SET (fillfactor = {})")
    connection.execute(alter.format(sql.Identifier(table), sql.Literal(int(percent))))


def _copy(cursor: Any, copies: Copies, batch: Batch, *, order: Iterator[str] | Any) -> None:
    for table in order:
        texts = batch.texts.get(table)
        if not texts:
            continue
        columns = map(sql.Identifier, copies.recording.columns[table])
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(columns)
        )
        with cursor.copy(statement) as copy:
            copy.write("".join(texts))


def _measure_sizes(connection: psycopg.Connection[Any], written: Written) -> None:
    rows = connection.execute(_SIZES, [list(LIFE_TABLES)]).fetchall()
    written.bytes_by_table = {name: whole for name, whole, _ in rows}
    written.index_bytes = sum(indexes for *_, indexes in rows)


def _progress(written: Written, seconds: float) -> str:
    return (
        f"     {written.payments:>10,} payments  {written.rows:>12,} rows  "
        f"{written.payments / seconds:6,.0f} payments/s  {written.rows / seconds:8,.0f} rows/s"
    )
