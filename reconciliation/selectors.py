"""Counts what waits in reconciliation, for metrics: from indexes of open rows, and bounded."""

from __future__ import annotations

from typing import Final

from ledger.database.statements import execute, table_of
from reconciliation.models import SettlementLine
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
