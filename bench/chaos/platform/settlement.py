"""Has the PSP close its settlement report, and the platform process it."""

from __future__ import annotations

import time
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from bench.chaos.platform.cluster import Cluster
from payments import public_ids
from paymentsite.launcher.progress import LauncherError

_WITHIN_SECONDS: Final = 60.0
_LINES_PER_SECOND: Final = 50
"""What one process matches on a busy machine at least."""
BALANCES: Final = (1100, 1110, 1120, 1130, 1990, 2200, 5100, 5110, 5120, 5600)
"""Receivable from PSPs, their balance, payouts, reserves, suspense, refunds, two kinds of fees."""


def settle(cluster: Cluster, *, time_factor: float) -> None:
    """Close the reports, be paid out, and match all lines until none waits or the time is over."""
    cluster.psp.close_settlement()
    cluster.psp.pay_out()
    cluster.psp.close_settlement()
    lines = cluster.psp.reported_lines
    end = time.monotonic() + (_WITHIN_SECONDS + lines / _LINES_PER_SECOND) * time_factor
    while True:
        cluster.poll()
        done = cluster.manage("settlement_reports", "--fetch")
        if done.returncode:
            raise LauncherError(f"settlement_reports failed: {done.stderr[-500:]}")
        if not _waiting(cluster, lines) or time.monotonic() > end:
            return
        time.sleep(1.0)


def lines_of(connection: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every stored settlement line."""
    return connection.execute(
        "SELECT identity, kind, status, currency, gross_minor, fee_minor, last_error "
        "FROM reconciliation_settlement_line ORDER BY id"
    ).fetchall()


def balances_of(connection: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Debits - credits of the accounts that settlement changes, per currency."""
    return connection.execute(
        "SELECT a.code, a.currency, "
        "sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) AS minor "
        "FROM ledger_entry e JOIN ledger_account a ON a.id = e.account_id "
        "WHERE a.code = ANY (%s) GROUP BY a.code, a.currency",
        [list(BALANCES)],
    ).fetchall()


def disputes_of(connection: psycopg.Connection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every recorded dispute."""
    rows = connection.execute(
        "SELECT psp_dispute_id, status, amount_minor, intent_id FROM payments_dispute ORDER BY id"
    ).fetchall()
    for row in rows:
        row["intent"] = public_ids.encode(public_ids.PAYMENT_INTENT, row.pop("intent_id"))
    return rows


def _waiting(cluster: Cluster, announced: int) -> bool:
    """Whether a line is still to be read or matched."""
    url = cluster.variables["DATABASE_URL"]
    with psycopg.connect(url, row_factory=dict_row) as connection:
        statuses = [line["status"] for line in lines_of(connection)]
    return len(statuses) < announced or not {"open", "failing"}.isdisjoint(statuses)
