"""Exports of settlement: what each report paid out, fees line by line, and what is not matched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger.database.statements import stream
from payments import public_ids
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.settlement_reports import (
    DISPUTE_LINES,
    OPERATION_LINES,
    PAYOUT_LINES,
    LineKind,
)
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

_GROSSES: Final = {
    "charges": (LineKind.CHARGE, LineKind.PARTIAL_CAPTURE_REVERSAL),
    "charge_failures": (LineKind.CHARGE_FAILURE,),
    "refunds": (LineKind.REFUND,),
    "refund_failures": (LineKind.REFUND_FAILURE,),
    "disputes": (LineKind.DISPUTE, LineKind.DISPUTE_REVERSAL),
    "reserve": (LineKind.RESERVE,),
    "unknown": (LineKind.UNKNOWN,),
}
"""By column, the kinds of lines whose gross it is."""
FEES_BY_GROSS: Final = (LineKind.FEE, LineKind.DISPUTE_FEE)
"""What these take is a fee, also where their gross says it."""
KINDS_SHOWN: Final = frozenset(
    {*(kind for kinds in _GROSSES.values() for kind in kinds), *FEES_BY_GROSS, *PAYOUT_LINES}
)


def _sum_of(column: str, condition: str, name: str) -> str:
    return f"coalesce(sum({column}) FILTER (WHERE l.kind {condition}), 0) AS {name}"


_ALL_FEES: Final = (
    "CASE WHEN l.kind = ANY (%(fees_by_gross)s) THEN l.fee_minor - l.gross_minor "
    "ELSE l.fee_minor END"
)
_SUMS: Final = ", ".join(
    (
        *(_sum_of("l.gross_minor", f"= ANY (%({name})s)", name) for name in _GROSSES),
        _sum_of("l.markup_minor", "= ANY (%(operations)s)", "markup"),
        _sum_of("l.interchange_minor", "= ANY (%(operations)s)", "interchange"),
        _sum_of("l.scheme_fee_minor", "= ANY (%(operations)s)", "scheme_fees"),
        _sum_of(_ALL_FEES, "= ANY (%(of_disputes)s)", "dispute_fees"),
        _sum_of(
            _ALL_FEES,
            "<> ALL (%(operations)s) AND l.kind <> ALL (%(of_disputes)s)",
            "account_fees",
        ),
        _sum_of("-l.gross_minor", "= ANY (%(payouts)s)", "paid_out"),
    )
)
# The lines that a PSP says to be in one payout are one row; those that it says of none, by their
# report. Shown on the day of the last report that has one of them: reports of these days name the
# groups, of which then all lines count. A line counts in the first report that has it.
_BY_PAYOUT: Final = f"""
    WITH reported AS (
        SELECT id, name, coalesce(closed_at, received_at) AS at
          FROM reconciliation_settlement_report
    ), named AS (
        SELECT DISTINCT l.psp_account_id, l.psp_payout_id, l.currency,
               CASE l.psp_payout_id WHEN '' THEN l.report_id END AS report_id
          FROM reported r
          JOIN reconciliation_settlement_line l ON l.report_id = r.id
         WHERE r.at >= %(first)s::date AND r.at < %(last)s::date + 1
           AND (%(currency)s::text IS NULL OR l.currency = %(currency)s)
    ), line AS (
        SELECT n.report_id AS group_report, l.*
          FROM named n
          JOIN reconciliation_settlement_line l ON l.psp_payout_id = n.psp_payout_id
           AND l.psp_account_id = n.psp_account_id AND l.currency = n.currency
           AND l.psp_payout_id <> ''
         WHERE n.report_id IS NULL
         UNION ALL
        SELECT n.report_id, l.*
          FROM named n
          JOIN reconciliation_settlement_line l ON l.report_id = n.report_id
           AND l.currency = n.currency AND l.psp_payout_id = ''
    )
    SELECT p.code, p.livemode, l.psp_payout_id, string_agg(DISTINCT r.name, ' '), max(r.at),
           l.currency, count(*), {_SUMS},
           coalesce(string_agg(DISTINCT a.number, ' '), ''), max(b.booked_on),
           coalesce(string_agg(format('%%s line %%s', s.reference, b.number), ', '
                               ORDER BY b.id) FILTER (WHERE b.id IS NOT NULL), ''),
           coalesce(sum(b.amount_minor), 0)
      FROM line l
      JOIN reported r ON r.id = l.report_id
      JOIN payments_psp_account p ON p.id = l.psp_account_id
      LEFT JOIN reconciliation_bank_line b ON b.payout_id = l.id
      LEFT JOIN reconciliation_bank_statement s ON s.id = b.statement_id
      LEFT JOIN reconciliation_bank_account a ON a.id = b.bank_account_id
     GROUP BY p.code, p.livemode, l.psp_payout_id, l.group_report, l.currency
    HAVING max(r.at) < %(last)s::date + 1
     ORDER BY p.code, max(r.at), l.psp_payout_id, l.currency"""
_KINDS: Final = {
    **_GROSSES,
    "fees_by_gross": FEES_BY_GROSS,
    "operations": OPERATION_LINES,
    "of_disputes": DISPUTE_LINES,
    "payouts": PAYOUT_LINES,
}
_FEES: Final = """
    SELECT l.occurred_at, p.code, p.livemode, r.name, l.number, l.kind, l.psp_type, l.status,
           o.id, o.kind, o.intent_id, i.order_id, o.merchant_id, m.name,
           coalesce(c.payment_method_details, o.payment_method_details) ->> 'type',
           coalesce(c.payment_method_details, o.payment_method_details) -> 'card' ->> 'brand',
           l.currency, l.gross_minor, l.fee_minor, l.markup_minor, l.interchange_minor,
           l.scheme_fee_minor, v.minor
      FROM reconciliation_settlement_line l
      JOIN reconciliation_settlement_report r ON r.id = l.report_id
      JOIN payments_psp_account p ON p.id = l.psp_account_id
      LEFT JOIN payments_operation o ON o.id = l.operation_id
      LEFT JOIN payments_operation c ON c.id = o.charge_id
      LEFT JOIN payments_payment_intent i ON i.id = o.intent_id
      LEFT JOIN payments_merchant m ON m.id = o.merchant_id
      LEFT JOIN LATERAL (
           SELECT coalesce(sum(stated_minor - agreed_minor) FILTER (WHERE component = ''),
                           sum(stated_minor - agreed_minor)) AS minor
             FROM reconciliation_line_variance
            WHERE line_id = l.id AND discrepancy = 'FEE_VARIANCE') v ON true
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
    kinds = {name: sorted(each.value for each in kinds) for name, kinds in _KINDS.items()}
    for row in stream(_BY_PAYOUT, chosen.parameters | kinds):
        code, livemode, payout, reports, at, currency, lines, *sums = row
        grosses, fees, rest = sums[:7], sums[7:12], sums[12:]
        paid_out, *on_bank = rest
        gross, net = sum(grosses), sum(grosses) - sum(fees)
        yield (
            *(code, mode(livemode), payout, reports, at, currency, lines, *grosses, gross),
            *(*fees, net, paid_out, net - paid_out, *on_bank),
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
        what="each payout and currency: gross of its lines, each fee, net, payout, its bank line",
        period=Period.SPAN,
        columns=(
            *text("psp_account", "mode", "payout", "reports"),
            *times("reported_at"),
            *text("currency"),
            *numbers("lines"),
            *amounts(*_GROSSES, "gross", "markup", "interchange", "scheme_fees"),
            *amounts("dispute_fees", "account_fees", "net", "paid_out", "kept_at_psp"),
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
        what="the fee of each settlement line, and by how much it is not the agreed one",
        period=Period.SPAN,
        columns=(
            *times("occurred_at"),
            *text("psp_account", "mode", "report"),
            *numbers("line"),
            *text("kind", "psp_type", "status", "operation", "payment", "order_id", "merchant"),
            *text("merchant_name", "method", "card_brand", "currency"),
            *amounts("gross", "fee", "markup", "interchange", "scheme_fee", "variance"),
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
