"""Rings for background jobs: after the commit, at once, and never in anybody's way.

The broker may lose every ring: the beat table finds the work in the database a little later. What
may not live here: the jobs, and anything that must not be lost.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from celery import current_app
from django.db import transaction

from payments import metrics

logger = logging.getLogger(__name__)

PROCESS_NOTIFICATIONS: Final = "payments.tasks.process_due_notifications"
RESOLVE_OPERATIONS: Final = "payments.tasks.resolve_due_operations"

PRIORITY: Final = 3
"""Before the ticks of the beat table, which nobody waits for (paymentsite.sweeps)."""
_EXPIRES_SECONDS: Final = 10
COUNTDOWN_SECONDS_MAX: Final = 60.0
"""A worker keeps a message that is not due yet in its memory: far below the broker's visibility
timeout, and nothing that waits longer is in a hurry."""
_QUIET_SECONDS: Final = 0.2
"""One worker looks at everything that is due: a ring for each row would only keep it from that."""
_QUIET_AFTER_FAILURE_SECONDS: Final = 1.0
"""An unreachable broker costs one request in this time its timeout, not every request."""


class _Wakeup:
    """Rings a few times a second at most: the first at once, the rest together a little later."""

    def __init__(self) -> None:
        self.lost = 0
        self._quiet_until: dict[str, float] = {}
        self._later: set[str] = set()
        self._lock = threading.Lock()

    def ring(self, task: str) -> None:
        """Send the task by name, now or when the bell has been quiet for a moment."""
        with self._lock:
            if task in self._later:
                return
            wait_seconds = self._quiet_until.get(task, 0.0) - time.monotonic()
            if wait_seconds > 0:
                self._later.add(task)
            else:
                self._quiet_until[task] = time.monotonic() + _QUIET_SECONDS
        if wait_seconds > 0:
            timer = threading.Timer(wait_seconds, self._ring_later, [task])
            timer.daemon = True
            timer.start()
        else:
            self._send(task)

    def ring_in(self, task: str, seconds: float) -> None:
        """Let it ring after some seconds, unless another such ring was set just before."""
        name = f"{task} later"
        with self._lock:
            now = time.monotonic()
            if self._quiet_until.get(name, 0.0) > now:
                return
            self._quiet_until[name] = now + _QUIET_SECONDS
        self._send(task, in_seconds=seconds, bell=name)

    def _ring_later(self, task: str) -> None:
        with self._lock:
            self._later.discard(task)
            self._quiet_until[task] = time.monotonic() + _QUIET_SECONDS
        self._send(task)

    def _send(self, task: str, *, in_seconds: float = 0.0, bell: str = "") -> None:
        """What goes wrong is counted, never raised."""
        try:
            current_app.send_task(
                task,
                retry=False,
                countdown=in_seconds or None,
                expires=in_seconds + _EXPIRES_SECONDS,
                priority=PRIORITY,
                ignore_result=True,
            )
        except Exception as error:
            # Whatever the broker's client raises: the sweep does the same work 2 s later.
            metrics.LOST_RINGS.labels(task).inc()
            with self._lock:
                self.lost += 1
                until = time.monotonic() + _QUIET_AFTER_FAILURE_SECONDS
                self._quiet_until[bell or task] = until
            logger.warning("the doorbell does not ring: %s", type(error).__name__, exc_info=error)


_bell = _Wakeup()


def ring(task: str) -> None:
    """Ask a worker to look now, as soon as the present transaction has committed."""
    transaction.on_commit(lambda: _bell.ring(task))


def ring_in(task: str, *, seconds: float) -> None:
    """Ask a worker to look after some seconds, once the present transaction has committed.

    Longer than a minute is not rung at all: the beat table is soon enough.
    """
    if seconds <= COUNTDOWN_SECONDS_MAX:
        transaction.on_commit(lambda: _bell.ring_in(task, seconds))


def lost_wakeups() -> int:
    """How many rings this process could not deliver."""
    return _bell.lost
