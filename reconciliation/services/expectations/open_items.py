"""Reads which captures and refunds are settled: what our books say, beside their settlement lines.

An operation is an open item while the books and its matched lines differ: it is applied and no line
says so, or it was reversed after its line came.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from ledger import settlement_rules as rules
from ledger.chart import PSP_RECEIVABLE, REFUND_IN_FLIGHT
from ledger.database.statements import execute
from ledger.selectors import entries_of_payment
from payments.models import PspAccount
from payments.services.psp_gateway.terms import settlement_calendar_of
from payments.states import OPERATION_OPEN, OperationStatus

CODES: Final = (PSP_RECEIVABLE.code, REFUND_IN_FLIGHT.code)
"""Captured and not settled; refunded and not settled."""
_APPLIED: Final = sorted({*OPERATION_OPEN, OperationStatus.SUCCEEDED, OperationStatus.EXCESS})
"""In the books, as long as it was not reversed. An open one has posted only if the PSP took it."""

# `due`: the change of our balance that no matched line says yet; of a line about several captures
# each has its share. A line that is not matched has a discrepancy of its own: what it names, itself
# or by its payment, is open, and not missing.
_OPEN: Final = """
    SELECT o.id, due.minor, EXISTS (
               SELECT FROM reconciliation_settlement_line l
                WHERE l.psp_account_id = o.psp_account_id AND l.psp_id <> ''
                  AND l.psp_id IN (o.psp_id, CASE o.kind WHEN 'capture' THEN o.psp_payment_id
                                                         ELSE o.psp_id END)
                  AND l.status <> 'matched')
      FROM payments_operation o
     CROSS JOIN LATERAL (
           SELECT CASE WHEN o.status = ANY (%s)
                       THEN CASE o.kind WHEN 'refund' THEN -o.amount_minor
                                        ELSE o.amount_minor END
                       ELSE 0 END - coalesce(sum(settled.minor), 0) AS minor
             FROM (SELECT l.paid_minor AS minor
                     FROM reconciliation_settlement_line l
                    WHERE l.operation_id = o.id AND l.status = 'matched' AND NOT EXISTS (
                          SELECT FROM reconciliation_settlement_share n WHERE n.line_id = l.id)
                    UNION ALL
                   SELECT s.amount_minor FROM reconciliation_settlement_share s
                    WHERE s.operation_id = o.id) AS settled) AS due
     WHERE o.id = ANY (%s::uuid[]) AND due.minor <> 0
       AND (o.kind IN ('capture', 'refund') OR o.kind = 'authorize' AND o.capture_now)"""

# Entries of one database transaction are read together, or not at all.
_NEXT: Final = """
    WITH upto AS (
        SELECT xid FROM (
            SELECT xid FROM ledger_entry
             WHERE account_id = %s AND xid > %s::xid8
             ORDER BY xid LIMIT %s) AS next_entries
         ORDER BY xid DESC LIMIT 1
    )
    SELECT e.xid::text::numeric, t.posted_at,
           CASE WHEN t.source_type <> %s THEN t.source_id END
      FROM upto
      JOIN ledger_entry e ON e.account_id = %s AND e.xid > %s::xid8 AND e.xid <= upto.xid
      JOIN ledger_transaction t ON t.id = e.transaction_id
     ORDER BY e.xid"""


@dataclass(frozen=True, slots=True)
class OpenItem:
    """A capture or refund that is not settled as our books say."""

    minor: int
    """By how much our balance with the PSP should still change."""
    is_named: bool
    """Whether a line that is not matched names it."""


def open_items(operation_ids: Collection[UUID]) -> dict[UUID, OpenItem]:
    """Of these operations, those that are open items."""
    rows = execute(_OPEN, [_APPLIED, list(operation_ids)]) if operation_ids else []
    return {operation_id: OpenItem(int(minor), named) for operation_id, minor, named in rows}


@dataclass(frozen=True, slots=True)
class Moved:
    """One entry of an account of open items."""

    xid: int
    at: datetime
    operation_id: UUID | None
    """None for what a settlement line booked."""


def entries_after(ledger_account_id: UUID, position: int, *, most: int) -> list[Moved]:
    """The next entries of a ledger account, from its index; those of one transaction together."""
    after = str(position)
    given = [ledger_account_id, after, most, rules.SOURCE, ledger_account_id, after]
    return [Moved(int(xid), at, operation_id) for xid, at, operation_id in execute(_NEXT, given)]


def lines_came_at(operation_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """When the newest matched line of each of these operations came; those without one are not in
    it."""
    rows = execute(
        "SELECT named.id, max(named.stored_at) FROM ("
        "SELECT operation_id AS id, stored_at FROM reconciliation_settlement_line "
        "WHERE operation_id = ANY (%s::uuid[]) AND status = 'matched' UNION ALL "
        "SELECT s.operation_id, l.stored_at FROM reconciliation_settlement_share s "
        "JOIN reconciliation_settlement_line l ON l.id = s.line_id "
        "WHERE s.operation_id = ANY (%s::uuid[])) AS named GROUP BY named.id",
        [list(operation_ids)] * 2,
    )
    return dict(rows)


def expected_until(payment_id: UUID) -> dict[tuple[int, str], datetime]:
    """By code and currency: until when the first open item of a payment is expected in a report.

    Items of accounts whose settlement is not watched are not in it.
    """
    moved = {
        (entry.account.code, entry.currency, entry.transaction.source_id): entry
        for entry in entries_of_payment(payment_id)
        if entry.account.code in CODES and entry.transaction.source_type != rules.SOURCE
    }
    found = open_items({operation_id for _, _, operation_id in moved})
    codes = {entry.account.dimension for entry in moved.values()} if found else set()
    calendars = {
        account.code: settlement_calendar_of(account)
        for account in PspAccount.objects.filter(code__in=codes)
    }
    until: dict[tuple[int, str], datetime] = {}
    for (code, currency, operation_id), entry in moved.items():
        calendar = calendars.get(entry.account.dimension)
        if operation_id in found and calendar is not None and calendar.watched:
            reported_by = calendar.reported_by(entry.transaction.posted_at)
            until[code, currency] = min(reported_by, until.get((code, currency), reported_by))
    return until
