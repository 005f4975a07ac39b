"""Celery tasks of the site: heartbeats, one per queue. Being run, and written down, is all they do.

The row of the sweep is written by whoever runs it (`paymentsite.sweep_task`): a message was taken
from the queue, a child of the pool ran it, and the database could be written to.
"""

from __future__ import annotations

from celery import shared_task


@shared_task
def heartbeat_money() -> None:
    """Somebody consumes the queue that money waits for."""


@shared_task
def heartbeat_routine() -> None:
    """Somebody consumes the queue of slow jobs."""
