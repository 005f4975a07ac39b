"""The simulator's durable journal: SQLite, one row per group commit.

The journal is append-only and is the whole truth; everything in memory is rebuilt from it. What
is said to have happened to anybody is in it first: answers wait here until they may leave.

The commit runs in the event loop, not in a thread of its own: all requests of one turn of the loop
share it, whatever arrives meanwhile waits in its socket for the next, and the two thread switches
per request that this saves cost more processor time than everything else in a small request.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]


class Store:
    """Group commit: whatever is handed in during one turn of the loop is one row, one fsync."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS journal (batch INTEGER PRIMARY KEY, records BLOB NOT NULL)"
        )
        self._chunks: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self.after_commit: Callable[[], None] = lambda: None
        """Called after every commit, when those who waited for it have been answered."""

    def load(self) -> Iterator[Record]:
        """Every record ever committed, oldest first."""
        rows = self._connection.execute("SELECT records FROM journal ORDER BY batch")
        for (blob,) in rows:
            for line in blob.split(b"\n"):
                yield from orjson.loads(line)

    def when_durable(self, records: list[Record], then: Callable[[], None]) -> None:
        """Append `records` and call `then` once they, and all before, are on disk."""
        if not records and not self._chunks:
            then()
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        if records:
            self._chunks.append(orjson.dumps(records))
        self._waiting.append(then)

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._chunks:
            self._commit()
        self._connection.close()

    def _commit(self) -> None:
        chunks, self._chunks = self._chunks, []
        waiting, self._waiting = self._waiting, []
        try:
            if chunks:
                self._connection.execute(
                    "INSERT INTO journal (records) VALUES (?)", (b"\n".join(chunks),)
                )
        except sqlite3.Error as error:
            # Nothing may be answered that is not on disk, and memory is ahead of it now.
            sys.stderr.write(f"sandbox PSP: its store cannot be written: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        for then in waiting:
            then()
        self.after_commit()
