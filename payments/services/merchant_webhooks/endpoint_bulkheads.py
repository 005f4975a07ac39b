"""Limits concurrent attempts per endpoint by how it responded lately; in one relay's memory.

Three bulkheads: hanging endpoints cannot delay responsive ones, and slow ones cannot delay fast
ones.

- fast: endpoints that answer within a second. Its threads are reserved.
- slow: endpoints that answer, but later.
- unresponsive: endpoints that did not answer at all, and every attempt that takes so long that it
  was moved here with its thread. The endpoint is paused, then probed with one attempt.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from payments.models import WebhookEndpoint

SLOW_AFTER_SECONDS: Final = 1.0
"""An endpoint that takes longer is slow until it takes less."""
UNRESPONSIVE_AFTER_SECONDS: Final = 5.0
"""An attempt that takes longer gives its slow permit back."""
PAUSES_SECONDS: Final = (5.0, 20.0, 60.0)
"""After the first attempt without an answer, the second, and every further one in a row."""
_THREADS_FACTOR: Final = 24
"""Threads of all bulkheads, in multiples of the fast one's. At most as many attempts as the fast
bulkhead has permits leave it each second, and the timeout (15 s) ends them; the permits of the
other two come on top. So a fast permit always has a thread."""
_OTHER_PERMITS_FACTOR: Final = 2
"""Permits of the slow and of the unresponsive bulkhead, in multiples of the fast one's."""

Key = tuple[UUID, int]
"""A delivery and the number of the attempt."""


@dataclass(slots=True, eq=False)
class Bulkhead:
    """A bounded number of concurrent attempts, in all and to one endpoint."""

    permits: int
    per_endpoint: int
    slow_after_seconds: float
    """An attempt that takes longer moves to the unresponsive bulkhead."""
    in_use: int = 0


@dataclass(slots=True)
class _AttemptInFlight:
    """An attempt that has begun and not ended."""

    endpoint_id: UUID
    began: float
    bulkhead: Bulkhead


@dataclass(slots=True)
class _Health:
    """How an endpoint responded to this relay."""

    bulkhead: Bulkhead
    answered_at: float = -math.inf
    unanswered_at: float = -math.inf
    unanswered_in_a_row: int = 0
    paused_until: float = -math.inf


