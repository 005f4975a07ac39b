"""Celery doorbells of reconciliation: one call each, named after the service. No logic."""

from __future__ import annotations

from celery import shared_task

from reconciliation.services import lines, reading, reports


@shared_task
def fetch_settlement_reports() -> int:
    """Fetch and store what PSPs have published."""
    return reports.fetch_reports()


@shared_task
def read_settlement_reports() -> int:
    """Read the reports that are stored and not read."""
    return reading.read_stored_reports()


@shared_task
def account_for_settlement_lines() -> int:
    """Find each line in the books, or bring the books there."""
    return lines.account_for_due_lines()
