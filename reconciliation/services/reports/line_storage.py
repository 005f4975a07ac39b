"""Stores lines of settlement reports, each once; a known line with other content opens a case."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.db import transaction

from ledger.database.statements import execute
from ledger.money import Money
from payments.clock import now_utc
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services.reports.archive import name_of_report
from reconciliation.services.reports.line_identity import NumberedLine
from reconciliation.states import LineStatus, ReportStatus

_REFERENCE_LENGTH_MAX: Final = 128
"""Ours are far shorter; other systems may use the account with references of their own."""
_TABLE: Final = SettlementLine._meta.db_table
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
    "next_attempt_at": "timestamptz",
    "retrying_since": "timestamptz",
    "last_error": "text",
    "stored_at": "timestamptz",
}
_INSERT: Final = (
    f"INSERT INTO {_TABLE} ({', '.join(_COLUMNS)}) "
    f"SELECT * FROM unnest({', '.join(f'%s::{type_}[]' for type_ in _COLUMNS.values())}) "
    "ON CONFLICT (psp_account_id, identity, occurrence) DO NOTHING RETURNING number"
)
_FIRST: Final = (
    "SELECT identity, occurrence, content_sha256, psp_type, gross_minor, fee_minor, currency "
    f"FROM {_TABLE} WHERE psp_account_id = %s AND identity = ANY(%s)"
)


def store_lines(report: SettlementReport, batch: list[NumberedLine]) -> bool:
    """Store what is new of the next lines of a report; `report.lines_read` moves on.

    Returns False and stores nothing if another worker has read on meanwhile.
    """
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().get(pk=report.pk)
        if (row.status, row.lines_read) != (ReportStatus.STORED, report.lines_read):
            return False
        stored = execute(_INSERT, _columns(report, batch, now_utc()))
        new = {number for (number,) in stored}
        _compare(report, [each for each in batch if each.number not in new])
        row.lines_read += len(batch)
        row.lines_new += len(new)
        row.save(update_fields=["lines_read", "lines_new"])
    report.lines_read = row.lines_read
    return True


def _columns(report: SettlementReport, batch: list[NumberedLine], now: datetime) -> list[list[Any]]:
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
            each.line.reference[:_REFERENCE_LENGTH_MAX],
            each.line.gross.currency,
            each.line.gross.minor,
            each.line.fee.minor,
            each.line.occurred_at,
            LineStatus.OPEN.value,
            0,
            now,
            now,
            "",
            now,
        )
        for each in batch
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _compare(report: SettlementReport, known: list[NumberedLine]) -> None:
    """Open one case for a report with known lines whose content differs."""
    if not known:
        return
    rows = execute(_FIRST, [report.psp_account_id, [each.identity for each in known]])
    first = {(identity, occurrence): rest for identity, occurrence, *rest in rows}
    changed = [
        each for each in known if first[each.identity, each.occurrence][0] != each.content_sha256
    ]
    if not changed:
        return
    again = changed[0]
    _, psp_type, gross_minor, fee_minor, currency = first[again.identity, again.occurrence]
    summary = (
        f"Lines of {report.name} came again with other content, such as {again.identity}: "
        f"{again.line.psp_type} {again.line.gross}, fee {again.line.fee}; first {psp_type} "
        f"{Money(gross_minor, currency)}, fee {Money(fee_minor, currency)} "
        f"({len(changed)} of lines {known[0].number} to {known[-1].number}). The first ones count."
    )
    subject = f"lines of {name_of_report(report)}"[:128]
    open_case(
        case_about_account(
            CaseKind.CONTRADICTION,
            report.psp_account,
            summary,
            subject=subject,
            discrepancy=Discrepancy.FILE_CHANGED,
        )
    )
