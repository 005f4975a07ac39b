"""Celery tasks of the ledger: one call each, named after the service."""

from __future__ import annotations

from celery import shared_task

from ledger import seals, services


@shared_task
def take_snapshot() -> int:
    """Store the balances of accounts whose tail has grown long."""
    return services.take_snapshot()


@shared_task
def seal_rows() -> int:
    """Seal what is complete of the books and of what belongs to them."""
    return seals.seal_rows()
