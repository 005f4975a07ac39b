"""Compares settlement lines with what they booked. Reads only.

PostgreSQL refuses a line that differs from its bookings when it is matched (the files `lines_of_…`
of `reconciliation/sql/`). Here it is looked for in what is stored, even if a trigger was off.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from ledger import settlement_rules as rules
from ledger.database import statements
from ledger.money import Money
from ledger.posting_rules import REVERSAL_PREFIX
from payments.services.verification.daily import STEP_SECONDS, Step
from payments.services.verification.findings import Finding
from payments.services.verification.rebuild import one_snapshot
from psp_adapters.contract.settlement_reports import DISPUTE_LINES

LINES_AT_ONCE: Final = 10_000

_LAST_OF_NEXT: Final = """
    SELECT max(id) FROM (SELECT id FROM reconciliation_settlement_line
                          WHERE id > %s ORDER BY id LIMIT %s) AS next_lines"""
# A fee that was booked before there were components (`processing_fee`) is the PSP's own price.
# A matched line of a dispute has booked nothing, or what was reversed: its dispute did. A line that
# was given up is in suspense, unless the books know its dispute. So is one that waits again.
_DIFFERENT: Final = """
    SELECT l.identity, due.minor, l.currency, booked.minor, place.is_wrong, l.status
      FROM reconciliation_settlement_line l
      JOIN payments_psp_account p ON p.id = l.psp_account_id
      LEFT JOIN payments_operation o ON o.id = l.operation_id
     CROSS JOIN LATERAL (
           SELECT CASE WHEN l.dispute_id IS NULL AND l.status IN ('matched', 'dead', 'written_off')
                       THEN l.gross_minor - l.fee_minor ELSE 0 END AS minor,
                  (l.operation_id IS NOT NULL)::int AS times,
                  (l.operation_id IS NOT NULL AND l.paid_currency <> l.currency)::int
                      AS converted,
                  CASE WHEN l.status <> 'matched' THEN 1990
                       WHEN l.kind IN ('charge', 'charge_failure',
                                       'partial_capture_reversal') THEN 1100
                       WHEN l.kind IN ('refund', 'refund_failure') THEN 2200
                       WHEN l.kind IN ('payout', 'payout_reversal') THEN 1120
                       WHEN l.kind = 'risk_reserved_funds' THEN 1130
                       WHEN l.kind = 'fee' THEN 5600 END AS code) AS due
     CROSS JOIN LATERAL (
           SELECT coalesce(sum(e.signed) FILTER (WHERE e.code = 1110), 0) AS minor,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = due.code), 0) AS own,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = 1900
                                                   AND e.currency = l.currency), 0) AS got,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = 1900
                                                   AND e.currency <> l.currency), 0) AS given,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = 5100), 0) AS markup,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = 5110), 0) AS interchange,
                  coalesce(sum(e.signed) FILTER (WHERE e.code = 5120), 0) AS scheme_fee,
                  count(*) FILTER (WHERE e.currency NOT IN (l.currency, l.paid_currency)
                                      OR (e.currency <> l.currency
                                          AND e.code NOT IN (due.code, 1900))
                                      OR e.dimension <> p.code
                                      OR (e.payment_id IS DISTINCT FROM o.intent_id
                                          AND NOT e.rule = ANY (%s))) AS others
             FROM (SELECT CASE WHEN t.rule IN ('processing_fee', 'processing_fee_returned')
                                    AND a.code = 5110 THEN 5100 ELSE a.code END AS code,
                          a.dimension, a.currency, t.payment_id, t.rule,
                          CASE e.direction WHEN 'D' THEN e.amount_minor
                                           ELSE -e.amount_minor END AS signed
                     FROM ledger_transaction t
                     JOIN ledger_entry e ON e.transaction_id = t.id
                     JOIN ledger_account a ON a.id = e.account_id
                    WHERE t.source_type = 'settlement_line'
                      AND t.source_id = lpad(to_hex(l.id), 32, '0')::uuid) AS e) AS booked
     CROSS JOIN LATERAL (
           SELECT booked.others > 0
                  OR (l.dispute_id IS NULL AND booked.own <> CASE
                          WHEN l.status <> 'matched' THEN -booked.minor
                          WHEN l.kind = 'fee' THEN -due.minor
                          ELSE -l.paid_minor END)
                  OR booked.got <> -due.converted * l.gross_minor
                  OR booked.given <> due.converted * l.paid_minor
                  OR booked.markup <> due.times * l.markup_minor
                  OR booked.interchange <> due.times * l.interchange_minor
                  OR booked.scheme_fee <> due.times * l.scheme_fee_minor AS is_wrong) AS place
     WHERE l.id > %s AND l.id <= %s
       AND (booked.minor <> due.minor OR place.is_wrong)
       AND (place.is_wrong OR NOT (
               l.status = 'dead' AND booked.minor = 0 AND EXISTS (
                   SELECT FROM payments_dispute d
                    WHERE l.kind = ANY (%s) AND d.psp_account_id = l.psp_account_id
                      AND d.psp_dispute_id = l.psp_id)))
       AND (place.is_wrong OR NOT (
               l.status IN ('open', 'failing') AND l.retrying_since > l.stored_at
               AND booked.minor = l.gross_minor - l.fee_minor))
     ORDER BY l.id"""
# By the source, whose unique index finds a slice at once.
_BOOKINGS_OF_NEXT: Final = """
    SELECT t.source_id, t.id, t.rule, EXISTS (
           SELECT FROM reconciliation_settlement_line l
            WHERE t.source_id = lpad(to_hex(l.id), 32, '0')::uuid
              AND l.id = ('x' || right(replace(t.source_id::text, '-', ''), 16))::bit(64)::bigint)
      FROM ledger_transaction t
     WHERE t.source_type = 'settlement_line' AND t.source_id > %s
     ORDER BY t.source_id LIMIT %s"""
_OF_SUSPENSE: Final = [
    name
    for rule in (rules.unexplained_receipt, rules.unexplained_charge)
    for name in (rule.name, REVERSAL_PREFIX + rule.name)
]
_OF_DISPUTES: Final = sorted(kind.value for kind in DISPUTE_LINES)


LINES: Final = "settlement lines"
BOOKINGS: Final = "bookings of settlement lines"
_BEFORE_EVERY_ID: Final = UUID(int=0)


def line_differences() -> Iterator[str]:
    """Every line that differs from what it booked, and every booking of a line that does not
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
    rows = statements.execute(_DIFFERENT, [_OF_SUSPENSE, last, upto, _OF_DISPUTES])
    return Step([_differs(*row) for row in rows], UUID(int=upto))


def check_bookings(position: UUID) -> Step:
    """Look for the lines of the LINES_AT_ONCE ledger transactions after this source."""
    rows = statements.execute(_BOOKINGS_OF_NEXT, [position, LINES_AT_ONCE])
    findings = [
        Finding(str(id), f"ledger transaction {id} ({rule}) is of no settlement line")
        for _, id, rule, has_line in rows
        if not has_line
    ]
    return Step(findings, rows[-1][0] if len(rows) == LINES_AT_ONCE else None)


def _differs(
    identity: str, minor: int, currency: str, booked_minor: int, is_misplaced: bool, status: str
) -> Finding:
    due, booked = Money(minor, currency), Money(int(booked_minor), currency)
    where = ", and on other accounts, in another currency or for another payment than it says"
    return Finding(
        f"settlement line {identity}"[:128],
        f"settlement line {identity} ({status}) should have booked {due} on 1110, it has booked "
        f"{booked}{where if is_misplaced else ''}",
    )
