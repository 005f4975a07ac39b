"""Makes the ids of listed rows, so that a reader who goes on from the newest id misses none.

Ids are made before their rows commit, by many processes. What PostgreSQL keeps of that is in
`ledger/sql/row_ids.sql`.
"""

from __future__ import annotations

import threading
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from ledger.database.statements import execute

ANNOUNCE_SQL: Final = "ledger_announce_ids()"
"""Selected by a statement that a transaction executes anyway; `note_announced` gets its value."""


class _NewestAnnounced:
    """The newest millisecond that this process announced, for all its threads."""

    def __init__(self) -> None:
        self.ms = 0
        self._lock = threading.Lock()

    def note(self, ms: int) -> None:
        with self._lock:
            self.ms = max(self.ms, ms)


_announced = _NewestAnnounced()


def new_row_id() -> UUID:
    """A new UUIDv7 for a row that the present transaction inserts; raises outside of one.

    The first one of a transaction announces them. They sort by time, within a process too, as long
    as its clock is not behind PostgreSQL's.
    """
    if not _is_announced():
        note_announced(execute(f"SELECT {ANNOUNCE_SQL}")[0][0])
    identifier = uuid7()
    if identifier.int >> 80 >= _announced.ms:
        return identifier
    # The clock of this machine is behind PostgreSQL's.
    return uuid7(nanoseconds=_announced.ms * 1_000_000)


def note_announced(from_ms: int) -> None:
    """Note that the present transaction makes ids from this millisecond on."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("ids of rows are made in a transaction")
    _announced.note(from_ms)
    transaction.on_commit(_mark)


def complete_before() -> UUID:
    """The id below which no row can appear any more. To be read before the rows."""
    return UUID(int=execute("SELECT ledger_ids_complete_before()")[0][0] << 80)


def _is_announced() -> bool:
    # Django forgets it with the transaction, or with a savepoint that is rolled back, and
    # PostgreSQL gives the lock back at the same moment.
    return any(entry[1] is _mark for entry in connection.run_on_commit)


def _mark() -> None:
    """Registered by a transaction that has announced its ids; does nothing."""
