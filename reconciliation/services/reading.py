"""Read stored settlement reports into lines, each once however often and in whatever file it came.

A file counts wholly or not at all: nothing of it is stored before all of it was found readable.
What may not live here: a PSP's file format, what a line causes (services.lines).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger.statements import execute, table_of
from payments.models import Case, PspAccount
from payments.services.cases import case_about_account, open_case
from payments.services.events import now_utc
from payments.services.psp import adapter_of
from payments.states import CaseKind
from psp_adapters.report_contract import ReportLine, ReportUnreadable
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.states import LineStatus, ReportStatus

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 5.0
GIVE_UP_AFTER: Final = timedelta(hours=24)
_BATCH: Final = 2_000
_ID_LENGTH_MAX: Final = 128
_COLUMNS: Final = {
    "report_id": "uuid",
    "psp_account_id": "uuid",
    "number": "int",
    "identity": "text",
    "occurrence": "int",
    "content_sha256": "text",
    "kind": "text",
    "psp_type": "text",
    "psp_id": "text",
    "psp_payment_id": "text",
    "reference": "text",
    "currency": "text",
    "gross_minor": "bigint",
    "fee_minor": "bigint",
    "occurred_at": "timestamptz",
    "status": "text",
    "attempts": "int",
    "next_try_at": "timestamptz",
    "give_up_at": "timestamptz",
    "last_error": "text",
    "stored_at": "timestamptz",
}
_INSERT: Final = (
    f"INSERT INTO {SettlementLine._meta.db_table} ({', '.join(_COLUMNS)}) "
    f"SELECT * FROM unnest({', '.join(f'%s::{type_}[]' for type_ in _COLUMNS.values())}) "
    "ON CONFLICT (psp_account_id, identity, occurrence) DO NOTHING "
    "RETURNING identity, occurrence, number"
)


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A line at its place in the file."""

    number: int
    identity: str
    occurrence: int
    content_sha256: str
    line: ReportLine


def read_stored_reports() -> int:
    """Read the reports that are stored and not read; returns how many came to their end.

    Bounded in time, safe to run again, safe to run twice at once: a large report goes on where the
    last run ended.
    """
    end = time.monotonic() + SWEEP_SECONDS
    rows = SettlementReport.objects.filter(status=ReportStatus.STORED).order_by("id")
    ended = 0
    for report_id in list(rows.values_list("id", flat=True)[:100]):
        if time.monotonic() >= end:
            break
        ended += read_report(report_id, until_monotonic=end)
    return ended


def read_report(report_id: UUID, *, until_monotonic: float | None = None) -> bool:
    """Read one stored report to its end, or until a time of time.monotonic(); True at its end.

    Lines that any report of the account told before are not stored again; one that came with other
    words opens a case and stands as it was. A file that is not a whole report is marked UNREADABLE
    with a case, and nothing of it is stored.
    """
    report = SettlementReport.objects.select_related("psp_account").get(pk=report_id)
    if report.status != ReportStatus.STORED:
        return True
    lines_of = adapter_of(report.psp_account).read_report
    body = bytes(report.body)
    if not report.lines_read:
        flaw = _flaw_of(lines_of(body), report.lines_announced)
        if flaw:
            _refuse(report, flaw)
            return True
    left = islice(_numbered(lines_of(body)), report.lines_read, None)
    while batch := list(islice(left, _BATCH)):
        if until_monotonic is not None and time.monotonic() >= until_monotonic:
            return False
        if not _store(report, batch):
            return False  # Somebody else is reading it.
    return _finish(report)


def read_again(report: SettlementReport) -> None:
    """Have an unreadable report read once more, after its adapter was mended; else nothing."""
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().defer("body").get(pk=report.pk)
        if row.status == ReportStatus.UNREADABLE:
            row.revive()
            row.last_error = ""
            row.save(update_fields=["status", "last_error"])


def _flaw_of(lines: Iterator[ReportLine], announced: int | None) -> str:
    """Why a file cannot be taken for a whole report; empty if it can."""
    count = 0
    try:
        for line in lines:
            count += 1
            ids = (line.identity, line.psp_id, line.psp_payment_id, line.reference)
            if any(len(each) > _ID_LENGTH_MAX for each in ids):
                return f"line {count} has an id of more than {_ID_LENGTH_MAX} characters"
    except ReportUnreadable as reason:
        return str(reason)
    if announced is not None and count != announced:
        return f"it has {count} lines, and the provider announced {announced}"
    return ""


