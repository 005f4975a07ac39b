"""The simulator's durable journal: SQLite, one row per group commit, written by one thread.

The journal is append-only and is the whole truth; everything in memory is rebuilt from it. What
is said to have happened to anybody is in it first: answers wait here until they may leave.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

Record = dict[str, Any]


class Store:
    """Group commit: whatever arrives while a commit is under way goes into the next one."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS journal (batch INTEGER PRIMARY KEY, records BLOB NOT NULL)"
        )
        self._wake = threading.Condition()
        self._chunks: list[bytes] = []
        self._waiting: list[Callable[[], None]] = []
        self._unanswered = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def load(self) -> Iterator[Record]:
        """Every record ever committed, oldest first."""
        rows = self._connection.execute("SELECT records FROM journal ORDER BY batch")
        for (blob,) in rows:
            for line in blob.split(b"\n"):
                yield from orjson.loads(line)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread.start()

    def when_durable(self, records: list[Record], then: Callable[[], None]) -> None:
        """Append `records` and call `then` in the loop once they, and all before, are on disk."""
        if not records and not self._unanswered:
            then()
            return
        self._unanswered += 1
        with self._wake:
            if records:
                self._chunks.append(orjson.dumps(records))
            self._waiting.append(then)
            self._wake.notify()

    def close(self) -> None:
        """Write what is left and close the file."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._connection.close()

    def _write(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._stopping:
                    self._wake.wait()
                chunks, self._chunks = self._chunks, []
                waiting, self._waiting = self._waiting, []
            if not waiting:
                return
            try:
                if chunks:
                    self._connection.execute(
                        "INSERT INTO journal (records) VALUES (?)",
                        (b"\n".join(chunks),),
                    )
            except sqlite3.Error as error:
                # Nothing may be answered that is not on disk, and memory is ahead of it now.
                print(
                    f"sandbox PSP: its store cannot be written: {error}",
                    file=sys.stderr,
                )
                sys.stderr.flush()
                os._exit(1)
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._release, waiting)

    def _release(self, waiting: list[Callable[[], None]]) -> None:
        self._unanswered -= len(waiting)
        for then in waiting:
            then()
