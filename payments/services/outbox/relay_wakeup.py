"""The bell of the relay: rung after a commit that told an event, heard by every relay process.

Redis pub/sub, from a thread of its own: a payment never waits for it, and a ring that is lost costs
half a second, since relays look anyway. What may not live here: what a relay does.
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
"""Rings of so long go out as one: a relay that wakes looks at everything."""
_TIMEOUT_SECONDS: Final = 0.1
_LISTEN_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 2.0


class _Wakeup:
    """Publishes a moment after the first ring; rings until then are in it."""

    def __init__(self) -> None:
        self.lost = 0
        self._goes_out_at = 0.0
        self._lock = threading.Lock()
        self._client: Any = None

    def ring(self) -> None:
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
        """What goes wrong is counted, never raised: relays look by themselves."""
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
            logger.warning("the relay's bell does not ring: %s", type(error).__name__)


_bell = _Wakeup()


def ring() -> None:
    """Wake the relays now; returns at once."""
    _bell.ring()


def wake_after_commit() -> None:
    """Wake the relays as soon as the present transaction has committed."""
    transaction.on_commit(_bell.ring)


def lost_wakeups() -> int:
    """How many rings this process could not deliver."""
    return _bell.lost


def listen(heard: Callable[[], None], stopped: threading.Event) -> None:
    """Call `heard` at every ring until `stopped`; without Redis it only waits."""
    while not stopped.is_set():
        try:
            _listen_once(heard, stopped)
        except (redis.RedisError, OSError) as error:
            logger.warning("the relay's bell is not heard: %s", type(error).__name__)
            stopped.wait(_AFTER_FAILURE_SECONDS)


def _listen_once(heard: Callable[[], None], stopped: threading.Event) -> None:
    client: Any = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=_LISTEN_SECONDS)
    with client, client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(_CHANNEL)
        while not stopped.is_set():
            if channel.get_message(timeout=_LISTEN_SECONDS) is not None:
                heard()
