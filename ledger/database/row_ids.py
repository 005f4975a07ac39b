"""Makes the ids of listed rows, so that a reader who goes on from the newest id misses none.

Ids are made before their rows commit, by many processes. What PostgreSQL keeps of that is in
`ledger/sql/row_ids.sql`.
"""

from __future__ import annotations

import threading
from typing import Final
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from uuid_utils.compat import uuid7

from ledger.database.statements import execute

ANNOUNCE_SQL: Final = "ledger_announce_ids()"
"""Selected by a statement that a transaction executes anyway; `note_announced` gets its value."""


class _Announcement:
    """Registered with the transaction that announced its ids; as a hook it does nothing."""

    def __init__(self, from_ms: int) -> None:
        self.from_ms = from_ms

    def __call__(self) -> None:
        pass


class _LastId:
    """The last id that was given out while this machine's clock was behind PostgreSQL's."""

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()

    def is_of(self, ms: int) -> bool:
        """Was the last one of this millisecond?"""
        return self._last >> 80 == ms

    def next(self, ms: int) -> UUID:
        """A new id of this millisecond, after the last one of it."""
        with self._lock:
            made = uuid7(nanoseconds=ms * 1_000_000).int  # Its lower bits are random.
            self._last = max(made, self._last + 1) if self.is_of(ms) else made
            return UUID(int=self._last)


_behind = _LastId()


def new_row_id() -> UUID:
    """A new UUIDv7 for a row that the present transaction inserts; raises outside of one.

    The first one of a transaction announces them. Those of one transaction rise.
    """
    return _new_id(_announced_ms())


def new_row_ids(count: int) -> list[UUID]:
    """So many of them, in rising order."""
    from_ms = _announced_ms()
    return [_new_id(from_ms) for _ in range(count)]


def _announced_ms() -> int:
    announcement = _present_announcement()
    if announcement is None:
        announcement = note_announced(execute(f"SELECT {ANNOUNCE_SQL}")[0][0])
    return announcement.from_ms


def _new_id(from_ms: int) -> UUID:
    identifier = uuid7()
    present_ms = identifier.int >> 80
    if present_ms < from_ms or (present_ms == from_ms and _behind.is_of(from_ms)):
        return _behind.next(from_ms)
    return identifier


def note_announced(from_ms: int) -> _Announcement:
    """Note that the present transaction makes ids from this millisecond on."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("ids of rows are made in a transaction")
    announcement = _Announcement(from_ms)
    transaction.on_commit(announcement)
    return announcement


def complete_before() -> UUID:
    """The id below which no row can appear any more. To be read before the rows."""
    return UUID(int=execute("SELECT ledger_ids_complete_before()")[0][0] << 80)


def horizon_seconds() -> float:
    """How old the oldest announcement is: rows that are newer no forward reader is shown yet."""
    rows = execute(
        "SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 - ledger_ids_complete_before()"
    )
    return max(0.0, float(rows[0][0]) / 1000)


def _present_announcement() -> _Announcement | None:
    # Django forgets it with the transaction, or with a savepoint that is rolled back, and
    # PostgreSQL gives the lock back at the same moment.
    for entry in connections[DEFAULT_DB_ALIAS].run_on_commit:
        if isinstance(entry[1], _Announcement):
            return entry[1]
    return None
