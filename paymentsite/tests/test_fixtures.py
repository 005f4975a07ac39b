"""The shared fixtures isolate tests from each other."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction

from paymentsite.tests.fixtures.socket_guard import NetworkInsideTransaction

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("time", ["first", "second"])
def test_rows_of_one_test_are_deleted_before_the_next(time: str) -> None:
    assert not Group.objects.filter(name="left behind").exists()
    assert Permission.objects.exists()
    Group.objects.create(name="left behind").permissions.add(Permission.objects.first())


def test_tests_run_as_the_application(application_cursor: psycopg.Cursor[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        role = cursor.fetchone()[0]
    application_cursor.execute("SELECT current_user")
    assert application_cursor.fetchone() == (role,)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application_cursor.execute("TRUNCATE auth_group CASCADE")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application_cursor.execute("CREATE TABLE public.mine (id int)")


def test_the_application_cannot_become_the_owner(
    application_cursor: psycopg.Cursor[Any], owner_cursor: psycopg.Cursor[Any]
) -> None:
    owner_cursor.execute("SELECT current_user")
    owner = owner_cursor.fetchone()[0]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application_cursor.execute(
            psycopg.sql.SQL("SET ROLE {}").format(psycopg.sql.Identifier(owner))
        )


def test_threads_have_connections_of_their_own(run_together: Callable[..., list[Any]]) -> None:
    all_connected = threading.Barrier(3)

    def backend() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            all_connected.wait(30)
            return cursor.fetchone()[0]

    assert len(set(run_together(backend, backend, backend))) == 3


def test_a_kept_connection_is_as_new() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('work_mem')")
        before = cursor.fetchone()
        cursor.execute("SET work_mem = '77MB'")
        cursor.execute("LISTEN something")
        cursor.execute("SELECT pg_advisory_lock(1)")
    connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('work_mem')")
        assert cursor.fetchone() == before, "the same connection, its setting as before"
        cursor.execute("SELECT pg_listening_channels()")
        assert cursor.fetchall() == []
        cursor.execute(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        assert cursor.fetchall() == []


def test_a_connection_that_the_server_ended_or_a_transaction_is_open_on_is_not_kept(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    def backend() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]

    first = backend()
    connection.set_autocommit(False)
    assert backend() == first
    connection.close()
    second = backend()
    assert second != first
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('idle_session_timeout', '1ms', false)")
    time.sleep(0.1)
    connection.close()
    assert backend() not in (first, second)


def test_a_socket_inside_a_transaction_is_refused_and_remembered(
    no_network_inside_a_transaction: list[str],
) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with transaction.atomic(), socket.socket() as caller:
            with pytest.raises(NetworkInsideTransaction):
                caller.connect(listener.getsockname())
        assert len(no_network_inside_a_transaction) == 1
        no_network_inside_a_transaction.clear()
        with socket.socket() as caller:
            caller.connect(listener.getsockname())


@pytest.mark.alone
def test_a_test_that_is_alone_sees_no_transaction_of_others(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    """A server that another worker starts or stops for a whole file may write in one moment."""
    query = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
    seen = [owner_cursor.execute(query).fetchone()]
    for _ in range(5):
        time.sleep(0.3)
        seen.append(owner_cursor.execute(query).fetchone())
    assert any(before == after for before, after in itertools.pairwise(seen)), seen
