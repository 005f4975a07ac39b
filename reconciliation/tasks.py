"""Celery tasks of reconciliation: one call each, named after the service. No logic."""

from __future__ import annotations

from celery import shared_task

from reconciliation.services.bank_statements import sweep as bank_sweep
from reconciliation.services.expectations import balance_drift, watching
from reconciliation.services.exports import scheduled
from reconciliation.services.matching import sweep as line_sweep
from reconciliation.services.reports import fetching, reading, watched_folder
from reconciliation.services.run_report import reported


@shared_task
def fetch_settlement_reports() -> int:
    """Fetch the lists of reports that are due, and each report that is not stored yet."""
    return fetching.fetch_due_reports()


@shared_task
def import_watched_files() -> int:
    """Take in new settlement reports from the folders of PSP accounts."""
    return watched_folder.import_watched_files()


@shared_task
def read_settlement_reports() -> int:
    """Read the reports that are stored and not read."""
    return reading.read_due_reports()


@shared_task
def match_settlement_lines() -> str:
    """Match the settlement lines that are due."""
    return reported(line_sweep.match_due_lines)


@shared_task
def watch_settlements() -> str:
    """Look for captures and refunds that should be in a settlement report by now."""
    return reported(watching.watch_settlements)


@shared_task
def watch_balances() -> str:
    """Compare what each PSP says that it holds for us with the books."""
    return reported(balance_drift.watch_balances)


@shared_task
def match_bank_lines() -> str:
    """Match the lines of bank statements that are due, and look for missing payouts."""
    return reported(bank_sweep.match_due_bank_lines)


@shared_task
def write_due_exports() -> int:
    """Write the exports of days and months that are over."""
    return scheduled.write_due_exports()
