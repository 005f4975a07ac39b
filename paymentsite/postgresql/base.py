"""The database backend; Django looks for it in a module of this name."""

from __future__ import annotations

import threading
import time
from functools import partial
from types import TracebackType
from typing import Any, ClassVar, Final

from django.db import InterfaceError, OperationalError
from django.db.backends.postgresql import base as django_backend
from django.db.utils import DatabaseErrorWrapper
from django.utils.functional import cached_property
from psycopg import Connection, Error, errors
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolTimeout

from ledger.database.clock import database_clock
from payments import metrics

_TIME_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"
SESSION_LOST: Final = (
    errors.IdleInTransactionSessionTimeout,
    errors.TransactionTimeout,
    errors.ReadOnlySqlTransaction,
)
"""This process stood still in a transaction and PostgreSQL hung up, or the server was demoted."""
_IDLE: Final = TransactionStatus.IDLE
_thread = threading.local()
"""`begins` is set while the thread takes a connection for a transaction."""


class DatedConnection(Connection[Any]):
    """A connection that knows when it was made."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.made_at = time.monotonic()


def check(connection: Connection[Any]) -> None:
    """Make a round trip, and read the database's clock if due; raises if the connection is dead."""
    if not database_clock.is_due():
        connection.execute("")
        return
    asked_at = time.monotonic()
    row = connection.execute(_TIME_NOW).fetchone()
    assert row is not None, "a SELECT without FROM has one row"
    database_clock.observe(row[0], asked_at=asked_at, answered_at=time.monotonic())


class RestartProofPool(ConnectionPool[DatedConnection]):
    """A pool that drops all idle connections once one of them is dead, and counts those in use.

    psycopg's own pool tries the next one, after 0, 1, 2, 4 seconds. After a restart of the database
    all of them are dead, so requests would wait for seconds and then fail.
    """

    def __init__(self, **options: Any) -> None:
        self._emptied_at = 0.0
        super().__init__(check=self._check_or_empty, connection_class=DatedConnection, **options)

    def getconn(self, timeout: float | None = None) -> DatedConnection:
        with metrics.POOL_WAITING.track_inprogress():
            try:
                connection = super().getconn(timeout)
            except PoolTimeout:
                metrics.POOL_TIMEOUTS.inc()
                raise
        metrics.POOL_IN_USE.inc()
        return connection

    def putconn(self, conn: DatedConnection) -> None:
        if conn.broken:
            self._empty(conn)
        super().putconn(conn)
        metrics.POOL_IN_USE.dec()

    def _check_or_empty(self, connection: DatedConnection) -> None:
        if getattr(_thread, "begins", False) and not database_clock.is_due():
            return
        try:
            check(connection)
        except Exception:
            self._empty(connection)
            raise

    def _empty(self, dead: DatedConnection) -> None:
        # Many threads find a dead one at the same moment; keep connections made since.
        if dead.made_at > self._emptied_at:
            self._emptied_at = time.monotonic()
            self.drain()


class ErrorWrapper(DatabaseErrorWrapper):
    """Django's, but what says that the session is over or cannot write is an OperationalError.

    PostgreSQL has such errors in other classes, which Django takes for defects of ours.
    """

    wrapper: Any

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc_value, SESSION_LOST):
            self.wrapper.errors_occurred = True
            raise OperationalError(*exc_value.args).with_traceback(traceback) from exc_value
        super().__exit__(exc_type, exc_value, traceback)


class DatabaseWrapper(django_backend.DatabaseWrapper):
    """Django's backend with our pool, our health check, and our class for lost sessions."""

    _connection_pools: ClassVar[dict[str, RestartProofPool]] = {}

    @cached_property
    def wrap_database_errors(self) -> ErrorWrapper:
        return ErrorWrapper(self)

    @property
    def pool(self) -> RestartProofPool | None:
        options = self.settings_dict["OPTIONS"].get("pool")
        if not options:
            return None
        pools = self._connection_pools
        if self.alias not in pools:
            # Of several threads here the first one's pool stays; no other was opened.
            new = RestartProofPool(
                kwargs={**self.get_connection_params(), "autocommit": True},
                open=False,
                configure=self._configure_connection,  # type: ignore[attr-defined]
                **options,
            )
            pools.setdefault(self.alias, new)
        return pools[self.alias]

    def get_autocommit(self) -> bool:
        # Django takes a connection for this answer, and asks before each transaction.
        if self.connection is None and self.pool is not None:
            return True
        return bool(super().get_autocommit())

    def set_autocommit(
        self, autocommit: bool, force_begin_transaction_with_broken_autocommit: bool = False
    ) -> None:
        """As Django's, but a transaction that begins on a dead connection begins on another one.

        So a pooled connection needs no health check first: BEGIN shows whether it is alive.
        """
        begin = partial(
            super().set_autocommit, autocommit, force_begin_transaction_with_broken_autocommit
        )
        if autocommit:
            begin()
            return
        _thread.begins = self.connection is None
        try:
            begin()
        except (OperationalError, InterfaceError):
            if self.connection is None or not self.connection.broken:
                raise
            self.close()
        else:
            return
        finally:
            _thread.begins = False
        begin()

    def _set_autocommit(self, autocommit: bool) -> None:
        # psycopg stays in this mode: otherwise it would begin only before the next statement. It
        # would look up each time that no transaction is open, through its loop of round trips.
        session = self.connection
        if not (session.autocommit and session.pgconn.transaction_status == _IDLE):
            super()._set_autocommit(True)  # type: ignore[misc]
        if not autocommit:
            with self.wrap_database_errors:
                self.connection.execute("BEGIN", prepare=False)

    def is_usable(self) -> bool:
        if self.connection is None:
            return False
        try:
            check(self.connection)
        except Error:
            return False
        return True

    def init_connection_state(self) -> None:
        super().init_connection_state()
        if database_clock.is_due():
            check(self.connection)
