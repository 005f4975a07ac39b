"""Reads stored settlement reports into lines, each once however often and in whatever file it came.

A file counts wholly or not at all. It is read once, batch by batch, and its lines are staged; when
no line is missing, they are taken among the settlement lines. A large one is read in slices, so
that it delays no other: each goes on where the last one stopped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Final
from uuid import UUID

from django.db import transaction

from payments.clock import now_utc
from payments.models import Case
from payments.services.cases.opening import case_about_account, open_case
from payments.services.jobs.backoff import is_time_to_give_up, next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.psp_gateway.accounts import adapter_of
from payments.states import CaseKind
from psp_adapters.contract.report_files import ReadingProgress, ReportFile
from psp_adapters.contract.settlement_reports import ReportUnreadable
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementReport
from reconciliation.services.reports.archive import name_of_report
from reconciliation.services.reports.fetching import fetch_again
from reconciliation.services.reports.line_identity import numbered
from reconciliation.services.reports.staging import (
    remove_spent_lines,
    stage_lines,
    unstage_lines,
)
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.services.reports.taking import take_lines
from reconciliation.states import ReportStatus

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
SLICE_SECONDS: Final = 2.0
"""Then the next report is read; a slice stores one batch at least."""
QUEUE: Final = DueQueue(
    SettlementReport.objects.select_related("psp_account"),
    due="next_attempt_at",
    lease=timedelta(seconds=60),
    attempts="attempts",
)
BATCH: Final = 5_000
REMOVAL_SECONDS: Final = 2.0
"""Of staged lines that are not needed any more, at the end of a sweep."""
_REFUSED: Final = ("status", "last_error", "next_attempt_at", "lines_read", "reading_progress")


def read_due_reports() -> int:
    """Read the reports that are stored and not read; returns how many came to their end.

    Bounded in time. Safe to repeat, and several workers may run it at once.
    """
    ended: list[UUID] = []

    def read_slice(report: SettlementReport) -> Handled:
        try:
            if read_report(report.pk, until_monotonic=time.monotonic() + SLICE_SECONDS):
                ended.append(report.pk)
        except Exception as failure:
            logger.exception("settlement report %s could not be read", report.name)
            _record_failure(report, f"{type(failure).__name__}: {failure}")
        return Handled.NOT_ASKED

    run_sweep(QUEUE, read_slice, seconds=SWEEP_SECONDS)
    remove_spent_lines(seconds=REMOVAL_SECONDS)
    return len(ended)


def read_report(report_id: UUID, *, until_monotonic: float = math.inf) -> bool:
    """Read one stored report to its end, or until a time of time.monotonic(); True at its end.

    At least one batch is read. Lines that a report of the account contained before are
    not stored again; if their content differs, a case opens and they stay as they were. A file that
    is not a whole report is marked UNREADABLE with a case, and none of its lines counts.
    """
    report = SettlementReport.objects.select_related("psp_account").get(pk=report_id)
    if report.status != ReportStatus.STORED:
        return True
    try:
        for is_mine in _steps(report):
            if not is_mine:
                return False  # Another worker is reading it.
            if time.monotonic() >= until_monotonic:
                _requeue(report)
                return False
    except ReportUnreadable as flaw:
        _refuse(report, str(flaw))
        return True
    return _finish(report)


def _steps(report: SettlementReport) -> Iterator[bool]:
    """Read the file to its end, then take its lines: one batch at each step.

    Each says whether it was ours to do. Raises ReportUnreadable.
    """
    if report.whole_at is None:
        yield from _staged(report)
    while report.lines_taken < report.lines_read:
        yield take_lines(report)


def _staged(report: SettlementReport) -> Iterator[bool]:
    if not report.lines_read:
        unstage_lines(report.pk)  # of an earlier attempt
    progress = ReadingProgress(**(report.reading_progress or {}))
    file = ReportFile(stored_file(report.pk), progress)
    found = adapter_of(report.psp_account).read_report(file)
    lines = numbered(found, after=report.lines_read)
    while report.whole_at is None:
        batch = list(islice(lines, BATCH))
        is_whole = len(batch) < BATCH
        if is_whole:
            _require_announced(report, report.lines_read + len(batch))
        yield stage_lines(report, batch, progress, is_whole=is_whole)


def _require_announced(report: SettlementReport, count: int) -> None:
    if report.lines_announced not in (None, count):
        raise ReportUnreadable(
            f"it has {count} lines, and the provider announced {report.lines_announced}"
        )


def read_again(report: SettlementReport) -> None:
    """Read an unreadable report again, after its adapter was mended; else do nothing."""
    with transaction.atomic(durable=True):
        row = _locked(report.pk)
        if row.status == ReportStatus.UNREADABLE:
            row.await_reading()
            row.last_error, row.next_attempt_at = "", now_utc()
            row.save(update_fields=["status", "last_error", "next_attempt_at"])


def _requeue(report: SettlementReport) -> None:
    """Put it at the end of the queue: its slice is over."""
    SettlementReport.objects.filter(pk=report.pk, status=ReportStatus.STORED).update(
        next_attempt_at=now_utc(), attempts=0, failing_since=None
    )


def _record_failure(leased: SettlementReport, error: str) -> None:
    with transaction.atomic(durable=True):
        row = QUEUE.still_mine(leased)
        if row is None:
            return
        now = now_utc()
        since = row.failing_since = row.failing_since or now
        row.next_attempt_at, row.last_error = (
            next_attempt(now, since=since),
            clean_text(error, most=500),
        )
        row.save(update_fields=["failing_since", "next_attempt_at", "last_error"])
        if is_time_to_give_up(now, since=since, attempts=row.attempts):
            open_case(_case_of_unreadable(row, error))


def _refuse(report: SettlementReport, flaw: str) -> None:
    with transaction.atomic(durable=True):
        row = _locked(report.pk)
        if row.status != ReportStatus.STORED or row.whole_at:
            return
        row.refuse()
        row.last_error, row.next_attempt_at = clean_text(flaw, most=500), None
        row.lines_read, row.reading_progress = 0, None
        row.save(update_fields=_REFUSED)
        fetch_again(row.pk)
        open_case(_case_of_unreadable(row, flaw))
    logger.error("alert: settlement report %s cannot be read: %s", report.name, flaw)


def _case_of_unreadable(report: SettlementReport, flaw: str) -> Case:
    return case_about_account(
        CaseKind.CONTRADICTION,
        report.psp_account,
        f"The settlement report {report.name} cannot be read: {flaw}. No line of it counts.",
        subject=name_of_report(report),
        discrepancy=Discrepancy.FILE_UNREADABLE,
    )


def _finish(report: SettlementReport) -> bool:
    with transaction.atomic(durable=True):
        row = _locked(report.pk)
        if row.status != ReportStatus.STORED:
            return True
        if row.lines_taken != report.lines_taken:
            return False
        row.finish()
        row.read_at, row.next_attempt_at, row.last_error = now_utc(), None, ""
        row.save(update_fields=["status", "read_at", "next_attempt_at", "last_error"])
    return True


def _locked(report_id: UUID) -> SettlementReport:
    rows = SettlementReport.objects.select_for_update(of=("self",))
    return rows.select_related("psp_account").get(pk=report_id)