class EndpointBulkheads:
    """The bulkheads and the attempts in flight. Each call may come from any thread.

    A permit is taken before a lease, then given back or used by the attempt that begins.
    """

    def __init__(self, threads: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        others = _OTHER_PERMITS_FACTOR * threads
        self.fast = Bulkhead(threads, max(2, threads // 2), SLOW_AFTER_SECONDS)
        self.slow = Bulkhead(others, 1, UNRESPONSIVE_AFTER_SECONDS)
        self.unresponsive = Bulkhead(others, 1, math.inf)
        self.threads_max = _THREADS_FACTOR * threads
        self._clock = clock
        self._lock = threading.Lock()
        self._in_flight: dict[Key, _AttemptInFlight] = {}
        self._taken_of: Counter[UUID] = Counter()
        self._health: dict[UUID, _Health] = {}

    def __len__(self) -> int:
        """The number of attempts in flight."""
        return len(self._in_flight)

    @property
    def all(self) -> tuple[Bulkhead, ...]:
        return (self.fast, self.slow, self.unresponsive)

    def take_permits(
        self, bulkhead: Bulkhead, due: Iterable[WebhookEndpoint]
    ) -> Mapping[UUID, int]:
        """Take this bulkhead's free permits for the `due` endpoints; returns how many for which."""
        with self._lock:
            now = self._clock()
            endpoints = [
                each.id
                for each in due
                if self._bulkhead_of(each) is bulkhead and not self._is_paused(each.id, now)
            ]
            taken = shared_fairly(
                self._free(bulkhead),
                endpoints,
                lambda each: bulkhead.per_endpoint - self._taken_of[each],
            )
            self._change(bulkhead, taken, 1)
        return taken

    def take_permit(self, endpoint: WebhookEndpoint) -> Bulkhead | None:
        """Take one permit for the endpoint, of its bulkhead; None if none is free."""
        with self._lock:
            bulkhead = self._bulkhead_of(endpoint)
            has_room = self._taken_of[endpoint.id] < bulkhead.per_endpoint
            if (
                self._free(bulkhead) <= 0
                or not has_room
                or self._is_paused(endpoint.id, self._clock())
            ):
                return None
            self._change(bulkhead, {endpoint.id: 1}, 1)
        return bulkhead

    def give_back(self, bulkhead: Bulkhead, permits: Mapping[UUID, int]) -> None:
        """Give back permits that were taken, by endpoint: no attempts begin with them."""
        with self._lock:
            self._change(bulkhead, permits, -1)

    def begin(self, key: Key, endpoint_id: UUID, bulkhead: Bulkhead) -> None:
        """Note that an attempt has begun; it uses a permit that was taken."""
        with self._lock:
            self._in_flight[key] = _AttemptInFlight(endpoint_id, self._clock(), bulkhead)

    def go_on(self, key: Key) -> None:
        """Note that the attempt was followed by another one under the same permit."""
        with self._lock:
            self._in_flight[key].began = self._clock()

    def move_slow_attempts(self) -> None:
        """Move attempts that take long to the unresponsive bulkhead, which frees their permits."""
        with self._lock:
            self._move_slow_attempts()

    def _move_slow_attempts(self) -> None:
        now = self._clock()
        for attempt in self._in_flight.values():
            if now - attempt.began > attempt.bulkhead.slow_after_seconds:
                if attempt.bulkhead is self.fast:
                    self._health_of(attempt.endpoint_id).bulkhead = self.slow
                attempt.bulkhead.in_use -= 1
                self.unresponsive.in_use += 1
                attempt.bulkhead = self.unresponsive

    def end(self, key: Key, *, took_seconds: float, answered: bool) -> None:
        """Note that an attempt has ended.

        A connection that is refused at once counts as an answer: it held no thread up.
        """
        with self._lock:
            attempt = self._in_flight.pop(key)
            self._change(attempt.bulkhead, {attempt.endpoint_id: 1}, -1)
            self._note_health(attempt, took_seconds=took_seconds, answered=answered)

    def _change(self, bulkhead: Bulkhead, permits: Mapping[UUID, int], sign: int) -> None:
        for endpoint_id, number in permits.items():
            self._taken_of[endpoint_id] += sign * number
            bulkhead.in_use += sign * number

    def _note_health(
        self, attempt: _AttemptInFlight, *, took_seconds: float, answered: bool
    ) -> None:
        health = self._health_of(attempt.endpoint_id)
        if answered or took_seconds <= SLOW_AFTER_SECONDS:
            health.bulkhead = self.fast if took_seconds <= SLOW_AFTER_SECONDS else self.slow
            health.answered_at, health.unanswered_in_a_row = self._clock(), 0
            health.paused_until = -math.inf
        elif health.answered_at >= attempt.began:
            health.bulkhead = self.slow  # it answered another attempt meanwhile
        else:
            self._pause(health, attempt)

    def _pause(self, health: _Health, attempt: _AttemptInFlight) -> None:
        now = self._clock()
        if attempt.began >= health.unanswered_at:  # concurrent attempts count once
            health.unanswered_in_a_row += 1
        pause = PAUSES_SECONDS[min(health.unanswered_in_a_row, len(PAUSES_SECONDS)) - 1]
        health.bulkhead = self.unresponsive
        health.unanswered_at, health.paused_until = now, now + pause

    def _health_of(self, endpoint_id: UUID) -> _Health:
        return self._health.setdefault(endpoint_id, _Health(self.fast))

    def _bulkhead_of(self, endpoint: WebhookEndpoint) -> Bulkhead:
        """The endpoint's bulkhead; after a restart of the relay its row says whether it fails."""
        known = self._health.get(endpoint.id)
        if known is not None:
            return known.bulkhead
        return self.fast if endpoint.failing_since is None else self.unresponsive

    def _is_paused(self, endpoint_id: UUID, now: float) -> bool:
        known = self._health.get(endpoint_id)
        return known is not None and known.paused_until > now

    def _free(self, bulkhead: Bulkhead) -> int:
        """Free permits, with the threads of the fast bulkhead kept in reserve for it."""
        reserved = 0 if bulkhead is self.fast else self.fast.permits
        free_threads = self.threads_max - reserved - sum(each.in_use for each in self.all)
        return min(bulkhead.permits - bulkhead.in_use, free_threads)


def shared_fairly(
    free: int, endpoints: Iterable[UUID], room_for: Callable[[UUID], int]
) -> Mapping[UUID, int]:
    """Share free permits among endpoints: round robin, up to each one's room."""
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
