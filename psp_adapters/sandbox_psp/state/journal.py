"""The simulator's durable journal: SQLite, one row per group commit.

The journal is append-only and complete: the state in memory is rebuilt from it. An answer or a
notice leaves only after everything that it states is on disk.

The commit runs in the event loop, not in a thread: all requests of one iteration share it. The two
thread switches per request that this saves cost more than everything else in a small request.
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
    """Group commit: all records of one iteration of the event loop are one row and one fsync."""

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
        """Called after every commit, when the answers that waited for it have been sent."""

    def load(self) -> Iterator[Record]:
        """Yield every record ever committed, oldest first."""
        rows = self._connection.execute("SELECT records FROM journal ORDER BY batch")
        for (blob,) in rows:
            for line in blob.split(b"\n"):
                yield from orjson.loads(line)

    def when_durable(self, records: list[Record], then: Callable[[], None]) -> None:
        """Append `records`, and call `then` once they and all earlier ones are on disk."""
        if not records and not self._chunks:
            then()
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        if records:
            self._chunks.append(orjson.dumps(records))
        self._waiting.append(then)

    def close(self) -> None:
        """Write what waits, and close the file."""
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
            # Memory is ahead of the disk now, so nothing more may be answered.
            sys.stderr.write(f"sandbox PSP: its store cannot be written: {error}\n")
            sys.stderr.flush()
            os._exit(1)
        for then in waiting:
            then()
        self.after_commit()
