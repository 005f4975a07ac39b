"""The relay: the process that brings events to endpoints. Any number of them may run.

One thread writes deliveries down, one leases and concludes; only these two hold a connection to the
database. Tries are made by many threads, counted in two lanes: endpoints that are slow have one of
their own, a try that turns out slow moves there with its thread, and each endpoint gets a share of
either only. So a dead endpoint keeps nobody waiting but itself, even when it dies.
What may not live here: SQL, HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services import relay_bell
from payments.services.egress.posting import Poster, Reply
from payments.services.webhooks.conclusions import bury_undeliverable, conclude
from payments.services.webhooks.fan_out import fan_out_due
from payments.services.webhooks.leases import Leased, endpoints_with_work, lease
from payments.services.webhooks.lines import move_on_forgotten
from payments.services.webhooks.sending import Tried, try_once

logger = logging.getLogger(__name__)

THREADS: Final = 16
_LOOK_EVERY_SECONDS: Final = 0.5
"""Without any ring; every due time is looked at this often."""
_GATHER_SECONDS: Final = 0.005
"""Tries that end together are concluded together."""
_AFTER_FAILURE_SECONDS: Final = 1.0
_SLOW_SECONDS: Final = 1.0
"""An endpoint that takes longer is slow until it takes less."""
_THREADS_IN_ALL: Final = 4
"""Times the fast lane's: how many tries may be slow besides it."""
_CONCLUDED_AT_ONCE: Final = 100
_REMEMBER_ENDPOINTS_SECONDS: Final = 1.0
_NET_EVERY_SECONDS: Final = 30.0
STOP_WITHIN_SECONDS: Final = 3.0


@dataclass(slots=True)
class _Lane:
    """So many tries at once, and so many of them to one endpoint."""

    threads: int
    per_endpoint: int
    busy: Counter[UUID] = field(default_factory=Counter)

    @property
    def free(self) -> int:
        return self.threads - self.busy.total()

    def room_for(self, endpoint_id: UUID) -> int:
        return self.per_endpoint - self.busy[endpoint_id]


@dataclass(slots=True)
class _Flight:
    """A try that is on its way."""

    endpoint_id: UUID
    began: float
    lane: _Lane


