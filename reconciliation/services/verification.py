"""Compares settlement lines with what they booked. Reads only.

PostgreSQL refuses a line that differs from its bookings when it is matched (the files `lines_of_…`
of `reconciliation/sql/`). Here it is looked for in what is stored, even if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger import settlement_rules as rules
from ledger.database import statements
from ledger.money import Money
from ledger.posting_rules import REVERSAL_PREFIX
from psp_adapters.contract.settlement_reports import DISPUTE_LINES

LINES_AT_ONCE: Final = 10_000

_LAST_OF_NEXT: Final = """
    SELECT max(id) FROM (SELECT id FROM reconciliation_settlement_line
                          WHERE id > %s ORDER BY id LIMIT %s) AS next_lines"""
# A matched line of a dispute has booked nothing, or what was reversed: its dispute did. A line
# that was given up is in suspense, unless the books know its dispute.
_DIFFERENT: Final = """
    SELECT l.identity, line.minor, l.currency, booked.minor, booked.others, l.status
      FROM reconciliation_settlement_line l
      LEFT JOIN payments_operation o ON o.id = l.operation_id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN l.dispute_id IS NULL AND l.status IN ('matched', 'dead')
                       THEN l.gross_minor - l.fee_minor ELSE 0 END AS minor) AS line
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(CASE e.direction WHEN 'D' THEN e.amount_minor
                                                ELSE -e.amount_minor END)
                      FILTER (WHERE a.code = 1110 AND a.currency = l.currency), 0) AS minor,
                  count(*) FILTER (WHERE a.currency <> l.currency
                                      OR (t.payment_id IS DISTINCT FROM o.intent_id
                                          AND NOT t.rule = ANY (%s))) AS others
             FROM ledger_transaction t
             JOIN ledger_entry e ON e.transaction_id = t.id
             JOIN ledger_account a ON a.id = e.account_id
            WHERE t.source_type = 'settlement_line'
              AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid) AS booked
     WHERE l.id > %s AND l.id <= %s
       AND (booked.minor <> line.minor OR booked.others > 0)
       AND NOT (booked.minor = 0 AND booked.others = 0 AND l.status = 'dead' AND EXISTS (
               SELECT FROM payments_dispute d
                WHERE l.kind = ANY (%s) AND d.psp_account_id = l.psp_account_id
                  AND d.psp_dispute_id = l.psp_id))
       -- One that waits again is in suspense still.
       AND NOT (booked.minor = l.gross_minor - l.fee_minor AND booked.others = 0
                AND l.status IN ('open', 'failing') AND l.retrying_since > l.stored_at)
     ORDER BY l.id"""
_OWNERLESS: Final = """
    SELECT t.id, t.rule FROM ledger_transaction t
     WHERE t.source_type = 'settlement_line' AND NOT EXISTS (
           SELECT FROM reconciliation_settlement_line l
            WHERE t.source_id = lpad(to_hex(l.id), 32, '0')::uuid)
     ORDER BY t.id LIMIT 100"""
_OF_SUSPENSE: Final = [
    name
    for rule in (rules.unexplained_receipt, rules.unexplained_charge)
    for name in (rule.name, REVERSAL_PREFIX + rule.name)
]
_OF_DISPUTES: Final = sorted(kind.value for kind in DISPUTE_LINES)


def line_differences() -> Iterator[str]:
    """Every line that differs from what it booked, and every booking of a line that does not exist
    (100 at most)."""
    last = 0
    while (upto := statements.execute(_LAST_OF_NEXT, [last, LINES_AT_ONCE])[0][0]) is not None:
        for identity, minor, currency, booked_minor, others, status in statements.execute(
            _DIFFERENT, [_OF_SUSPENSE, last, upto, _OF_DISPUTES]
        ):
            due, booked = Money(minor, currency), Money(int(booked_minor), currency)
            where = ", and something for another payment or currency" if others else ""
            yield (
                f"settlement line {identity} ({status}) should have booked {due}, "
                f"it has booked {booked}{where}"
            )
        last = upto
    for transaction_id, rule in statements.execute(_OWNERLESS):
        yield f"ledger transaction {transaction_id} ({rule}) is of no settlement line"