def _numbered(lines: Iterator[ReportLine]) -> Iterator[_Numbered]:
    seen: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        content = _content_of(line)
        occurrence = 1
        if not line.identity:
            seen[content] += 1
            occurrence = seen[content]
        yield _Numbered(number, line.identity or content, occurrence, content, line)


def _content_of(line: ReportLine) -> str:
    words = (
        line.kind.value,
        line.psp_type,
        line.psp_id,
        line.psp_payment_id,
        line.reference,
        line.gross.currency,
        str(line.gross.minor),
        str(line.fee.minor),
        line.occurred_at.isoformat(),
    )
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()


def _store(report: SettlementReport, batch: list[_Numbered]) -> bool:
    """Store what is new of a batch; False, and nothing is stored, if reading went on elsewhere."""
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().defer("body").get(pk=report.pk)
        if (row.status, row.lines_read) != (ReportStatus.STORED, report.lines_read):
            return False
        stored = execute(_INSERT, _columns(report, batch, now_utc()))
        new = {number for _, _, number in stored}
        _compare(report.psp_account, [each for each in batch if each.number not in new])
        row.lines_read += len(batch)
        row.lines_new += len(new)
        row.save(update_fields=["lines_read", "lines_new"])
    report.lines_read = row.lines_read
    return True


def _columns(report: SettlementReport, batch: list[_Numbered], now: datetime) -> list[list[Any]]:
    give_up_at = now + GIVE_UP_AFTER
    rows = [
        (
            report.pk,
            report.psp_account_id,
            each.number,
            each.identity,
            each.occurrence,
            each.content_sha256,
            each.line.kind.value,
            each.line.psp_type,
            each.line.psp_id,
            each.line.psp_payment_id,
            each.line.reference,
            each.line.gross.currency,
            each.line.gross.minor,
            each.line.fee.minor,
            each.line.occurred_at,
            LineStatus.OPEN.value,
            0,
            now,
            give_up_at,
            "",
            now,
        )
        for each in batch
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _compare(account: PspAccount, known: list[_Numbered]) -> None:
    """Open a case for each line that was told before, but in other words."""
    if not known:
        return
    rows = execute(
        f"SELECT identity, occurrence, content_sha256, id FROM {table_of(SettlementLine)} "
        "WHERE psp_account_id = %s AND identity = ANY(%s)",
        [account.pk, [each.identity for each in known]],
    )
    first = {(identity, occurrence): (content, pk) for identity, occurrence, content, pk in rows}
    for each in known:
        content, line_id = first[each.identity, each.occurrence]
        if content != each.content_sha256:
            _open_case_of_changed(account, each, SettlementLine.objects.get(pk=line_id))


def _open_case_of_changed(account: PspAccount, again: _Numbered, first: SettlementLine) -> None:
    summary = (
        f"The settlement line {again.identity} came again in other words: "
        f"{again.line.psp_type} {again.line.gross}, fee {again.line.fee}; "
        f"first {first.psp_type} {first.gross}, fee {first.fee}. The first stands."
    )
    subject = f"line {again.identity} ({account.code})"[-128:]
    open_case(case_about_account(CaseKind.CONTRADICTION, account, summary, subject=subject))


def _refuse(report: SettlementReport, flaw: str) -> None:
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().defer("body").get(pk=report.pk)
        if row.status != ReportStatus.STORED or row.lines_read:
            return
        row.refuse()
        row.last_error = flaw[:500]
        row.save(update_fields=["status", "last_error"])
        open_case(_case_of_unreadable(report, flaw))
    logger.error("alert: settlement report %s cannot be read: %s", report.name, flaw)


def _case_of_unreadable(report: SettlementReport, flaw: str) -> Case:
    return case_about_account(
        CaseKind.CONTRADICTION,
        report.psp_account,
        f"The settlement report {report.name} cannot be read: {flaw}. No line of it counts.",
        subject=f"{report.name} ({report.psp_account.code})"[-128:],
    )


def _finish(report: SettlementReport) -> bool:
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().defer("body").get(pk=report.pk)
        if row.status != ReportStatus.STORED:
            return True
        if row.lines_read != report.lines_read:
            return False
        row.finish()
        row.read_at = now_utc()
        row.save(update_fields=["status", "read_at"])
    return True
