"""Wakes every relay process after a commit that wrote an event, by Redis pub/sub.

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

_CHANNEL: Final = "payments:events"
_GATHER_SECONDS: Final = 0.05
"""Wake-ups within so long are published as one: a relay that wakes reads every due row."""
_TIMEOUT_SECONDS: Final = 0.1
_LISTEN_SECONDS: Final = 1.0
_AFTER_FAILURE_SECONDS: Final = 2.0


class _Wakeup:
    """Publishes from one thread a moment after a request; later ones until then are covered."""

    def __init__(self) -> None:
        self.lost = 0
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
            time.sleep(_GATHER_SECONDS)
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
            self._client.publish(_CHANNEL, b"")
        except (redis.RedisError, OSError) as error:
            self.lost += 1
            logger.warning("no wake-up could be sent to the relays: %s", type(error).__name__)
            return False
        return True


_wakeup = _Wakeup()


def _drop_after_fork() -> None:
    """A process that was forked has none of its parent's threads."""
    global _wakeup
    _wakeup = _Wakeup()


os.register_at_fork(after_in_child=_drop_after_fork)


def wake() -> None:
    """Wake the relays now; returns at once."""
    _wakeup.wake()


def wake_after_commit() -> None:
    """Wake the relays as soon as the present transaction has committed."""
    transaction.on_commit(wake)


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
