"""Wakes every relay process after a commit that gave it work, by Redis pub/sub.

It publishes from a thread of its own, so that no payment waits for it. A lost wake-up costs half a
second: relays poll anyway.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

_EVENTS: Final = "payments:events"
_DELIVERIES: Final = "payments:deliveries"
_GATHER_SECONDS: Final = 0.05
"""Wake-ups within so long are published as one: a relay that wakes reads every due row."""
_GATHER_DELIVERIES_SECONDS: Final = 0.01
_TIMEOUT_SECONDS: Final = 0.1
_LISTEN_SECONDS: Final = 5.0
_AFTER_FAILURE_SECONDS: Final = 2.0


class _Wakeup:
    """Publishes from one thread a moment after a request; later ones until then are covered."""

    def __init__(self, channel: str = _EVENTS, *, gather_seconds: float = _GATHER_SECONDS) -> None:
        self.lost = 0
        self._channel = channel
        self._gather_seconds = gather_seconds
        self._requested = threading.Event()
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._client: Any = None

    def wake(self) -> None:
        """Wake the relays soon; returns at once."""
        if self._requested.is_set():
            return
        self._requested.set()
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="relay-wakeup", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._requested.wait():
            time.sleep(self._gather_seconds)
            self._requested.clear()  # Before publishing: what is committed later asks again.
            if not self._publish():
                time.sleep(_AFTER_FAILURE_SECONDS)

    def _publish(self) -> bool:
        """Counts a failure and raises nothing: relays poll by themselves."""
        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    settings.REDIS_URL,
                    socket_timeout=_TIMEOUT_SECONDS,
                    socket_connect_timeout=_TIMEOUT_SECONDS,
                )
            self._client.publish(self._channel, b"")
        except (redis.RedisError, OSError) as error:
            self.lost += 1
            logger.warning("no wake-up could be sent to the relays: %s", type(error).__name__)
            return False
        return True


_events = _Wakeup()
_deliveries = _Wakeup(_DELIVERIES, gather_seconds=_GATHER_DELIVERIES_SECONDS)


def _drop_after_fork() -> None:
    """A process that was forked has none of its parent's threads."""
    global _events, _deliveries
    _events = _Wakeup()
    _deliveries = _Wakeup(_DELIVERIES, gather_seconds=_GATHER_DELIVERIES_SECONDS)


os.register_at_fork(after_in_child=_drop_after_fork)


def wake_after_commit() -> None:
    """Have the relays fan out, as soon as the present transaction has committed."""
    transaction.on_commit(lambda: _events.wake())


def wake_for_deliveries() -> None:
    """Have the relays lease deliveries, now; returns at once."""
    _deliveries.wake()


def wake_for_deliveries_after_commit() -> None:
    """Have the relays lease deliveries, as soon as the present transaction has committed."""
    transaction.on_commit(wake_for_deliveries)


def listen(
    on_events: Callable[[], None],
    stopped: threading.Event,
    *,
    on_deliveries: Callable[[], None] = lambda: None,
) -> None:
    """Call these at every wake-up until `stopped`; without Redis it only waits."""
    calls = {_EVENTS.encode(): on_events, _DELIVERIES.encode(): on_deliveries}
    while not stopped.is_set():
        try:
            _listen_once(calls, stopped)
        except (redis.RedisError, OSError) as error:
            logger.warning("no wake-up can reach this relay: %s", type(error).__name__)
            stopped.wait(_AFTER_FAILURE_SECONDS)


def _listen_once(calls: dict[bytes, Callable[[], None]], stopped: threading.Event) -> None:
    client: Any = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1.0)
    with client, client.pubsub(ignore_subscribe_messages=True) as channels:
        channels.subscribe(*calls)
        while not stopped.is_set():
            message = channels.get_message(timeout=_LISTEN_SECONDS)
            if message is not None:
                calls[message["channel"]]()
