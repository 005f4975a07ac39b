"""How long after its event each group of the stream had consumed it: sampled ten times a second.

PostgreSQL keeps no row for each event and group, and deletes the numbers of events that every group
has consumed. So both are read while payments arrive. The calculation is pure.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from bench.all_running.processes import Running

_EVERY_SECONDS: Final = 0.1
_NUMBERED: Final = """
    SELECT s.number, extract(epoch FROM e.created_at)::float8
      FROM payments_stream_entry s JOIN payments_event e ON e.id = s.event_id
     WHERE s.number > %s ORDER BY s.number"""
_POSITIONS: Final = """
    SELECT name, consumed_to, extract(epoch FROM updated_at)::float8
      FROM payments_stream_group ORDER BY name"""


@dataclass(frozen=True, slots=True)
class Position:
    """Of a group, and when the transaction began that moved it there."""

    group: str
    consumed_to: int
    at: float


def lags_of(created: Mapping[int, float], moved: Iterable[Position]) -> list[float]:
    """Seconds from each event to its group's first position that is not before it.

    `created` holds when the event of each number happened; `moved` is in order of time per group.
    """
    seen: dict[str, int] = {}
    lags = []
    for position in moved:
        before = seen.setdefault(position.group, position.consumed_to)
        seen[position.group] = position.consumed_to
        lags += [
            max(0.0, position.at - created[number])
            for number in range(before + 1, position.consumed_to + 1)
            if number in created
        ]
    return lags


class StreamWatch:
    """Reads numbers and positions in a thread of its own, until the end of its block."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._created: dict[int, float] = {}
        self._moved: list[Position] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StreamWatch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._thread.join()

    def lags(self) -> list[float]:
        return lags_of(self._created, self._moved)

    def _run(self) -> None:
        with self._running.database() as connection:
            self._read(connection)
            known_before = dict.fromkeys(self._created)
            while not self._stopped.wait(_EVERY_SECONDS):
                self._read(connection)
            self._read(connection)
        self._created = {n: at for n, at in self._created.items() if n not in known_before}

    def _read(self, connection: psycopg.Connection[Any]) -> None:
        newest = max(self._created, default=0)
        self._created |= dict(connection.execute(_NUMBERED, [newest]).fetchall())
        self._moved += [Position(*row) for row in connection.execute(_POSITIONS).fetchall()]
