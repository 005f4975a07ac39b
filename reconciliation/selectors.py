"""Counts what waits in reconciliation, for metrics: from indexes of open rows, and bounded."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final
from uuid import UUID

from django.db.models import Count

from ledger.database.statements import execute, table_of
from payments.models import PspAccount
from reconciliation.discrepancies import OF_LINES
from reconciliation.models import LookUpBudget, MissingSettlement, SettlementLine
from reconciliation.states import LineStatus

COUNT_MOST: Final = 10_000


def lines_overdue_seconds() -> float:
    """For how long the line that has been due for longest is due; 0 if none is."""
    rows = execute(
        "SELECT coalesce(extract(epoch FROM now() - min(next_attempt_at)), 0)::float8 "
        f"FROM {table_of(SettlementLine)} WHERE next_attempt_at <= now()"
    )
    return float(rows[0][0])


def lines_dead() -> int:
    """Lines that were given up, COUNT_MOST at most."""
    rows = execute(
        f"SELECT count(*) FROM (SELECT FROM {table_of(SettlementLine)} "
        f"WHERE status = '{LineStatus.DEAD.value}' LIMIT {COUNT_MOST}) AS dead"
    )
    return int(rows[0][0])


def lines_over_ceiling() -> dict[str, float]:
    """By account: lines that wait for a minute in which they can look something up at its PSP."""
    rows = execute(
        "SELECT a.code, ceil(greatest(0, extract(epoch FROM b.given_until "
        "- date_trunc('minute', now())) - 60) * a.look_ups_per_minute / 60)::float8 "
        f"FROM {table_of(LookUpBudget)} b JOIN {table_of(PspAccount)} a ON a.id = b.psp_account_id"
    )
    return dict(rows)


def settlements_missing() -> int:
    """Captures and refunds that are in no report in time, COUNT_MOST at most."""
    rows = execute(
        f"SELECT count(*) FROM (SELECT FROM {table_of(MissingSettlement)} "
        f"WHERE settled_at IS NULL LIMIT {COUNT_MOST}) AS missing"
    )
    return int(rows[0][0])


def unmatched_lines() -> dict[str, float]:
    """Lines that are failing or given up, by code; COUNT_MOST at most."""
    rows = execute(
        f"SELECT discrepancy, count(*) FROM (SELECT discrepancy FROM {table_of(SettlementLine)} "
        f"WHERE discrepancy <> '' LIMIT {COUNT_MOST}) AS unmatched GROUP BY 1"
    )
    return {code.value: 0.0 for code in sorted(OF_LINES)} | {code: float(n) for code, n in rows}


def discrepancies_of(report_ids: Collection[UUID]) -> dict[UUID, dict[str, int]]:
    """By report: how many of the lines that it was the first to tell are not matched, by code."""
    found: dict[UUID, dict[str, int]] = {report_id: {} for report_id in report_ids}
    rows = SettlementLine.objects.filter(report_id__in=report_ids).exclude(discrepancy="")
    counts = rows.values_list("report_id", "discrepancy").annotate(count=Count("id"))
    for report_id, code, count in counts.order_by("discrepancy"):
        found[report_id][code] = count
    return found
