"""Compares matched settlement lines with what they booked. Reads only.

PostgreSQL refuses a line that differs from its bookings when it is matched
(`reconciliation/sql/lines_of_operations_equal_the_books.sql`). Here it is looked for in what is
stored, even if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.database import statements
from ledger.money import Money

LINES_AT_ONCE: Final = 10_000

_LAST_OF_NEXT: Final = """
    SELECT max(id) FROM (SELECT id FROM reconciliation_settlement_line
                          WHERE id > %s ORDER BY id LIMIT %s) AS next_lines"""
_DIFFERENT: Final = """
    SELECT l.identity, l.gross_minor - l.fee_minor, l.currency, coalesce(booked.minor, 0),
           booked.others
      FROM reconciliation_settlement_line l
      JOIN payments_operation o ON o.id = l.operation_id
     CROSS JOIN LATERAL (
           SELECT sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
                      FILTER (WHERE a.code = 1110 AND a.currency = l.currency) AS minor,
                  count(*) FILTER (WHERE t.payment_id IS DISTINCT FROM o.intent_id
                                      OR a.currency <> l.currency) AS others
             FROM ledger_transaction t
             JOIN ledger_entry e ON e.transaction_id = t.id
             JOIN ledger_account a ON a.id = e.account_id
            WHERE t.source_type = 'settlement_line'
              AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid) AS booked
     WHERE l.id > %s AND l.id <= %s AND l.status = 'matched'
       AND (booked.minor IS DISTINCT FROM l.gross_minor - l.fee_minor OR booked.others > 0)
     ORDER BY l.id"""
_OWNERLESS: Final = """
    SELECT t.id, t.rule FROM ledger_transaction t
     WHERE t.source_type = 'settlement_line' AND NOT EXISTS (
           SELECT FROM reconciliation_settlement_line l
            WHERE l.status = 'matched' AND l.operation_id IS NOT NULL
              AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid)
     ORDER BY t.id LIMIT 100"""


def line_differences() -> Iterator[str]:
    """Every matched line of a charge or refund that differs from what it booked, and every booking
    of a line that does not exist or is not matched (100 at most)."""
    last = 0
    while (upto := statements.execute(_LAST_OF_NEXT, [last, LINES_AT_ONCE])[0][0]) is not None:
        for identity, minor, currency, booked_minor, others in statements.execute(
            _DIFFERENT, [last, upto]
        ):
            said, booked = Money(minor, currency), Money(int(booked_minor), currency)
            where = ", and something for another payment or currency" if others else ""
            yield f"settlement line {identity} says {said}, it has booked {booked}{where}"
        last = upto
    for transaction_id, rule in statements.execute(_OWNERLESS):
        yield f"ledger transaction {transaction_id} ({rule}) is of no matched settlement line"
