"""Which endpoint may be tried how often at once, by how it answered lately: one relay's memory.

Three lanes, so that who hangs keeps nobody waiting who answers, and who is slow nobody who is fast:

- fast: endpoints that answer within a second. Its threads are its own.
- slow: those that answer, but later.
- silent: those that did not answer at all, and whatever takes so long that it was moved here with
  its thread. After a silence an endpoint has a pause; then one try asks whether it is back.

What may not live here: the database, threads, sending.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from payments.models import WebhookEndpoint

SLOW_SECONDS: Final = 1.0
"""An endpoint that takes longer is slow until it takes less."""
HANGING_SECONDS: Final = 5.0
"""So long a try may keep a place from others that are slow."""
PAUSES_SECONDS: Final = (5.0, 20.0, 60.0)
"""After the first silence, the second, and every further one without an answer between them."""
THREADS_IN_ALL: Final = 24
"""Times the fast lane's. In each second no more tries can leave that lane than it has threads, and
the timeout (15 s) ends them; the other lanes' own come on top. So the fast lane is never short."""
_BESIDE: Final = 2
"""Places of either other lane, times the fast lane's."""

Key = tuple[UUID, int]
"""A delivery and which of its attempts."""


@dataclass(slots=True, eq=False)
class Lane:
    """So many tries at once, and so many of them to one endpoint."""

    places: int
    per_endpoint: int
    patience_seconds: float
    """A try that takes longer moves to the silent lane."""
    busy: int = 0


@dataclass(slots=True)
class _Flight:
    """A try that is on its way."""

    endpoint_id: UUID
    began: float
    lane: Lane


@dataclass(slots=True)
class _Health:
    """How an endpoint answered this relay."""

    lane: Lane
    answered_at: float = -math.inf
    silent_at: float = -math.inf
    silences: int = 0
    paused_until: float = -math.inf


class Lanes:
    """The lanes and what is in them. One thread's."""

    def __init__(self, threads: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.fast = Lane(threads, max(2, threads // 2), SLOW_SECONDS)
        self.slow = Lane(_BESIDE * threads, 1, HANGING_SECONDS)
        self.silent = Lane(_BESIDE * threads, 1, math.inf)
        self.most = THREADS_IN_ALL * threads
        self._clock = clock
        self._flights: dict[Key, _Flight] = {}
        self._tries: Counter[UUID] = Counter()
        self._health: dict[UUID, _Health] = {}

    def __len__(self) -> int:
        """How many tries are on their way."""
        return len(self._flights)

    @property
    def in_turn(self) -> tuple[Lane, ...]:
        return (self.fast, self.slow, self.silent)

    def shares_of(self, lane: Lane, due: Iterable[WebhookEndpoint]) -> Mapping[UUID, int]:
        """How many tries of which of these endpoints may begin now in this lane."""
        now = self._clock()
        mine = [
            each.id for each in due if self._lane_of(each) is lane and self._is_open(each.id, now)
        ]
        return shares(self._free(lane), mine, lambda each: lane.per_endpoint - self._tries[each])

    def begin(self, key: Key, endpoint_id: UUID, lane: Lane) -> None:
        """A try is on its way."""
        self._flights[key] = _Flight(endpoint_id, self._clock(), lane)
        self._tries[endpoint_id] += 1
        lane.busy += 1

    def move_those_that_take_long(self) -> None:
        """A try need not end to show that its endpoint is slow, and to make room for others."""
        now = self._clock()
        for flight in self._flights.values():
            if now - flight.began > flight.lane.patience_seconds:
                if flight.lane is self.fast:
                    self._health_of(flight.endpoint_id).lane = self.slow
                flight.lane.busy -= 1
                self.silent.busy += 1
                flight.lane = self.silent

    def end(self, key: Key, *, took_seconds: float, answered: bool) -> None:
        """A try has ended; a refusal that came at once is as good as an answer: it kept nobody."""
        flight = self._flights.pop(key)
        flight.lane.busy -= 1
        self._tries[flight.endpoint_id] -= 1
        health = self._health_of(flight.endpoint_id)
        if answered or took_seconds <= SLOW_SECONDS:
            health.lane = self.fast if took_seconds <= SLOW_SECONDS else self.slow
            health.answered_at, health.silences = self._clock(), 0
            health.paused_until = -math.inf
        elif health.answered_at >= flight.began:
            health.lane = self.slow  # it answers others
        else:
            self._note_silence(health, flight)

    def _note_silence(self, health: _Health, flight: _Flight) -> None:
        now = self._clock()
        if flight.began >= health.silent_at:  # else several were on their way at once
            health.silences += 1
        pause = PAUSES_SECONDS[min(health.silences, len(PAUSES_SECONDS)) - 1]
        health.lane, health.silent_at, health.paused_until = self.silent, now, now + pause

    def _health_of(self, endpoint_id: UUID) -> _Health:
        return self._health.setdefault(endpoint_id, _Health(self.fast))

    def _lane_of(self, endpoint: WebhookEndpoint) -> Lane:
        """A relay that has just begun knows by the endpoint's row whether it failed last."""
        known = self._health.get(endpoint.id)
        if known is not None:
            return known.lane
        return self.fast if endpoint.failing_since is None else self.silent

    def _is_open(self, endpoint_id: UUID, now: float) -> bool:
        known = self._health.get(endpoint_id)
        return known is None or known.paused_until <= now

    def _free(self, lane: Lane) -> int:
        """The fast lane's threads are kept free of whatever the others begin."""
        reserved = 0 if lane is self.fast else self.fast.places
        return min(lane.places - lane.busy, self.most - reserved - len(self._flights))


def shares(
    free: int, endpoints: Iterable[UUID], room_for: Callable[[UUID], int]
) -> Mapping[UUID, int]:
    """How many of the free threads each endpoint gets: one each in turn, while there is room."""
    room = {each: room_for(each) for each in endpoints}
    given: Counter[UUID] = Counter()
    while free > 0:
        takers = [each for each, most in room.items() if given[each] < most]
        if not takers:
            break
        for each in takers[:free]:
            given[each] += 1
        free -= len(takers[:free])
    return given
