"""Celery tasks of the site: one heartbeat per queue.

A heartbeat does nothing itself. `paymentsite.sweep_runs` records that it ran, which shows that a
worker took a message from the queue, ran it, and could write to the database.
"""

from __future__ import annotations

from celery import shared_task


@shared_task
def heartbeat_money() -> None:
    """A worker consumes the queue `money`."""


@shared_task
def heartbeat_routine() -> None:
    """A worker consumes the queue `routine`."""
