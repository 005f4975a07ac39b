"""Ids of listed rows: announced once per transaction, complete once their transactions ended."""

from __future__ import annotations

import threading
import time
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from ledger.database import row_ids
from ledger.database.row_ids import complete_before, new_row_id

pytestmark = pytest.mark.usefixtures("database")


def test_ids_of_rows_are_made_in_a_transaction_only() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        new_row_id()


def test_a_transaction_announces_its_ids_once() -> None:
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        ids = [new_row_id() for _ in range(100)]
    assert len(queries) == 1
    assert ids == sorted(ids)


def test_the_next_transaction_announces_its_own() -> None:
    for _ in range(2):
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            new_row_id()
        assert len(queries) == 1


def test_an_announcement_in_a_savepoint_that_is_rolled_back_is_made_again() -> None:
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            new_row_id()
            raise ZeroDivisionError
        with CaptureQueriesContext(connection) as queries:
            new_row_id()
        assert len(queries) == 1


def test_nothing_is_complete_from_the_first_id_of_an_open_transaction_on() -> None:
    made, over, ids = threading.Event(), threading.Event(), []

    def write() -> None:
        with transaction.atomic():
            ids.append(new_row_id())
            made.set()
            over.wait(5)
            ids.append(new_row_id())
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    assert made.wait(5)
    first = complete_before()
    assert first <= ids[0]
    with transaction.atomic():
        mine = new_row_id()
    assert complete_before() == first, "another transaction that has ended moves nothing"
    assert complete_before() < mine
    over.set()
    thread.join(5)
    time.sleep(0.002)  # Ids are complete by whole milliseconds.
    assert complete_before() > max(ids)


@pytest.mark.parametrize("ago_ms", [1, 60_000, 86_400_000])
def test_an_announcement_of_before_holds_all_later_ids_back(
    owner_cursor: psycopg.Cursor[Any], ago_ms: int
) -> None:
    now_ms = owner_cursor.execute(
        "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    ).fetchone()[0]  # type: ignore[index]
    begin_ms = now_ms - ago_ms
    owner_cursor.execute(
        "SELECT pg_advisory_lock_shared(7263002, %s::int)", [begin_ms & 2_147_483_647]
    )
    assert complete_before().int >> 80 == begin_ms
    owner_cursor.execute("SELECT pg_advisory_unlock_all()")
    assert complete_before().int >> 80 >= now_ms


def test_an_announcement_made_after_the_clock_was_read_holds_nothing_back(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    soon_ms = owner_cursor.execute(
        "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + 60000"
    ).fetchone()[0]  # type: ignore[index]
    owner_cursor.execute(
        "SELECT pg_advisory_lock_shared(7263002, %s::int)", [soon_ms & 2_147_483_647]
    )
    assert 0 <= soon_ms - (complete_before().int >> 80) <= 60_000
    owner_cursor.execute("SELECT pg_advisory_unlock_all()")


def test_a_clock_that_is_behind_makes_rising_ids_from_the_announcement_on() -> None:
    ahead_ms = (uuid7().int >> 80) + 3_600_000
    with transaction.atomic():
        row_ids.note_announced(ahead_ms)
        ids = [new_row_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert {identifier.int >> 80 for identifier in ids} == {ahead_ms}
    with transaction.atomic():
        assert new_row_id() < ids[0], "another transaction goes by its own announcement"
