"""Wakes every relay process after a commit that wrote an event, by Redis pub/sub.

It publishes from a thread of its own, so that no payment waits for it. A lost wake-up costs half a
second: relays poll anyway.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import redis
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

_CHANNEL: Final = "payments:events"
_GATHER_SECONDS: Final = 0.02
"""Wake-ups within so long are published as one: a relay that wakes reads every due row."""
_TIMEOUT_SECONDS: Final = 0.1
_LISTEN_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 2.0


class _Wakeup:
    """Publishes a moment after the first request; later ones until then are covered by it."""

    def __init__(self) -> None:
        self.lost = 0
        self._goes_out_at = 0.0
        self._lock = threading.Lock()
        self._client: Any = None

    def wake(self) -> None:
        """Wake the relays soon; returns at once."""
        now = time.monotonic()
        with self._lock:
            if now < self._goes_out_at:
                return
            self._goes_out_at = now + _GATHER_SECONDS
        timer = threading.Timer(_GATHER_SECONDS, self._publish)
        timer.daemon = True
        timer.start()

    def _publish(self) -> None:
        """Counts a failure and raises nothing: relays poll by themselves."""
        try:
            if self._client is None:
                self._client = redis.Redis.from_url(
                    settings.REDIS_URL,
                    socket_timeout=_TIMEOUT_SECONDS,
                    socket_connect_timeout=_TIMEOUT_SECONDS,
                )
            self._client.publish(_CHANNEL, b"")
        except (redis.RedisError, OSError) as error:
            with self._lock:
                self.lost += 1
                self._goes_out_at = time.monotonic() + _AFTER_FAILURE_SECONDS
            logger.warning("no wake-up could be sent to the relays: %s", type(error).__name__)


_wakeup = _Wakeup()


def wake() -> None:
    """Wake the relays now; returns at once."""
    _wakeup.wake()


def wake_after_commit() -> None:
    """Wake the relays as soon as the present transaction has committed."""
    transaction.on_commit(_wakeup.wake)


def listen(on_wakeup: Callable[[], None], stopped: threading.Event) -> None:
    """Call `on_wakeup` at every wake-up until `stopped`; without Redis it only waits."""
    while not stopped.is_set():
        try:
            _listen_once(on_wakeup, stopped)
        except (redis.RedisError, OSError) as error:
            logger.warning("no wake-up can reach this relay: %s", type(error).__name__)
            stopped.wait(_AFTER_FAILURE_SECONDS)


def _listen_once(on_wakeup: Callable[[], None], stopped: threading.Event) -> None:
    client: Any = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=_LISTEN_SECONDS)
    with client, client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(_CHANNEL)
        while not stopped.is_set():
            if channel.get_message(timeout=_LISTEN_SECONDS) is not None:
                on_wakeup()
