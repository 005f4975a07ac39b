"""Exports of settlement: what each report paid out, fees line by line, and what is not matched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.database.statements import stream
from payments import public_ids
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.settlement_reports import OPERATION_LINES
from reconciliation.services.exports.declaration import (
    Chosen,
    Export,
    Limit,
    Period,
    Row,
    amounts,
    days,
    numbers,
    text,
    times,
)
from reconciliation.services.exports.names import encoded, mode

# The lines of a report in one currency are one row. A line that came again in a later report counts
# in the first one, as in the books.
_BY_PAYOUT: Final = """
    WITH counted AS (
        SELECT l.report_id, l.currency, count(*) AS lines,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind = 'charge'), 0) AS charges,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind = 'charge_failure'), 0) AS failed,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind = 'refund'), 0) AS refunds,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind = 'refund_failure'), 0) AS returned,
               coalesce(sum(l.gross_minor) FILTER (
                   WHERE l.kind IN ('dispute', 'dispute_reversal')), 0) AS disputes,
               coalesce(sum(l.gross_minor) FILTER (
                   WHERE l.kind = 'risk_reserved_funds'), 0) AS reserve,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind = 'unknown'), 0) AS unknown,
               coalesce(sum(l.markup_minor) FILTER (WHERE l.kind = ANY (%(payments)s)), 0)
                   AS markup,
               coalesce(sum(l.interchange_minor) FILTER (WHERE l.kind = ANY (%(payments)s)), 0)
                   AS interchange,
               coalesce(sum(l.scheme_fee_minor) FILTER (WHERE l.kind = ANY (%(payments)s)), 0)
                   AS scheme,
               coalesce(sum(CASE l.kind WHEN 'dispute_fee' THEN l.fee_minor - l.gross_minor
                                        ELSE l.fee_minor END) FILTER (WHERE l.kind IN (
                   'dispute', 'dispute_reversal', 'dispute_fee')), 0) AS of_disputes,
               coalesce(sum(CASE l.kind WHEN 'fee' THEN l.fee_minor - l.gross_minor
                                        ELSE l.fee_minor END) FILTER (WHERE l.kind IN (
                   'fee', 'payout', 'payout_reversal', 'risk_reserved_funds', 'unknown')), 0)
                   AS of_account,
               coalesce(sum(l.gross_minor) FILTER (WHERE l.kind IN (
                   'payout', 'payout_reversal')), 0) AS paid_out,
               coalesce(string_agg(l.psp_id, ' ' ORDER BY l.id) FILTER (WHERE l.kind IN (
                   'payout', 'payout_reversal')), '') AS payouts,
               coalesce(sum(b.amount_minor), 0) AS on_bank,
               max(b.booked_on) AS booked_on,
               coalesce(string_agg(format('%%s line %%s', s.reference, b.number), ', '
                                   ORDER BY b.id), '') AS bank_lines,
               coalesce(string_agg(DISTINCT a.number, ' '), '') AS bank_accounts
          FROM reconciliation_settlement_report r
          JOIN reconciliation_settlement_line l ON l.report_id = r.id
          LEFT JOIN reconciliation_bank_line b ON b.payout_id = l.id
          LEFT JOIN reconciliation_bank_statement s ON s.id = b.statement_id
          LEFT JOIN reconciliation_bank_account a ON a.id = b.bank_account_id
         WHERE coalesce(r.closed_at, r.received_at) >= %(first)s::date
           AND coalesce(r.closed_at, r.received_at) < %(last)s::date + 1
           AND (%(currency)s::text IS NULL OR l.currency = %(currency)s)
         GROUP BY l.report_id, l.currency
    )
    SELECT p.code, p.livemode, r.name, coalesce(r.closed_at, r.received_at), c.currency, c.lines,
           c.charges, c.failed, c.refunds, c.returned, c.disputes, c.reserve, c.unknown,
           c.markup, c.interchange, c.scheme, c.of_disputes, c.of_account, c.paid_out, c.payouts,
           c.bank_accounts, c.booked_on, c.bank_lines, c.on_bank
      FROM counted c
      JOIN reconciliation_settlement_report r ON r.id = c.report_id
      JOIN payments_psp_account p ON p.id = r.psp_account_id
     ORDER BY p.code, coalesce(r.closed_at, r.received_at), r.id, c.currency"""
_FEES: Final = """
    SELECT l.occurred_at, p.code, p.livemode, r.name, l.number, l.kind, l.psp_type, l.status,
           o.id, o.kind, o.intent_id, i.order_id, o.merchant_id, m.name,
           coalesce(c.payment_method_details, o.payment_method_details) ->> 'type',
           coalesce(c.payment_method_details, o.payment_method_details) -> 'card' ->> 'brand',
           l.currency, l.gross_minor, l.fee_minor, l.markup_minor, l.interchange_minor,
           l.scheme_fee_minor
      FROM reconciliation_settlement_line l
      JOIN reconciliation_settlement_report r ON r.id = l.report_id
      JOIN payments_psp_account p ON p.id = l.psp_account_id
      LEFT JOIN payments_operation o ON o.id = l.operation_id
      LEFT JOIN payments_operation c ON c.id = o.charge_id
      LEFT JOIN payments_payment_intent i ON i.id = o.intent_id
      LEFT JOIN payments_merchant m ON m.id = o.merchant_id
     WHERE l.occurred_at >= %(first)s::date AND l.occurred_at < %(last)s::date + 1
       AND (l.fee_minor <> 0 OR l.kind IN ('charge', 'refund', 'fee', 'dispute_fee'))
       AND (%(merchant)s::uuid IS NULL OR o.merchant_id = %(merchant)s)
       AND (%(currency)s::text IS NULL OR l.currency = %(currency)s)
     ORDER BY l.occurred_at, l.id"""
# The newest case of a name, as matching gives it.
_UNMATCHED: Final = """
    WITH cases AS (
        SELECT DISTINCT ON (subject) subject, id, status
          FROM payments_case WHERE kind IN ('contradiction', 'bank_differs')
         ORDER BY subject, opened_at DESC
    ), unmatched AS (
        SELECT 'settlement line' AS what, p.code AS place, p.livemode, r.name AS file, l.number,
               l.occurred_at::date AS day, l.psp_type AS said,
               concat_ws(' ', nullif(l.psp_id, ''), nullif(l.reference, '')) AS named,
               l.currency, l.gross_minor - l.fee_minor AS minor, l.status, l.discrepancy,
               l.last_error, l.attempts, l.stored_at,
               right(format('%%s line %%s #%%s (%%s)', r.name, l.number, l.id, p.code), 128)
                   AS subject
          FROM reconciliation_settlement_line l
          JOIN reconciliation_settlement_report r ON r.id = l.report_id
          JOIN payments_psp_account p ON p.id = l.psp_account_id
         WHERE l.next_attempt_at IS NOT NULL OR l.status = 'dead'
         UNION ALL
        SELECT 'bank line', a.number, a.livemode, s.reference, b.number, b.booked_on, b.text,
               concat_ws(' ', nullif(b.bank_reference, ''), nullif(b.end_to_end_id, '')),
               b.currency, b.amount_minor, b.status, b.discrepancy, b.last_error, b.attempts,
               b.stored_at, left(format('bank line #%%s %%s (%%s)', b.id, s.reference, a.number),
                                 128)
          FROM reconciliation_bank_line b
          JOIN reconciliation_bank_statement s ON s.id = b.statement_id
          JOIN reconciliation_bank_account a ON a.id = b.bank_account_id
         WHERE b.next_attempt_at IS NOT NULL OR b.status = 'dead'
    )
    SELECT u.what, u.place, u.livemode, u.file, u.number, u.day, u.said, u.named, u.currency,
           u.minor, u.status, u.discrepancy, u.last_error, u.attempts, u.stored_at, c.id, c.status
      FROM unmatched u
      LEFT JOIN cases c ON c.subject = u.subject
     WHERE %(currency)s::text IS NULL OR u.currency = %(currency)s
     ORDER BY u.stored_at, u.what, u.place, u.file, u.number"""


def _by_payout(chosen: Chosen) -> Iterator[Row]:
    given = chosen.parameters | {"payments": sorted(kind.value for kind in OPERATION_LINES)}
    for row in stream(_BY_PAYOUT, given):
        code, livemode, report, closed_at, currency, lines, *sums = row
        grosses, fees, told = sums[:7], sums[7:12], sums[12:]
        paid_out, payouts, bank_accounts, booked_on, bank_lines, on_bank = told
        gross = sum(grosses)
        net = gross - sum(fees)
        yield (
            *(code, mode(livemode), report, closed_at, currency, lines, *grosses, gross),
            *(*fees, net, payouts, -paid_out, net + paid_out),
            *(bank_accounts, booked_on, bank_lines, on_bank),
        )


def _fees(chosen: Chosen) -> Iterator[Row]:
    for row in stream(_FEES, chosen.parameters):
        occurred_at, code, livemode, *line = row
        operation, operation_kind, intent, order_id, merchant, name, *more = line[5:]
        method, brand, currency, gross, fee, *parts = more
        prefix = public_ids.OPERATION
        if operation_kind == OperationKind.AUTHORIZE:
            prefix = public_ids.CHARGE
        yield (
            *(occurred_at, code, mode(livemode), *line[:5], encoded(prefix, operation)),
            *(encoded(public_ids.PAYMENT_INTENT, intent), order_id),
            *(encoded(public_ids.MERCHANT, merchant), name, method, brand),
            *(currency, gross, fee, *parts, _percent(fee, gross)),
        )


def _percent(fee_minor: int, gross_minor: int) -> str | None:
    """The fee as a part of the amount, to a thousandth of a percent."""
    if not gross_minor:
        return None
    part = fee_minor / abs(gross_minor)
    return f"{part:.3%}".removesuffix("%")


def _unmatched(chosen: Chosen) -> Iterator[Row]:
    for row in stream(_UNMATCHED, chosen.parameters):
        what, place, livemode, *told, case, case_status = row
        yield (what, place, mode(livemode), *told, encoded(public_ids.CASE, case), case_status)


_CURRENCY: Final = frozenset({Limit.CURRENCY})

SETTLEMENT_ROWS: Final = (
    Export(
        name="settlement_by_payout",
        what="each settlement report and currency: gross, each fee, net, payout, and its bank line",
        period=Period.SPAN,
        columns=(
            *text("psp_account", "mode", "report"),
            *times("closed_at"),
            *text("currency"),
            *numbers("lines"),
            *amounts("charges", "charge_failures", "refunds", "refund_failures", "disputes"),
            *amounts("reserve", "unknown", "gross", "markup", "interchange", "scheme_fees"),
            *amounts("dispute_fees", "account_fees", "net"),
            *text("payouts"),
            *amounts("paid_out", "kept_at_psp"),
            *text("bank_account"),
            *days("bank_booked_on"),
            *text("bank_lines"),
            *amounts("on_bank"),
        ),
        rows=_by_payout,
        limits=_CURRENCY,
    ),
    Export(
        name="fee_variance",
        what="the fee of each settlement line, and how much of its amount that is",
        period=Period.SPAN,
        columns=(
            *times("occurred_at"),
            *text("psp_account", "mode", "report"),
            *numbers("line"),
            *text("kind", "psp_type", "status", "operation", "payment", "order_id", "merchant"),
            *text("merchant_name", "method", "card_brand", "currency"),
            *amounts("gross", "fee", "markup", "interchange", "scheme_fee"),
            *numbers("fee_percent"),
        ),
        rows=_fees,
        limits=frozenset({Limit.MERCHANT, Limit.CURRENCY}),
    ),
    Export(
        name="unmatched",
        what="the lines of settlement reports and bank statements that nothing explains yet",
        period=Period.NOW,
        columns=(
            *text("what", "account", "mode", "file"),
            *numbers("line"),
            *days("day"),
            *text("said", "references", "currency"),
            *amounts("amount"),
            *text("status", "discrepancy", "explanation"),
            *numbers("attempts"),
            *times("stored_at"),
            *text("case", "case_status"),
        ),
        rows=_unmatched,
        limits=_CURRENCY,
    ),
)
"""Exports of settlement."""
