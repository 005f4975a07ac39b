"""Stages the lines of a file that is being read: they do not count before it was found whole."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from ledger.database.statements import execute, table_of
from payments.clock import now_utc
from psp_adapters.contract.report_files import ReadingProgress
from reconciliation.models import SettlementReport, StagedLine
from reconciliation.services.reports.line_identity import NumberedLine
from reconciliation.states import ReportStatus

_REFERENCE_LENGTH_MAX: Final = 128
"""Ours are far shorter; other systems may use the account with references of their own."""
_TABLE: Final = table_of(StagedLine)
_COLUMNS: Final = (
    *("report_id", "number", "identity", "content_sha256", "kind", "psp_type", "psp_id"),
    *("psp_payment_id", "reference", "currency", "gross_minor", "fee_minor"),
    *("markup_minor", "interchange_minor", "scheme_fee_minor", "occurred_at"),
    *("psp_payout_id", "converted_from_minor", "converted_from_currency", "exchange_rate"),
    "available_on",
)
_COPY: Final = f"COPY {_TABLE} ({', '.join(_COLUMNS)}) FROM STDIN"
_REMOVED_AT_ONCE: Final = 20_000
# Each report that has some, by its first entry in the index.
_REPORTS: Final = (
    f"WITH RECURSIVE found (id) AS ((SELECT report_id FROM {_TABLE} ORDER BY report_id LIMIT 1) "
    f"UNION ALL SELECT (SELECT report_id FROM {_TABLE} WHERE report_id > found.id "
    "ORDER BY report_id LIMIT 1) FROM found WHERE found.id IS NOT NULL) "
    "SELECT id FROM found WHERE id IS NOT NULL"
)
_REMOVE: Final = (
    f"DELETE FROM {_TABLE} WHERE report_id = %s AND number = ANY (ARRAY("
    f"SELECT number FROM {_TABLE} WHERE report_id = %s ORDER BY number LIMIT {_REMOVED_AT_ONCE})) "
    "RETURNING number"
)


def stage_lines(
    report: SettlementReport,
    lines: Sequence[NumberedLine],
    progress: ReadingProgress,
    *,
    is_whole: bool,
) -> bool:
    """Stage the next lines of a report, and note how far its adapter has come.

    `is_whole`: they are the last ones, and nothing is missing; from now on the lines count. Returns
    False and writes nothing if another worker has read on meanwhile.
    """
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().get(pk=report.pk)
        if (row.status, row.whole_at, row.lines_read) != (
            ReportStatus.STORED,
            None,
            report.lines_read,
        ):
            return False
        _copy([_values(report.pk, each) for each in lines])
        row.lines_read += len(lines)
        row.reading_progress = None if is_whole else asdict(progress)
        row.whole_at = now_utc() if is_whole else None
        row.save(update_fields=["lines_read", "reading_progress", "whole_at"])
    report.lines_read, report.whole_at = row.lines_read, row.whole_at
    return True


def unstage_lines(report_id: UUID, *, until_monotonic: float = math.inf) -> None:
    """Remove the staged lines of a report that needs none; does nothing while it needs them.

    In steps that are short however many lines there are, at least one.
    """
    while True:
        with transaction.atomic(durable=True):
            row = SettlementReport.objects.select_for_update().get(pk=report_id)
            if row.lines_taken < row.lines_read or not execute(_REMOVE, [report_id, report_id]):
                return
        if time.monotonic() >= until_monotonic:
            return


def remove_spent_lines(*, seconds: float) -> None:
    """Remove staged lines of reports that were taken or refused, for so long."""
    until_monotonic = time.monotonic() + seconds
    for (report_id,) in execute(_REPORTS):
        unstage_lines(report_id, until_monotonic=until_monotonic)
        if time.monotonic() >= until_monotonic:
            return


def _copy(rows: Sequence[Sequence[Any]]) -> None:
    with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        for row in rows:
            copy.write_row(row)


def _values(report_id: UUID, numbered: NumberedLine) -> tuple[Any, ...]:
    line, parts = numbered.line, numbered.line.fee_parts
    conversion, paid = line.conversion, line.paid
    return (
        report_id,
        numbered.number,
        line.identity,
        numbered.content_sha256,
        line.kind.value,
        line.psp_type,
        line.psp_id,
        line.psp_payment_id,
        line.reference[:_REFERENCE_LENGTH_MAX],
        line.gross.currency,
        line.gross.minor,
        line.fee.minor,
        parts.markup.minor,
        parts.interchange.minor,
        parts.scheme_fee.minor,
        line.occurred_at,
        line.psp_payout_id,
        paid.minor if conversion else None,
        paid.currency if conversion else None,
        conversion.rate if conversion else "",
        line.available_on,
    )
