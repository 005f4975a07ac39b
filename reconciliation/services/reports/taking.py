"""Takes the lines of whole reports among the settlement lines, each once.

A known line with other content opens a case. A line without an id of the PSP's is identified by its
content, counted within its file.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction

from ledger.database.statements import execute, table_of
from ledger.money import Money
from payments.clock import now_utc
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import PayoutSum, SettlementLine, SettlementReport, StagedLine
from reconciliation.services.reports.archive import name_of_report
from reconciliation.states import LineStatus, ReportStatus

TAKEN_AT_ONCE: Final = 5_000
_LINES: Final = table_of(SettlementLine)
_STAGED: Final = table_of(StagedLine)
_SAME: Final = (
    *("report_id", "number", "content_sha256", "kind", "psp_type", "psp_id", "psp_payment_id"),
    *("reference", "currency", "gross_minor", "fee_minor", "markup_minor", "interchange_minor"),
    *("scheme_fee_minor", "occurred_at", "psp_payout_id", "converted_from_minor"),
    *("converted_from_currency", "exchange_rate"),
)
_PART: Final = "s.report_id = %(report)s AND s.number > %(after)s AND s.number <= %(to)s"
_OCCURRENCE: Final = (
    "CASE WHEN s.identity <> '' THEN 1 ELSE coalesce(e.count, 0) + row_number() "
    "OVER (PARTITION BY s.identity, s.content_sha256 ORDER BY s.number) END"
)
_TAKE: Final = (
    "WITH earlier AS ("
    f"SELECT f.content_sha256, count(*) AS count FROM {_STAGED} f "
    "WHERE f.report_id = %(report)s AND f.identity = '' AND f.number <= %(after)s "
    f"AND f.content_sha256 IN (SELECT s.content_sha256 FROM {_STAGED} s "
    f"WHERE {_PART} AND s.identity = '') GROUP BY f.content_sha256"
    # A report about one payout: then its money is paid out.
    "), paid AS ("
    f"SELECT p.currency, min(p.occurred_at) AS at FROM {_STAGED} p "
    f"WHERE p.report_id = %(report)s AND p.kind = '{LineKind.PAYOUT}' "
    "GROUP BY p.currency HAVING count(*) = 1) "
    f"INSERT INTO {_LINES} ({', '.join(_SAME)}, available_on, psp_account_id, identity, "
    "occurrence, status, attempts, next_attempt_at, retrying_since, last_error, stored_at) "
    f"SELECT {', '.join(f's.{name}' for name in _SAME)}, "
    "coalesce(s.available_on, (greatest(paid.at, s.occurred_at) AT TIME ZONE 'UTC')::date), "
    "%(account)s, "
    f"coalesce(nullif(s.identity, ''), s.content_sha256), {_OCCURRENCE}, "
    f"'{LineStatus.OPEN.value}', 0, %(now)s, %(now)s, '', %(now)s "
    f"FROM {_STAGED} s LEFT JOIN earlier e "
    "ON e.content_sha256 = s.content_sha256 AND s.identity = '' "
    "LEFT JOIN paid ON paid.currency = s.currency "
    f"WHERE {_PART} ORDER BY s.number "
    "ON CONFLICT (psp_account_id, identity, occurrence) DO NOTHING RETURNING number"
)
# Payouts that have more lines now are added up again.
_MARK_PAYOUTS: Final = (
    f"INSERT INTO {table_of(PayoutSum)} (psp_account_id, psp_payout_id, currency, changed_at) "
    f"SELECT DISTINCT %(account)s::uuid, s.psp_payout_id, s.currency, %(now)s::timestamptz "
    f"FROM {_STAGED} s WHERE {_PART} AND s.psp_payout_id <> '' ORDER BY 2, 3 "
    "ON CONFLICT (psp_account_id, psp_payout_id, currency) "
    "DO UPDATE SET changed_at = excluded.changed_at, judged_at = NULL"
)
_COUNT: Final = f"SELECT count(*) FROM {_STAGED} s WHERE {_PART}"
_CHANGED: Final = (
    "SELECT count(*) OVER (), s.identity, s.psp_type, s.gross_minor, s.fee_minor, s.currency, "
    "l.psp_type, l.gross_minor, l.fee_minor, l.currency "
    # OFFSET 0: each by the index of line identities, whatever PostgreSQL knows of the table yet.
    f"FROM {_STAGED} s CROSS JOIN LATERAL (SELECT * FROM {_LINES} k "
    "WHERE k.psp_account_id = %(account)s AND k.identity = s.identity AND k.occurrence = 1 "
    "OFFSET 0) AS l "
    f"WHERE {_PART} AND s.identity <> '' AND l.content_sha256 <> s.content_sha256 "
    "ORDER BY s.number LIMIT 1"
)


class LinesMissing(Exception):
    """Fewer lines are staged than were read."""


def take_lines(report: SettlementReport) -> bool:
    """Take the next lines of a whole report; `report.lines_taken` moves on.

    Returns False and writes nothing if another worker has taken them meanwhile.
    """
    with transaction.atomic(durable=True):
        row = SettlementReport.objects.select_for_update().get(pk=report.pk)
        if row.status != ReportStatus.STORED or row.lines_taken != report.lines_taken:
            return False
        to = min(row.lines_taken + TAKEN_AT_ONCE, row.lines_read)
        part = {
            "report": row.pk,
            "account": row.psp_account_id,
            "after": row.lines_taken,
            "to": to,
            "now": now_utc(),
        }
        staged = execute(_COUNT, part)[0][0]
        if staged != to - row.lines_taken:
            raise LinesMissing(f"{staged} lines are staged after line {row.lines_taken}, to {to}")
        new = len(execute(_TAKE, part))
        if new:
            execute(_MARK_PAYOUTS, part)
        if new < staged:
            _open_case_of_changed(report, part)
        row.lines_taken = to
        row.lines_new += new
        row.save(update_fields=["lines_taken", "lines_new"])
    report.lines_taken = to
    return True


def _open_case_of_changed(report: SettlementReport, part: dict[str, Any]) -> None:
    """Open one case for a report with known lines whose content differs."""
    rows = execute(_CHANGED, part)
    if not rows:
        return
    count, identity, *both = rows[0]
    again, first = both[:4], both[4:]
    summary = (
        f"Lines of {report.name} came again with other content, such as {identity}: "
        f"{_shown(*again)}; first {_shown(*first)} "
        f"({count} of lines {part['after'] + 1} to {part['to']}). The first ones count."
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


def _shown(psp_type: str, gross_minor: int, fee_minor: int, currency: str) -> str:
    return f"{psp_type} {Money(gross_minor, currency)}, fee {Money(fee_minor, currency)}"
