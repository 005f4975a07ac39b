"""What waits during a load, behind the API and for its connections: sampled, and judged.

The verdict is pure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any, Final

import psycopg
from prometheus_client.multiprocess import MultiProcessCollector
from redis import Redis
from redis.exceptions import ResponseError

from bench.all_running.processes import Running
from paymentsite.launcher import state

_EVERY_SECONDS: Final = 0.5
_STREAM: Final = "payments:events"
_WAITING: Final = """
    SELECT (SELECT count(*) FROM payments_psp_notification WHERE next_attempt_at IS NOT NULL),
           (SELECT count(*) FROM payments_dispatch),
           (SELECT count(*) FROM payments_delivery WHERE next_attempt_at IS NOT NULL)
         + (SELECT count(*) FROM payments_delivery WHERE status = 'pending' AND is_ordered
                                                     AND next_attempt_at IS NULL),
           (SELECT count(*) FROM payments_unnumbered_event),
           (SELECT coalesce(max(number), 0) FROM payments_stream_entry)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waits at one moment."""

    notifications: int = 0
    """Of the PSP, not processed."""
    to_fan_out: int = 0
    """Events whose deliveries are not made."""
    deliveries: int = 0
    """Not delivered."""
    unpublished: int = 0
    """Events that are not on the stream."""
    unconsumed: int = 0
    """Entries of the stream, of the group that is furthest behind."""

    def total(self) -> int:
        return sum(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True)
class Sample:
    """What waits, and when it was read."""

    at_seconds: float
    backlog: Backlog
    pool_in_use: float = 0.0
    """Database connections that threads of the API hold."""
    pool_waiting: float = 0.0
    """Threads of the API that wait for one."""


def read(connection: psycopg.Connection[Any], redis: Redis) -> Backlog:
    """Count everything that waits now."""
    # First Redis: what is numbered meanwhile would count as unpublished otherwise.
    last, behind = _stream(redis)
    row = connection.execute(_WAITING).fetchone()
    if row is None:
        raise RuntimeError("a SELECT without FROM has one row")
    notifications, to_fan_out, deliveries, unstreamed, numbered = row
    return Backlog(
        notifications=notifications,
        to_fan_out=to_fan_out,
        deliveries=deliveries,
        unpublished=unstreamed + max(0, numbered - last),
        unconsumed=behind,
    )


def _stream(redis: Redis) -> tuple[int, int]:
    """The newest number in Redis, and how far behind it the slowest group is."""
    try:
        about: Any = redis.xinfo_stream(_STREAM)
        groups: Any = redis.xinfo_groups(_STREAM)
    except ResponseError:
        return 0, 0  # nothing was published yet
    last = int(about["last-generated-id"].partition("-")[0])
    behind = [
        last - int(each["last-delivered-id"].partition("-")[0]) + int(each["pending"])
        for each in groups
    ]
    return last, max(behind, default=0)


class Sampler:
    """Reads the backlog twice a second in a thread of its own, until the end of its block."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self.samples: list[Sample] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        with self._running.database() as connection, self._running.redis() as redis:
            while not self._stopped.wait(_EVERY_SECONDS):
                at_seconds = time.monotonic() - began
                pool = _pool(state.metrics_folder(self._running.folder))
                self.samples.append(Sample(at_seconds, read(connection, redis), *pool))


def _pool(folder: Path) -> tuple[float, float]:
    """Connections in use and threads that wait, as the processes of the API report them."""
    files = [str(path) for path in folder.glob("gauge_livesum_*.db")]
    found = {each.name: each for each in MultiProcessCollector.merge(files)}
    in_use, waiting = (
        sum(sample.value for sample in found[name].samples) if name in found else 0.0
        for name in (
            "payments_database_connections_in_use",
            "payments_database_connections_waiting",
        )
    )
    return in_use, waiting


GROWS_BY_SHARE: Final = 0.05
"""Of what arrives: a backlog that grows faster has fallen behind."""
ALLOWED_SECONDS: Final = 0.5
"""Work of so long may wait at any moment: processes poll, and work in batches."""
ALLOWED_LEAST: Final = 10
"""So many may wait at any rate."""


def growing(samples: Sequence[Sample], *, per_second: float) -> list[str]:
    """The names of the backlogs that grow while `per_second` payments arrive.

    A payment causes at least one of each. A backlog grows if its median rises from the first half
    of the samples to the second by more than a twentieth of the payments that arrived in between,
    and the second holds more than half a second's, and more than ten.
    """
    half = len(samples) // 2
    if not half:
        return []
    early, late = samples[:half], samples[-half:]
    apart = median(each.at_seconds for each in late) - median(each.at_seconds for each in early)
    found = []
    for name in (each.name for each in fields(Backlog)):
        before, after = (
            median(getattr(each.backlog, name) for each in part) for part in (early, late)
        )
        rises = after - before > GROWS_BY_SHARE * per_second * apart
        if rises and after > max(ALLOWED_LEAST, ALLOWED_SECONDS * per_second):
            found.append(name)
    return found
