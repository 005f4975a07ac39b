"""Keeps connections to the test database that Django closes, for the next to be opened.

The code under test holds no connection while it calls a PSP, so that one payment opens three, and
each costs as much as many queries: a login, a new process of the server, its empty caches.
A kept connection is as new: settings, listeners, locks and cursors of its former life are gone.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import psycopg
from django.db import connections
from psycopg import IsolationLevel
from psycopg.pq import ExecStatus, TransactionStatus

from paymentsite.postgresql.base import DatabaseWrapper

_AS_NEW = b"CLOSE ALL; RESET ALL; UNLISTEN *; SELECT pg_advisory_unlock_all()"


class KeptConnections:
    """Idle connections that were opened with the parameters of the present settings; no others."""

    def __init__(self) -> None:
        self.are_kept = True
        self._parameters = connections["default"].get_connection_params()
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        """With nothing: what the parent of a fork keeps is the parent's."""
        self._of_these: WeakSet[psycopg.Connection[Any]] = WeakSet()
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = threading.Lock()

    def open(
        self, parameters: dict[str, Any], open_one: Callable[[], psycopg.Connection[Any]]
    ) -> psycopg.Connection[Any]:
        """One that was kept, or a new one."""
        if not self.are_kept or parameters != self._parameters:
            return open_one()
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                new = open_one()
                self._of_these.add(new)
                return new
            if not _was_ended(kept):
                return kept
            kept.close()

    def keep(self, connection: psycopg.Connection[Any]) -> bool:
        """Keep it, unless it is broken, in a transaction, or of other parameters."""
        if not self.are_kept or connection not in self._of_these or not _become_new(connection):
            return False
        with self._lock:
            self._idle.append(connection)
        return True

    def close(self) -> None:
        """Close all that are idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


@contextmanager
def kept_connections() -> Iterator[KeptConnections]:
    """Inside the block Django, in all threads, takes what is kept, and what it closes is kept."""
    kept = KeptConnections()
    open_one: Callable[..., Any] = DatabaseWrapper.get_new_connection
    close_one: Callable[..., Any] = DatabaseWrapper._close

    def get_new_connection(wrapper: Any, parameters: dict[str, Any]) -> Any:
        if wrapper.pool:
            return open_one(wrapper, parameters)
        wrapper.isolation_level = IsolationLevel.READ_COMMITTED
        return kept.open(parameters, lambda: open_one(wrapper, parameters))

    def close(wrapper: Any) -> None:
        if wrapper.connection is None:
            return
        # In a block Django goes on to hold what it closed.
        if wrapper.in_atomic_block or not kept.keep(wrapper.connection):
            close_one(wrapper)

    setattr(DatabaseWrapper, "get_new_connection", get_new_connection)  # noqa: B010
    setattr(DatabaseWrapper, "_close", close)  # noqa: B010
    try:
        yield kept
    finally:
        del DatabaseWrapper.get_new_connection, DatabaseWrapper._close
        kept.close()


def _become_new(connection: psycopg.Connection[Any]) -> bool:
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    try:
        return connection.pgconn.exec_(_AS_NEW).status == ExecStatus.TUPLES_OK
    except psycopg.Error:
        return False


def _was_ended(connection: psycopg.Connection[Any]) -> bool:
    """Has the server said anything since? To an idle connection it says only that it ends it."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
