"""Wakes a worker for a background job a moment after the commit, without delaying the caller.

The broker may lose every wake-up: the periodic sweeps find the work in the database a little later.
What may not live here: anything that must not be lost.
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
"""Before the ticks of the beat table (paymentsite.sweeps), for which no request waits."""
_EXPIRES_SECONDS: Final = 10
COUNTDOWN_SECONDS_MAX: Final = 60.0
"""A worker keeps a message that is not due yet in its memory, and loses it when it ends; work that
is due later is not urgent."""
_COLLECTED_SECONDS: Final = 0.5
"""A wake-up waits for others to join it: one worker takes everything that is due. Most PSPs notify
us while they answer, so by then our rows usually show what a notification says. Running the task at
all costs a worker more than the few notifications that come in that time."""
_PAUSE_AFTER_FAILURE_SECONDS: Final = 1.0
"""An unreachable broker costs one request in this time its timeout, not every request."""


class Wakeups:
    """Sends each task a few times a second at most; what is asked for meanwhile is sent as one."""

    def __init__(self) -> None:
        self.lost = 0
        self._paused_until: dict[str, float] = {}
        self._later: set[str] = set()
        self._lock = threading.Lock()

    def send(self, task: str) -> None:
        """Send the task by name a moment later, together with all that ask for it until then."""
        with self._lock:
            if task in self._later:
                return
            self._later.add(task)
            paused_seconds = self._paused_until.get(task, 0.0) - time.monotonic()
        wait_seconds = max(_COLLECTED_SECONDS, paused_seconds)
        timer = threading.Timer(wait_seconds, self._send_collected, [task])
        timer.daemon = True
        timer.start()

    def send_in(self, task: str, seconds: float) -> None:
        """Send the task after some seconds, unless that was asked for just before."""
        name = f"{task} later"
        with self._lock:
            now = time.monotonic()
            if self._paused_until.get(name, 0.0) > now:
                return
            self._paused_until[name] = now + _COLLECTED_SECONDS
        self._send(task, in_seconds=seconds, pause_name=name)

    def _send_collected(self, task: str) -> None:
        with self._lock:
            self._later.discard(task)
        self._send(task)

    def _send(self, task: str, *, in_seconds: float = 0.0, pause_name: str = "") -> None:
        """An error is counted, never raised."""
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
            metrics.LOST_WAKEUPS.labels(task).inc()
            with self._lock:
                self.lost += 1
                until = time.monotonic() + _PAUSE_AFTER_FAILURE_SECONDS
                self._paused_until[pause_name or task] = until
            logger.warning("no worker was woken: %s", type(error).__name__, exc_info=error)


process_wakeups = Wakeups()
"""Of this process."""


def wake(task: str) -> None:
    """Run a task a moment after the present transaction has committed."""
    transaction.on_commit(lambda: process_wakeups.send(task))


def wake_in(task: str, *, seconds: float) -> None:
    """Run a task some seconds after the present transaction has committed.

    Does nothing for more than COUNTDOWN_SECONDS_MAX: the beat table is soon enough.
    """
    if seconds <= COUNTDOWN_SECONDS_MAX:
        transaction.on_commit(lambda: process_wakeups.send_in(task, seconds))
