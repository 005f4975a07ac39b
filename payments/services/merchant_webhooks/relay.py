"""The relay: the process that delivers events to webhook endpoints. Several may run at once.

One thread fans events out and leases what it made, as far as permits go. One leases what is due and
records results. Only these two hold a database connection. Attempts run on many threads, limited by
bulkheads (`endpoint_bulkheads`), so that an unresponsive endpoint delays only its own deliveries.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db import InterfaceError, OperationalError, connections

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.services.egress.http_client import HttpClient, Reply
from payments.services.merchant_webhooks.attempt import (
    AttemptMade,
    attempt_delivery,
    attempt_in_order,
)
from payments.services.merchant_webhooks.attempt_results import (
    dead_letter_undeliverable,
    record_results,
)
from payments.services.merchant_webhooks.delivery_order import release_stalled, release_unordered
from payments.services.merchant_webhooks.endpoint_bulkheads import Bulkhead, EndpointBulkheads, Key
from payments.services.merchant_webhooks.fan_out import AGGREGATES_PER_BATCH, fan_out_due
from payments.services.merchant_webhooks.leasing import Leased, endpoints_with_work, lease
from payments.services.outbox import relay_wakeup

logger = logging.getLogger(__name__)

THREADS: Final = 16
_FAN_OUT_POLL_SECONDS: Final = 0.5
"""Without any wake-up, events are found this often."""
_DELIVERY_POLL_SECONDS: Final = 1.0
"""Retries that become due are found this often."""
_FAN_OUT_EVERY_SECONDS: Final = 0.1
"""Events that are written meanwhile are fanned out together; one after a pause waits for none."""
_BATCHING_SECONDS: Final = 0.02
"""Results that come together are recorded together."""
_AFTER_FAILURE_SECONDS: Final = 1.0
_RESULTS_PER_BATCH: Final = 100
_ENDPOINTS_CACHED_SECONDS: Final = 1.0
_STALLED_CHECK_SECONDS: Final = 30.0
STOP_WITHIN_SECONDS: Final = 3.0


class Relay:
    """Fans events out and delivers them, until it is stopped."""

    def __init__(self, client: HttpClient, *, threads: int = THREADS) -> None:
        self._client = client
        self._bulkheads = EndpointBulkheads(threads)
        # Threads are made when there is work for them.
        self._executor = ThreadPoolExecutor(self._bulkheads.threads_max, "attempt")
        self._stopped = threading.Event()
        self._fan_out_wakeup = threading.Event()
        self._delivery_wakeup = threading.Event()
        self._attempts_made: deque[list[AttemptMade]] = deque()
        """By lease: in one list what was sent under it."""
        self._with_backlog: frozenset[UUID] = frozenset()
        """Endpoints with more due than permits: new events do not overtake it."""
        self._endpoints: dict[UUID, WebhookEndpoint] = {}
        self._endpoints_read_at = 0.0
        self._rotation = 0

    def run(self) -> bool:
        """Work until `stop`; then wait a moment for attempts in flight, and record them.

        Returns False if an attempt was still in flight; it is repeated when its lease ends.
        """
        helpers = [
            threading.Thread(target=each, daemon=True)
            for each in (self._fan_out_forever, self._listen)
        ]
        for helper in helpers:
            helper.start()
        self._deliver_forever()
        stop_at = time.monotonic() + STOP_WITHIN_SECONDS
        helpers[0].join(STOP_WITHIN_SECONDS)  # It may have leased something just now.
        self._finish(stop_at)
        return not len(self._bulkheads)

    def stop(self) -> None:
        """Ask it to stop; returns at once and may be called from a signal handler."""
        self._stopped.set()
        self._fan_out_wakeup.set()
        self._delivery_wakeup.set()

    def _listen(self) -> None:
        relay_wakeup.listen(
            self._fan_out_wakeup.set, self._stopped, on_deliveries=self._delivery_wakeup.set
        )

    def _fan_out_forever(self) -> None:
        check_at = time.monotonic() + _STALLED_CHECK_SECONDS
        while not self._stopped.is_set():
            if _succeeds(self._fan_out_all) and time.monotonic() > check_at:
                check_at = time.monotonic() + _STALLED_CHECK_SECONDS
                _succeeds(_release_stalled)
            self._stopped.wait(_FAN_OUT_EVERY_SECONDS)
            self._fan_out_wakeup.wait(_FAN_OUT_POLL_SECONDS - _FAN_OUT_EVERY_SECONDS)
            self._fan_out_wakeup.clear()
        connections.close_all()

    def _fan_out_all(self) -> None:
        count = AGGREGATES_PER_BATCH
        while not self._stopped.is_set() and count >= AGGREGATES_PER_BATCH:
            count = self._fan_out()

    def _fan_out(self) -> int:
        """Fan a batch out and begin what was leased; returns the number of events."""
        taken: list[tuple[UUID, Bulkhead]] = []

        def take_permit(endpoint: WebhookEndpoint) -> bool:
            if self._stopped.is_set() or endpoint.id in self._with_backlog:
                return False
            bulkhead = self._bulkheads.take_permit(endpoint)
            if bulkhead is not None:
                taken.append((endpoint.id, bulkhead))
            return bulkhead is not None

        try:
            done = fan_out_due(take_permit)
        except BaseException:
            for endpoint_id, bulkhead in taken:
                self._bulkheads.give_back(bulkhead, {endpoint_id: 1})
            raise
        for leased, (_, bulkhead) in zip(done.leased, taken, strict=True):
            self._begin(bulkhead, leased)
        if done.is_work_left:
            self._delivery_wakeup.set()
            relay_wakeup.wake_for_deliveries()  # the other relays have work now, too
        return done.events

    def _deliver_forever(self) -> None:
        while not self._stopped.is_set():
            if self._delivery_wakeup.wait(_DELIVERY_POLL_SECONDS):
                self._gather()
            if _succeeds(self._record_all) and not self._stopped.is_set():
                _succeeds(self._lease_more)

    def _gather(self) -> None:
        """Wait a moment for more results, unless they use up all permits of an endpoint."""
        end = time.monotonic() + _BATCHING_SECONDS
        self._delivery_wakeup.clear()
        while len(self._attempts_made) < self._bulkheads.fast.per_endpoint:
            left_seconds = end - time.monotonic()
            if left_seconds <= 0 or self._stopped.is_set():
                break
            self._delivery_wakeup.wait(left_seconds)
            self._delivery_wakeup.clear()

    def _record_all(self) -> None:
        """What could not be recorded stays in the queue for the next time."""
        while self._attempts_made:
            ended = list(self._attempts_made)[:_RESULTS_PER_BATCH]
            _record_together_or_each(ended)
            for made in ended:
                self._attempts_made.popleft()
                self._bulkheads.end(
                    _key_of(made[0].leased),
                    took_seconds=made[-1].reply.duration_ms / 1000,
                    answered=made[-1].reply.status is not None,
                )

    def _lease_more(self) -> None:
        """Lease deliveries for the free permits, shared fairly among endpoints."""
        work = endpoints_with_work()
        self._read_endpoints(work)
        self._bulkheads.move_slow_attempts()
        ready = []
        for endpoint_id, is_due in work.items():
            endpoint = self._endpoints.get(endpoint_id)
            if endpoint is not None and not endpoint.is_enabled:
                dead_letter_undeliverable(endpoint_id)
            elif endpoint is not None and is_due:
                ready.append(endpoint)
        self._rotation += 1
        start = self._rotation % len(ready) if ready else 0
        endpoints = ready[start:] + ready[:start]
        unused: Counter[UUID] = Counter()
        for bulkhead in self._bulkheads.all:
            permits = Counter(self._bulkheads.take_permits(bulkhead, endpoints))
            leased: list[Leased] = []
            try:
                leased = lease(permits, self._endpoints)
            finally:
                given_back = permits - Counter(each.endpoint.id for each in leased)
                self._bulkheads.give_back(bulkhead, given_back)
            unused += given_back
            for each in leased:
                self._begin(bulkhead, each)
        self._with_backlog = frozenset(each.id for each in endpoints if not unused[each.id])

    def _begin(self, bulkhead: Bulkhead, leased: Leased) -> None:
        self._bulkheads.begin(_key_of(leased), leased.endpoint.id, bulkhead)
        self._executor.submit(self._attempt_in_order, leased)

    def _attempt_in_order(self, leased: Leased) -> None:
        key = _key_of(leased)

        def attempt(each: Leased) -> AttemptMade:
            if each.follows:
                self._bulkheads.go_on(key)
            return self._attempt(each)

        self._attempts_made.append(attempt_in_order(leased, attempt))
        self._delivery_wakeup.set()

    def _attempt(self, leased: Leased) -> AttemptMade:
        try:
            return attempt_delivery(leased, self._client)
        except Exception:
            # Such as a secret that none of our keys opens. It counts as a failed attempt.
            delivery = public_ids.encode(public_ids.DELIVERY, leased.id)
            logger.exception("delivery %s could not be attempted", delivery)
            reply = Reply(error="it could not be sent; our log says why")
            return AttemptMade(leased=leased, reply=reply, started_at=datetime.now(UTC))

    def _read_endpoints(self, needed: Iterable[UUID]) -> None:
        """Cache the endpoints' rows for a second."""
        now = time.monotonic()
        if now - self._endpoints_read_at > _ENDPOINTS_CACHED_SECONDS:
            self._endpoints, self._endpoints_read_at = {}, now
        missing = [each for each in needed if each not in self._endpoints]
        if missing:
            self._endpoints |= WebhookEndpoint.objects.in_bulk(missing)

    def _finish(self, stop_at: float) -> None:
        while len(self._bulkheads) and time.monotonic() < stop_at:
            self._delivery_wakeup.wait(0.05)
            self._delivery_wakeup.clear()
            if not _succeeds(self._record_all):
                break
        self._executor.shutdown(wait=False, cancel_futures=True)
        connections.close_all()


