"""Compares bank lines with what they booked. Reads only.

PostgreSQL refuses a line that differs from its bookings when it is matched or given up. Here it is
looked for in what is stored, even if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from ledger.database import statements
from ledger.money import Money
from payments.services.verification.daily import STEP_SECONDS, Step
from payments.services.verification.findings import Finding
from payments.services.verification.rebuild import one_snapshot

LINES: Final = "bank lines"
BOOKINGS: Final = "bookings of bank lines"
LINES_AT_ONCE: Final = 10_000
_BEFORE_EVERY_ID: Final = UUID(int=0)
_LAST_OF_NEXT: Final = """
    SELECT max(id) FROM (SELECT id FROM reconciliation_bank_line
                          WHERE id > %s ORDER BY id LIMIT %s) AS next_lines"""
# A line that waits has booked nothing, unless it was given up before: then it is in suspense.
_DIFFERENT: Final = """
    SELECT n.id, n.status, due.minor, n.currency, booked.minor, booked.own, booked.others
      FROM reconciliation_bank_line n
      JOIN reconciliation_bank_account b ON b.id = n.bank_account_id
      LEFT JOIN reconciliation_settlement_line l ON l.id = n.payout_id
      LEFT JOIN payments_psp_account p ON p.id = l.psp_account_id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN n.status = 'matched' OR n.given_up_at IS NOT NULL
                       THEN n.amount_minor ELSE 0 END AS minor,
                  CASE n.status WHEN 'matched' THEN 1120 ELSE 1990 END AS code,
                  CASE n.status WHEN 'matched' THEN p.code ELSE b.number END AS dimension) AS due
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(e.signed) FILTER (WHERE e.code = 1200 AND e.dimension = b.number), 0)
                      AS minor,
                  coalesce(sum(e.signed) FILTER (
                      WHERE e.code = due.code AND e.dimension = due.dimension), 0) AS own,
                  count(*) FILTER (
                      WHERE e.currency <> n.currency OR e.payment_id IS NOT NULL
                         OR e.code NOT IN (1200, 1120, 1990)) AS others
             FROM (SELECT a.code, a.dimension, a.currency, t.payment_id,
                          CASE e.direction WHEN 'D' THEN e.amount_minor
                                           ELSE -e.amount_minor END AS signed
                     FROM ledger_transaction t
                     JOIN ledger_entry e ON e.transaction_id = t.id
                     JOIN ledger_account a ON a.id = e.account_id
                    WHERE t.source_type = 'bank_line'
                      AND t.source_id = lpad(to_hex(n.id), 32, '0')::uuid) AS e) AS booked
     WHERE n.id > %s AND n.id <= %s
       AND (booked.minor <> due.minor OR booked.own <> -due.minor OR booked.others > 0
            OR (n.status = 'matched' AND l.gross_minor IS DISTINCT FROM -n.amount_minor))
     ORDER BY n.id"""
_BOOKINGS_OF_NEXT: Final = """
    SELECT t.source_id, t.id, t.rule, EXISTS (
           SELECT FROM reconciliation_bank_line n
            WHERE t.source_id = lpad(to_hex(n.id), 32, '0')::uuid
              AND n.id = ('x' || right(replace(t.source_id::text, '-', ''), 16))::bit(64)::bigint)
      FROM ledger_transaction t
     WHERE t.source_type = 'bank_line' AND t.source_id > %s
     ORDER BY t.source_id LIMIT %s"""


def bank_line_differences() -> Iterator[str]:
    """Every bank line that differs from what it booked, and every booking of a line that does not
    exist."""
    for check in (check_lines, check_bookings):
        last: UUID | None = _BEFORE_EVERY_ID
        while last is not None:
            step = check(last)
            yield from (finding.sentence for finding in step.findings)
            last = step.last


def check_lines_daily(position: UUID) -> Step:
    """The next slice of lines, on one snapshot and within the time of a step."""
    with one_snapshot(seconds_most=STEP_SECONDS):
        return check_lines(position)


def check_bookings_daily(position: UUID) -> Step:
    """The next slice of what lines booked, likewise."""
    with one_snapshot(seconds_most=STEP_SECONDS):
        return check_bookings(position)


def check_lines(position: UUID) -> Step:
    """Compare the LINES_AT_ONCE lines after this one with what they booked."""
    last = position.int
    upto = statements.execute(_LAST_OF_NEXT, [last, LINES_AT_ONCE])[0][0]
    if upto is None:
        return Step()
    rows = statements.execute(_DIFFERENT, [last, upto])
    return Step([_differs(*row) for row in rows], UUID(int=upto))


def check_bookings(position: UUID) -> Step:
    """Look for the lines of the LINES_AT_ONCE ledger transactions after this source."""
    rows = statements.execute(_BOOKINGS_OF_NEXT, [position, LINES_AT_ONCE])
    findings = [
        Finding(str(id), f"ledger transaction {id} ({rule}) is of no bank line")
        for _, id, rule, has_line in rows
        if not has_line
    ]
    return Step(findings, rows[-1][0] if len(rows) == LINES_AT_ONCE else None)


def _differs(
    line_id: int, status: str, minor: int, currency: str, booked: int, own: int, others: int
) -> Finding:
    due = Money(minor, currency)
    where = ", and on other accounts, in another currency or for a payment" if others else ""
    return Finding(
        f"bank line {line_id}",
        f"bank line {line_id} ({status}) should have booked {due} on 1200, it has booked "
        f"{Money(int(booked), currency)} there and {Money(int(own), currency)} against it{where}",
    )
