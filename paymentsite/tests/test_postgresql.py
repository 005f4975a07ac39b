"""A pool of connections that all died at once serves the next caller at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections, transaction
from prometheus_client import REGISTRY
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from ledger.database.statements import execute
from paymentsite.postgresql import base
from paymentsite.postgresql.base import SESSION_LOST, DatabaseWrapper, RestartProofPool

SIZE = 6


@pytest.fixture
def pool(database_urls: Any) -> Iterator[RestartProofPool]:
    with RestartProofPool(
        conninfo=database_urls.application,
        kwargs={"autocommit": True},
        open=False,
        min_size=SIZE,
        max_size=SIZE,
        timeout=5,
    ) as pool:
        pool.wait()
        yield pool


def cut_all(pool: RestartProofPool, url: str) -> None:
    """End the connections of the pool on the server's side; the pool is not told."""
    taken = [pool.getconn() for _ in range(SIZE)]
    pids = [connection.info.backend_pid for connection in taken]
    for connection in taken:
        pool.putconn(connection)
    with psycopg.connect(url, autocommit=True) as killer:
        killer.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [pids])
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
        while killer.execute(query, [pids]).fetchone() != (0,):
            time.sleep(0.01)


def test_every_caller_gets_a_living_connection_after_all_have_died(
    pool: RestartProofPool, database_urls: Any
) -> None:
    for _ in range(3):
        cut_all(pool, database_urls.application)
        taken = [pool.getconn() for _ in range(SIZE)]
        assert [c.execute("SELECT 1").fetchone() for c in taken] == [(1,)] * SIZE
        for connection in taken:
            pool.putconn(connection)


def test_one_death_found_empties_the_pool_once(pool: RestartProofPool, database_urls: Any) -> None:
    cut_all(pool, database_urls.application)
    with pool.connection() as first:
        pid = first.info.backend_pid
    for _ in range(SIZE):
        with pool.connection() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    pids = set()
    for connection in [pool.getconn() for _ in range(SIZE)]:
        pids.add(connection.info.backend_pid)
        pool.putconn(connection)
    assert pid in pids


def test_connections_in_use_and_threads_that_wait_or_give_up_are_counted(
    pool: RestartProofPool,
) -> None:
    in_use, waiting = (f"payments_database_connections_{word}" for word in ("in_use", "waiting"))
    timeouts = "payments_database_pool_timeouts_total"
    before, given_up = value(in_use), value(timeouts)
    taken = [pool.getconn() for _ in range(SIZE)]
    assert (value(in_use), value(waiting)) == (before + SIZE, 0)
    with ThreadPoolExecutor(2) as threads:
        late = [threads.submit(pool.getconn, seconds) for seconds in (0.05, 5)]
        with pytest.raises(PoolTimeout):
            late[0].result()
        assert (value(in_use), value(waiting)) == (before + SIZE, 1)
        assert value(timeouts) == given_up + 1
        pool.putconn(taken.pop())
        taken.append(late[1].result())
    for connection in taken:
        pool.putconn(connection)
    assert (value(in_use), value(waiting)) == (before, 0)


def value(name: str) -> float:
    """What this process counted."""
    return REGISTRY.get_sample_value(name) or 0


@pytest.fixture
def wrapper(database_urls: Any, django_db_blocker: Any) -> Iterator[DatabaseWrapper]:
    """Django's connection of this thread, from a pool of its own, of one connection."""
    given = connections["default"].settings_dict
    pool = {"min_size": 1, "max_size": 1, "timeout": 5}
    options = {**given["OPTIONS"], "pool": pool}
    wrapper = DatabaseWrapper({**given, "OPTIONS": options, "CONN_MAX_AGE": 0}, alias="pooled")
    with django_db_blocker.unblock():
        yield wrapper
        wrapper.close()
    DatabaseWrapper._connection_pools.pop("pooled").close()


@pytest.fixture
def kept(django_db_blocker: Any) -> Iterator[DatabaseWrapper]:
    """Django's connection of this thread as a worker has it: without a pool, and kept."""
    given = connections["default"].settings_dict
    options = {name: each for name, each in given["OPTIONS"].items() if name != "pool"}
    wrapper = DatabaseWrapper({**given, "OPTIONS": options, "CONN_MAX_AGE": None}, alias="kept")
    with django_db_blocker.unblock():
        yield wrapper
        wrapper.close()


def begin(wrapper: DatabaseWrapper) -> int:
    """Begin a transaction as Django's `atomic` does; the server process that it is in."""
    assert wrapper.get_autocommit()
    wrapper.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)
    assert wrapper.connection.info.transaction_status == TransactionStatus.INTRANS
    return int(wrapper.connection.info.backend_pid)


def end(wrapper: DatabaseWrapper) -> None:
    wrapper.rollback()
    wrapper.set_autocommit(True)
    wrapper.close()


def test_a_transaction_begins_without_a_health_check_and_elsewhere_if_the_connection_is_dead(
    wrapper: DatabaseWrapper, database_urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = begin(wrapper)
    end(wrapper)
    with monkeypatch.context() as patch:
        patch.setattr(base, "check", pytest.fail)
        assert begin(wrapper) == pid
    with psycopg.connect(database_urls.application, autocommit=True) as other:
        last = "SELECT query FROM pg_stat_activity WHERE pid = %s"
        assert other.execute(last, [pid]).fetchone() == ("BEGIN",)
        end(wrapper)
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert begin(wrapper) != pid
    end(wrapper)


def test_a_transaction_begins_elsewhere_if_a_workers_connection_is_dead(
    kept: DatabaseWrapper, database_urls: Any
) -> None:
    kept.ensure_connection()
    pid = begin(kept)
    kept.rollback()
    kept.set_autocommit(True)
    with psycopg.connect(database_urls.application, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert begin(kept) != pid
    end(kept)


@pytest.mark.parametrize("says_something", [False, True])
def test_a_process_that_stood_still_in_a_transaction_has_lost_its_session_as_any_other(
    database: None, says_something: bool
) -> None:
    """Stopped by a debugger, by a machine that sleeps: PostgreSQL hangs up meanwhile."""
    connection = connections["default"]
    with pytest.raises(OperationalError, match="idle-in-transaction"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        time.sleep(0.2)
        if says_something:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    connection.close_if_unusable_or_obsolete()
    assert execute("SELECT 1") == [(1,)]


def test_a_server_that_takes_no_writes_is_as_one_that_is_away(database: None) -> None:
    with pytest.raises(OperationalError, match="read-only"), transaction.atomic():
        execute("SET TRANSACTION READ ONLY")
        execute("INSERT INTO payments_books_check (name) VALUES ('x')")
    assert execute("SELECT 1") == [(1,)]


def test_every_error_that_ends_a_session_is_an_operational_error() -> None:
    """Those of class 25 (transaction state) and 57 (operator intervention) that close it."""
    ending = {"25P03", "25P04", "57P01", "57P02", "57P03", "57P05"}
    for code in ending:
        error = psycopg.errors.lookup(code)
        assert issubclass(error, psycopg.OperationalError) or error in SESSION_LOST, code
