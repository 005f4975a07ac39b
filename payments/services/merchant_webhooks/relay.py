"""The relay: the process that brings events to endpoints. Any number of them may run.

One thread writes deliveries down, one leases and concludes; only these two hold a connection to the
database. Tries are made by many threads, counted in lanes (`relay_lanes`), so that a dead endpoint
keeps nobody waiting but itself. What may not live here: SQL, HTTP.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services.egress.http_client import Poster, Reply
from payments.services.merchant_webhooks.attempt import Tried, try_once
from payments.services.merchant_webhooks.attempt_results import bury_undeliverable, conclude
from payments.services.merchant_webhooks.delivery_order import move_on_forgotten
from payments.services.merchant_webhooks.endpoint_bulkheads import Lane, Lanes
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.services.merchant_webhooks.leasing import Leased, endpoints_with_work, lease
from payments.services.outbox import relay_wakeup

logger = logging.getLogger(__name__)

THREADS: Final = 16
_LOOK_EVERY_SECONDS: Final = 0.5
"""Without any ring; every due time is looked at this often."""
_GATHER_SECONDS: Final = 0.005
"""Tries that end together are concluded together."""
_AFTER_FAILURE_SECONDS: Final = 1.0
_CONCLUDED_AT_ONCE: Final = 100
_REMEMBER_ENDPOINTS_SECONDS: Final = 1.0
_NET_EVERY_SECONDS: Final = 30.0
STOP_WITHIN_SECONDS: Final = 3.0


class Relay:
    """Fans events out and delivers them, until it is told to stop."""

    def __init__(self, poster: Poster, *, threads: int = THREADS) -> None:
        self._poster = poster
        self._lanes = Lanes(threads)
        # Threads are made when there is work for them.
        self._executor = ThreadPoolExecutor(self._lanes.most, "try")
        self._stopped = threading.Event()
        self._events_came = threading.Event()
        self._something_came = threading.Event()
        self._tried: deque[Tried] = deque()
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
        return not len(self._lanes)

    def stop(self) -> None:
        """Ask it to stop; returns at once, may be called from a signal handler."""
        self._stopped.set()
        self._events_came.set()
        self._something_came.set()

    def _hear(self) -> None:
        relay_wakeup.listen(self._wake, self._stopped)

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
            relay_wakeup.wake()  # the other relays have work now, too

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
        self._lanes.end(
            (tried.leased.id, tried.leased.attempts),
            took_seconds=tried.reply.duration_ms / 1000,
            answered=tried.reply.status is not None,
        )

    def _lease_more(self) -> None:
        """Fill the free threads, each endpoint getting its share."""
        work = endpoints_with_work()
        self._read_endpoints(work)
        self._lanes.move_those_that_take_long()
        ready = []
        for endpoint_id, is_due in work.items():
            endpoint = self._endpoints.get(endpoint_id)
            if endpoint is not None and not endpoint.is_enabled:
                bury_undeliverable(endpoint_id)
            elif endpoint is not None and is_due:
                ready.append(endpoint)
        self._turn += 1
        start = self._turn % len(ready) if ready else 0
        turns = ready[start:] + ready[:start]
        for lane in self._lanes.in_turn:
            for leased in lease(self._lanes.shares_of(lane, turns), self._endpoints):
                self._begin(lane, leased)

    def _begin(self, lane: Lane, leased: Leased) -> None:
        self._lanes.begin((leased.id, leased.attempts), leased.endpoint.id, lane)
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
        while len(self._lanes) and time.monotonic() < end:
            self._something_came.wait(0.05)
            self._something_came.clear()
            if not _survives(self._conclude_all):
                break
        self._executor.shutdown(wait=False, cancel_futures=True)
        connections.close_all()


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
