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

logger = logging.getLogger(__name__)

PROCESS_NOTIFICATIONS: Final = "payments.tasks.process_due_notifications"

_EXPIRES_SECONDS: Final = 10
_SILENT_AFTER_FAILURE_SECONDS: Final = 1.0
"""An unreachable broker costs one request in this time its timeout, not every request."""


class _Bell:
    """Remembers how often a ring was lost, and when it is worth trying again."""

    def __init__(self) -> None:
        self.lost = 0
        self._silent_until = 0.0
        self._lock = threading.Lock()

    def ring(self, task: str) -> None:
        """Send the task by name; what goes wrong is counted, never raised."""
        if time.monotonic() < self._silent_until:
            self._count()
            return
        try:
            current_app.send_task(task, retry=False, expires=_EXPIRES_SECONDS, ignore_result=True)
        except Exception as error:
            # Whatever the broker's client raises: the sweep does the same work 2 s later.
            self._silent_until = time.monotonic() + _SILENT_AFTER_FAILURE_SECONDS
            self._count()
            logger.warning("the doorbell does not ring: %s", type(error).__name__, exc_info=error)

    def _count(self) -> None:
        with self._lock:
            self.lost += 1


_bell = _Bell()


def ring(task: str) -> None:
    """Ask a worker to look now, as soon as the present transaction has committed."""
    transaction.on_commit(lambda: _bell.ring(task))


def lost_rings() -> int:
    """How many rings this process could not deliver."""
    return _bell.lost
