"""Celery doorbells of reconciliation: one call each, named after the service. No logic."""

from __future__ import annotations

from celery import shared_task

from reconciliation.services import fetching, lines, reading


@shared_task
def fetch_settlement_reports() -> int:
    """Ask PSPs for the lists of their reports, and for each report that is not here."""
    return fetching.fetch_due_reports()


@shared_task
def read_settlement_reports() -> int:
    """Read the reports that are stored and not read."""
    return reading.read_due_reports()


@shared_task
def account_for_settlement_lines() -> int:
    """Find each line in the books, or bring the books there."""
    return lines.account_for_due_lines()