class Relay:
    """Fans events out and delivers them, until it is told to stop."""

    def __init__(self, poster: Poster, *, threads: int = THREADS) -> None:
        self._poster = poster
        self._fast = _Lane(threads, max(2, threads // 2))
        self._slow = _Lane(max(2, threads // 2), 1)
        self._executor = ThreadPoolExecutor(_THREADS_IN_ALL * threads, "try")
        self._most = _THREADS_IN_ALL * threads
        self._stopped = threading.Event()
        self._events_came = threading.Event()
        self._something_came = threading.Event()
        self._tried: deque[Tried] = deque()
        self._sluggish: set[UUID] = set()
        self._flights: dict[tuple[UUID, int], _Flight] = {}
        self._endpoints: dict[UUID, WebhookEndpoint] = {}
        self._endpoints_read_at = 0.0
        self._turn = 0

    def run(self) -> bool:
        """Work until `stop`; then wait a moment for what is on its way, and write it down.

        False if something still was on its way; it is tried again when its lease ends.
        """
        helpers = [
            threading.Thread(target=each, daemon=True)
            for each in (self._fan_out_forever, self._hear)
        ]
        for helper in helpers:
            helper.start()
        self._deliver_forever()
        self._finish()
        helpers[0].join(STOP_WITHIN_SECONDS)
        return not self._flights

    def stop(self) -> None:
        """Ask it to stop; returns at once, may be called from a signal handler."""
        self._stopped.set()
        self._events_came.set()
        self._something_came.set()

    def _hear(self) -> None:
        relay_bell.listen(self._wake, self._stopped)

    def _wake(self) -> None:
        self._events_came.set()
        self._something_came.set()

    def _fan_out_forever(self) -> None:
        net_at = time.monotonic() + _NET_EVERY_SECONDS
        while not self._stopped.is_set():
            if _survives(self._fan_out_all) and time.monotonic() > net_at:
                net_at = time.monotonic() + _NET_EVERY_SECONDS
                _survives(_look_for_forgotten)
            self._events_came.wait(_LOOK_EVERY_SECONDS)
            self._events_came.clear()
        connections.close_all()

    def _fan_out_all(self) -> None:
        while not self._stopped.is_set() and fan_out_due():
            self._something_came.set()
            relay_bell.ring()  # the other relays have work now, too

    def _deliver_forever(self) -> None:
        while not self._stopped.is_set():
            self._something_came.wait(_LOOK_EVERY_SECONDS)
            self._stopped.wait(_GATHER_SECONDS)
            self._something_came.clear()
            if _survives(self._conclude_all) and not self._stopped.is_set():
                _survives(self._lease_more)

    def _conclude_all(self) -> None:
        """What is not written stays in the queue, for the next time."""
        while self._tried:
            ended = list(self._tried)[:_CONCLUDED_AT_ONCE]
            _conclude_together_or_each(ended)
            for tried in ended:
                self._tried.popleft()
                self._forget(tried)

    def _forget(self, tried: Tried) -> None:
        flight = self._flights.pop((tried.leased.id, tried.leased.attempts))
        flight.lane.busy[flight.endpoint_id] -= 1
        if tried.reply.duration_ms > _SLOW_SECONDS * 1000:
            self._sluggish.add(flight.endpoint_id)
        else:
            self._sluggish.discard(flight.endpoint_id)

    def _lease_more(self) -> None:
        """Fill the free threads, each endpoint getting its share."""
        work = endpoints_with_work()
        self._read_endpoints(work)
        self._notice_slow()
        ready = []
        for endpoint_id, is_due in work.items():
            endpoint = self._endpoints.get(endpoint_id)
            if endpoint is not None and not endpoint.is_enabled:
                bury_undeliverable(endpoint_id)
            elif endpoint is not None and is_due:
                ready.append(endpoint_id)
        self._turn += 1
        start = self._turn % len(ready) if ready else 0
        turns = ready[start:] + ready[:start]
        for lane, is_slow in ((self._fast, False), (self._slow, True)):
            of_lane = [each for each in turns if (each in self._sluggish) == is_slow]
            free = min(lane.free, self._most - len(self._flights))
            for leased in lease(shares(free, of_lane, lane.room_for), self._endpoints):
                self._begin(lane, leased)

    def _begin(self, lane: _Lane, leased: Leased) -> None:
        lane.busy[leased.endpoint.id] += 1
        flight = _Flight(leased.endpoint.id, time.monotonic(), lane)
        self._flights[leased.id, leased.attempts] = flight
        self._executor.submit(self._try, leased)

    def _try(self, leased: Leased) -> None:
        try:
            tried = try_once(leased, self._poster)
        except Exception:
            # Such as a secret that none of our keys opens. It counts as a try like any other.
            delivery = public_ids.encode(public_ids.DELIVERY, leased.id)
            logger.exception("delivery %s could not be tried", delivery)
            reply = Reply(error="it could not be sent; our log says why")
            tried = Tried(leased=leased, reply=reply, started_at=datetime.now(UTC))
        self._tried.append(tried)
        self._something_came.set()

    def _notice_slow(self) -> None:
        """A try need not end to show that its endpoint is slow, and to leave the fast lane."""
        long_ago = time.monotonic() - _SLOW_SECONDS
        for flight in self._flights.values():
            if flight.began < long_ago and flight.lane is self._fast:
                self._sluggish.add(flight.endpoint_id)
                self._fast.busy[flight.endpoint_id] -= 1
                self._slow.busy[flight.endpoint_id] += 1
                flight.lane = self._slow

    def _read_endpoints(self, needed: Iterable[UUID]) -> None:
        """Endpoints as they stood a second ago at most."""
        now = time.monotonic()
        if now - self._endpoints_read_at > _REMEMBER_ENDPOINTS_SECONDS:
            self._endpoints, self._endpoints_read_at = {}, now
        missing = [each for each in needed if each not in self._endpoints]
        if missing:
            self._endpoints |= WebhookEndpoint.objects.in_bulk(missing)

    def _finish(self) -> None:
        end = time.monotonic() + STOP_WITHIN_SECONDS
        while self._flights and time.monotonic() < end:
            self._something_came.wait(0.05)
            self._something_came.clear()
            if not _survives(self._conclude_all):
                break
        self._executor.shutdown(wait=False, cancel_futures=True)
        connections.close_all()


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


def _conclude_together_or_each(ended: list[Tried]) -> None:
    """One that cannot be written must not keep the others; it is tried again after its lease."""
    try:
        conclude(ended)
    except (OperationalError, InterfaceError):
        raise  # the database is away: later
    except Exception:
        logger.exception("tries could not be concluded together")
        for tried in ended:
            try:
                conclude([tried])
            except Exception:
                logger.exception("alert: delivery %s could not be concluded", tried.leased.id)


def _look_for_forgotten() -> None:
    forgotten = move_on_forgotten()
    if forgotten:
        logger.error("alert: %d lines of deliveries had been forgotten", forgotten)


def _survives(step: Callable[[], None]) -> bool:
    """Do it; what fails is logged and done again in a moment, on a new connection.

    The database may be away for a while, and no single event may stop the others for ever unseen.
    """
    try:
        step()
    except Exception:
        logger.exception("the relay goes on in a moment")
        connections.close_all()
        time.sleep(_AFTER_FAILURE_SECONDS)
        return False
    return True