def _key_of(leased: Leased) -> Key:
    return (leased.id, leased.attempts)


def _record_together_or_each(ended: list[list[AttemptMade]]) -> None:
    """One result that cannot be recorded does not hold up the others; its lease ends."""
    try:
        record_results([made for of_lease in ended for made in of_lease])
    except (OperationalError, InterfaceError):
        raise  # the database is unavailable: later
    except Exception:
        logger.exception("results could not be recorded together")
        for of_lease in ended:
            try:
                record_results(of_lease)
            except Exception:
                delivery = of_lease[0].leased.id
                logger.exception("alert: the result of %s could not be recorded", delivery)


def _release_stalled() -> None:
    while release_unordered():
        relay_wakeup.wake_for_deliveries()
    released = release_stalled()
    if released:
        logger.error("alert: deliveries were stalled: %d ordering keys released", released)


def _succeeds(step: Callable[[], None]) -> bool:
    """Run the step; returns False if it failed, which is logged. The caller runs it again.

    The database may be unavailable for a while, and one bad event must not end the relay. The next
    run gets a new connection.
    """
    try:
        step()
    except Exception:
        logger.exception("a step of the relay failed; it is repeated")
        connections.close_all()
        time.sleep(_AFTER_FAILURE_SECONDS)
        return False
    return True
