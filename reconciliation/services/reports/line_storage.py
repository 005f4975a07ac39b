"""Stores lines of settlement reports, each once; a known line with other content opens a case."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction

from payments.clock import now_utc
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services.reports.archive import name_of_report
from reconciliation.services.reports.line_identity import NumberedLine
from reconciliation.states import ReportStatus

_REFERENCE_LENGTH_MAX: Final = 128
"""Ours are far shorter; other systems may use the account with references of their own."""


def store_lines(report: SettlementReport, batch: list[NumberedLine]) -> bool:
    """Store what is new of the next lines of a report; `report.lines_read` moves on.

    Returns False and stores nothing if another worker has read on meanwhile.
    """
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().get(pk=report.pk)
        if (row.status, row.lines_read) != (ReportStatus.STORED, report.lines_read):
            return False
        now = now_utc()
        rows = [_row_of(each, report, now) for each in batch]
        SettlementLine.objects.bulk_create(rows, ignore_conflicts=True)
        numbers = [each.number for each in batch]
        stored = SettlementLine.objects.filter(report=report, number__in=numbers)
        new = set(stored.values_list("number", flat=True))
        _compare(report, [each for each in batch if each.number not in new])
        row.lines_read += len(batch)
        row.lines_new += len(new)
        row.save(update_fields=["lines_read", "lines_new"])
    report.lines_read = row.lines_read
    return True


def _row_of(numbered: NumberedLine, report: SettlementReport, now: datetime) -> SettlementLine:
    line = numbered.line
    return SettlementLine(
        report=report,
        psp_account_id=report.psp_account_id,
        number=numbered.number,
        identity=numbered.identity,
        occurrence=numbered.occurrence,
        content_sha256=numbered.content_sha256,
        kind=line.kind.value,
        psp_type=line.psp_type,
        psp_id=line.psp_id,
        psp_payment_id=line.psp_payment_id,
        reference=line.reference[:_REFERENCE_LENGTH_MAX],
        currency=line.gross.currency,
        gross_minor=line.gross.minor,
        fee_minor=line.fee.minor,
        occurred_at=line.occurred_at,
        next_attempt_at=now,
        retrying_since=now,
        stored_at=now,
    )


def _compare(report: SettlementReport, known: list[NumberedLine]) -> None:
    """Open one case for a report with known lines whose content differs."""
    if not known:
        return
    rows = SettlementLine.objects.filter(
        psp_account_id=report.psp_account_id, identity__in=[each.identity for each in known]
    )
    stored = {(row.identity, row.occurrence): row for row in rows}
    changed = [
        each
        for each in known
        if stored[each.identity, each.occurrence].content_sha256 != each.content_sha256
    ]
    if not changed:
        return
    again = changed[0]
    first = stored[again.identity, again.occurrence]
    summary = (
        f"Lines of {report.name} came again with other content, such as {again.identity}: "
        f"{again.line.psp_type} {again.line.gross}, fee {again.line.fee}; first {first.psp_type} "
        f"{first.gross}, fee {first.fee} "
        f"({len(changed)} of lines {known[0].number} to {known[-1].number}). The first ones count."
    )
    subject = f"lines of {name_of_report(report)}"[:128]
    open_case(
        case_about_account(CaseKind.CONTRADICTION, report.psp_account, summary, subject=subject)
    )
