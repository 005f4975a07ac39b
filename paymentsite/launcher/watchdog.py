"""Reads the workers' heartbeats from the database and says which are overdue.

A worker writes a heartbeat when it handles a heartbeat message. A worker that is stopped, blocked,
or cut off from its broker writes none, though its process runs.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import psycopg

HEARTBEAT_SECONDS = int(os.environ.get("HEARTBEAT_SECONDS") or 10)
OVERDUE_AFTER_SECONDS = 5 * HEARTBEAT_SECONDS
"""Longer than the longest sweep; with detection and restart, shorter than a minute."""
_READ_TIMEOUT_SECONDS = 2


class Watchdog:
    """Reads the heartbeats in its own thread, so that a slow database delays no restart.

    A heartbeat is overdue only while both database and broker answer. Without them no worker can
    write one, and a restart would not help.
    """

    def __init__(
        self,
        *,
        database_url: str,
        redis_url: str,
        overdue_after_seconds: float = OVERDUE_AFTER_SECONDS,
    ) -> None:
        self._database_url = database_url
        self._redis = urlsplit(redis_url)
        self._overdue_after_seconds = overdue_after_seconds
        self._written_at: dict[str, float] = {}
        self._answering_since = time.monotonic()
        """Since when database and broker have answered without a failure."""
        self._read_at = 0.0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    def start(self) -> None:
        """Start reading."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading."""
        self._stopped.set()
        self._thread.join(2 * _READ_TIMEOUT_SECONDS)

    def is_overdue(self, heartbeats: Sequence[str], *, since: float) -> bool:
        """Whether all of these are overdue, for a process that has been running since `since`.

        `since` is a time of time.monotonic() and may lie in the future.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._read_at > self._overdue_after_seconds / 2:
                return False  # the last reading is too old to tell
            written_at = max(self._written_at.get(name, 0.0) for name in heartbeats)
            return now - max(written_at, since, self._answering_since) > self._overdue_after_seconds

    def _run(self) -> None:
        while not self._stopped.wait(self._overdue_after_seconds / 25):
            try:
                ages = self._ages()
                self._ping()
            except (psycopg.Error, OSError):
                with self._lock:
                    self._answering_since = time.monotonic()
                continue
            now = time.monotonic()
            with self._lock:
                self._read_at = now
                self._written_at.update({name: now - age for name, age in ages})

    def _ages(self) -> list[tuple[str, float]]:
        with psycopg.connect(
            self._database_url,
            connect_timeout=_READ_TIMEOUT_SECONDS,
            options="-c statement_timeout=2000",
        ) as connection:
            return connection.execute(
                "SELECT name, extract(epoch FROM clock_timestamp() - last_finished_at)::float8 "
                "FROM paymentsite_sweep_run WHERE last_finished_at IS NOT NULL"
            ).fetchall()

    def _ping(self) -> None:
        """Raise OSError unless the broker answers; an answer that asks for a password is enough."""
        address = (self._redis.hostname or "127.0.0.1", self._redis.port or 6379)
        with socket.create_connection(address, timeout=_READ_TIMEOUT_SECONDS) as broker:
            if self._redis.scheme == "redis":
                broker.sendall(b"PING\r\n")
                if not broker.recv(1):
                    raise ConnectionError("the broker closed the connection")
