"""Counting statements."""

from collections.abc import Callable
from typing import Any

from django.db import connection

from bench.counting import StatementLog, summary


def test_a_statement_of_many_writes_names_each_table_once() -> None:
    sql = 'WITH w0 AS (INSERT INTO "event" (a) VALUES ($1)) UPDATE "intent" SET a = $2'
    assert summary(sql) == "write event, intent"


def test_a_locking_read_is_counted_apart_from_a_plain_one() -> None:
    assert summary('SELECT id FROM "intent" WHERE id = %s FOR UPDATE') == "read intent for update"
    assert summary("SELECT id FROM intent") == "read intent"


def test_every_statement_is_logged_once_however_often_a_connection_is_made(db: Any) -> None:
    log = StatementLog()
    log.watch(connection=connection)
    log.watch(connection=connection)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.execute_wrappers.remove(log)
    assert log.taken() == ["SELECT 1"]
    assert log.taken() == []


def test_the_log_hands_the_statement_on() -> None:
    seen: list[Any] = []
    execute: Callable[..., str] = lambda *given: seen.append(given) or "rows"  # noqa: E731
    assert StatementLog()(execute, "SELECT 1", [], False, {}) == "rows"
    assert seen == [("SELECT 1", [], False, {})]
