"""Listens to the heartbeats that consumed messages leave in the database.

A worker that is stopped, wedged, or lost its broker without noticing lives and does nothing: only
work that was done shows that it works. What may not live here: killing (`supervisor` does).
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
SILENT_AFTER_SECONDS = 5 * HEARTBEAT_SECONDS
"""Longer than the longest sweep, shorter than a minute with the time to look and to restart."""
_ASK_TIMEOUT_SECONDS = 2


class Watchdog:
    """Reads the heartbeats in a thread of its own, so that a slow database holds up nobody.

    Silence counts only while both database and broker answer: without them nobody can give a sign,
    and a restart would help nobody.
    """

    def __init__(
        self,
        *,
        database_url: str,
        redis_url: str,
        silent_after_seconds: float = SILENT_AFTER_SECONDS,
    ) -> None:
        self._database_url = database_url
        self._redis = urlsplit(redis_url)
        self._silent_after_seconds = silent_after_seconds
        self._heard_at: dict[str, float] = {}
        self._fair_since = time.monotonic()
        """Since when both servers have answered without a break."""
        self._asked_at = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._over.set()
        self._thread.join(2 * _ASK_TIMEOUT_SECONDS)

    def is_silent(self, heartbeats: Sequence[str], *, since: float) -> bool:
        """Has none of these been heard for too long, by a process that runs since then?

        `since` is a time of time.monotonic(), and may lie ahead.
        """
        now = time.monotonic()
        with self._lock:
            if now - self._asked_at > self._silent_after_seconds / 2:
                return False  # We do not know.
            heard_at = max(self._heard_at.get(name, 0.0) for name in heartbeats)
            return now - max(heard_at, since, self._fair_since) > self._silent_after_seconds

    def _listen(self) -> None:
        while not self._over.wait(self._silent_after_seconds / 25):
            try:
                ages = self._ages()
                self._ping()
            except (psycopg.Error, OSError):
                with self._lock:
                    self._fair_since = time.monotonic()
                continue
            now = time.monotonic()
            with self._lock:
                self._asked_at = now
                self._heard_at.update({name: now - age for name, age in ages})

    def _ages(self) -> list[tuple[str, float]]:
        with psycopg.connect(
            self._database_url,
            connect_timeout=_ASK_TIMEOUT_SECONDS,
            options="-c statement_timeout=2000",
        ) as connection:
            return connection.execute(
                "SELECT name, extract(epoch FROM clock_timestamp() - last_finished_at)::float8 "
                "FROM paymentsite_sweep_run WHERE last_finished_at IS NOT NULL"
            ).fetchall()

    def _ping(self) -> None:
        """Any answer will do: a broker that wants a password first is up."""
        address = (self._redis.hostname or "127.0.0.1", self._redis.port or 6379)
        with socket.create_connection(address, timeout=_ASK_TIMEOUT_SECONDS) as broker:
            if self._redis.scheme == "redis":
                broker.sendall(b"PING\r\n")
                if not broker.recv(1):
                    raise ConnectionError("the broker hung up")
