"""Exports of the books: the journal, the trial balance, accounts entry by entry, adjustments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ledger import bank_rules, settlement_rules
from ledger.account_statements import AccountStatement, account_statements, trial_balance
from ledger.chart import CHART, AccountRef, Direction
from ledger.database.statements import stream
from ledger.money import Money
from ledger.posting_rules import REVERSAL_PREFIX
from payments import public_ids
from reconciliation.services.exports.declaration import (
    Chosen,
    Export,
    Limit,
    Period,
    Row,
    amounts,
    balances,
    days,
    numbers,
    text,
    times,
)
from reconciliation.services.exports.names import (
    SOURCE_COLUMNS,
    SOURCE_JOINS,
    AccountNames,
    ActorNames,
    Source,
    dimensions_of,
    encoded,
)

_JOURNAL: Final = f"""
    SELECT {SOURCE_COLUMNS}, t.effective_date, t.value_date, t.posted_at, t.id, t.rule,
           t.reverses_id, t.payment_id, i.order_id, t.merchant_id, t.psp_account,
           coalesce(v.available_on, t.available_on),
           CASE WHEN l.kind IN ('payout', 'payout_reversal') THEN l.psp_id ELSE b.named_by END,
           e.entry_type, a.code, a.dimension, e.currency, e.direction, e.amount_minor
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
      LEFT JOIN payments_payment_intent i ON i.id = t.payment_id
      LEFT JOIN ledger_availability v ON v.transaction_id = t.id
      {SOURCE_JOINS}
     WHERE (%(merchant)s::uuid IS NULL OR t.merchant_id = %(merchant)s)
       AND (%(account)s::int IS NULL OR a.code = %(account)s)
       AND (%(currency)s::text IS NULL OR e.currency = %(currency)s)"""
_BY_DAY: Final = f"""{_JOURNAL}
       AND t.effective_date BETWEEN %(first)s::date AND %(last)s::date
     ORDER BY t.effective_date, t.id, e.id"""
_BY_POSTING: Final = f"""{_JOURNAL}
       AND t.id >= %(first_id)s::uuid AND t.id < %(end_id)s::uuid
     ORDER BY t.id, e.id"""
_JOURNAL_COLUMNS: Final = (
    *days("effective_date", "value_date"),
    *times("posted_at"),
    *text("transaction", "rule", "entry_type", "source", "payment", "order_id", "payout"),
    *text("merchant", "merchant_name", "psp_account"),
    *numbers("account"),
    *text("account_name", "account_of", "account_of_name", "mode", "currency"),
    *amounts("debit", "credit"),
    *days("available_on"),
    *text("reverses"),
)
_SUSPENSE: Final = [
    name
    for rule in (
        *(settlement_rules.unexplained_receipt, settlement_rules.unexplained_charge),
        *(bank_rules.unidentified_receipt, bank_rules.unidentified_payment),
        *(settlement_rules.suspense_written_off, settlement_rules.suspense_kept),
    )
    for name in (rule.name, REVERSAL_PREFIX + rule.name)
]
# The case of a line is found by its name, as matching gives it; the newest one counts.
_ADJUSTMENTS: Final = f"""
    WITH cases AS (
        SELECT DISTINCT ON (subject) subject, id, summary, closed_by, resolution
          FROM payments_case WHERE kind IN ('contradiction', 'bank_differs')
         ORDER BY subject, opened_at DESC
    )
    SELECT {SOURCE_COLUMNS}, t.effective_date, t.posted_at, t.id, t.rule, t.reverses_id,
           t.payment_id, e.currency, e.amount_minor,
           coalesce(r.imported_by, f.imported_by, o.actor, (
               SELECT q.requester FROM payments_audit_entry u
                 JOIN payments_approval q ON q.id = u.approval_id
                WHERE t.source_type = 'case' AND u.object_id = t.source_id AND u.result = 'done'
                LIMIT 1)), c.id, c.summary, c.closed_by,
           c.resolution
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id AND e.direction = 'D'
      {SOURCE_JOINS}
      LEFT JOIN reconciliation_bank_account ba ON ba.id = b.bank_account_id
      LEFT JOIN reconciliation_bank_statement_file f ON f.id = s.file_id
      LEFT JOIN payments_psp_account p ON p.id = l.psp_account_id
      LEFT JOIN cases c ON c.subject = CASE
           WHEN t.source_type = 'case'
           THEN (SELECT w.subject FROM payments_case w WHERE w.id = t.source_id)
           WHEN l.id IS NOT NULL
           THEN right(format('%%s line %%s #%%s (%%s)', r.name, l.number, l.id, p.code), 128)
           WHEN b.id IS NOT NULL
           THEN left(format('bank line #%%s %%s (%%s)', b.id, s.reference, ba.number), 128) END
     WHERE t.effective_date BETWEEN %(first)s::date AND %(last)s::date
       AND (t.reverses_id IS NOT NULL OR t.rule = ANY (%(suspense)s))
       AND (%(merchant)s::uuid IS NULL OR t.merchant_id = %(merchant)s)
       AND (%(currency)s::text IS NULL OR e.currency = %(currency)s)
     ORDER BY t.effective_date, t.id, e.id"""


def _journal_rows(sql: str, chosen: Chosen) -> Iterator[Row]:
    names = AccountNames()
    for row in stream(sql, chosen.parameters):
        source, rest = Source(*row[:7]), row[7:]
        day, value_date, posted_at, transaction, rule, reverses, payment, order_id, *more = rest
        merchant, *more = more
        psp_account, available_on, payout, kind, code, dimension, currency, side, minor = more
        account = AccountRef(code, dimension, currency)
        owner = names.owner_of(account)
        is_debit = side == Direction.DEBIT
        yield (
            *(day, value_date, posted_at),
            *(encoded(public_ids.BALANCE_TRANSACTION, transaction), rule, kind),
            *(source.shown, encoded(public_ids.PAYMENT_INTENT, payment), order_id, payout),
            *(encoded(public_ids.MERCHANT, merchant), names.merchants.get(merchant)),
            *(psp_account, code, account.line.name, *owner, currency),
            *((minor, None) if is_debit else (None, minor)),
            *(available_on, encoded(public_ids.BALANCE_TRANSACTION, reverses)),
        )


def _journal(chosen: Chosen) -> Iterator[Row]:
    return _journal_rows(_BY_DAY, chosen)


def _journal_by_posting(chosen: Chosen) -> Iterator[Row]:
    return _journal_rows(_BY_POSTING, chosen)


def _trial_balance(chosen: Chosen) -> Iterator[Row]:
    names = AccountNames()
    lines = trial_balance(
        chosen.first,
        chosen.last,
        dimensions=dimensions_of(chosen),
        currency=chosen.currency,
    )
    for line in lines:
        account = line.account
        yield (
            *(account.code, account.line.name, account.line.kind, *names.owner_of(account)),
            *(account.currency, *_sides(line.opening), line.debits.minor, line.credits.minor),
            *_sides(line.closing),
        )


def _sides(balance: Money) -> tuple[int | None, int | None]:
    """A balance in its column: debit or credit."""
    if not balance:
        return None, None
    return (balance.minor, None) if balance.minor > 0 else (None, -balance.minor)


def _account_statement(chosen: Chosen) -> Iterator[Row]:
    codes = sorted(CHART) if chosen.account is None else [chosen.account]
    names = AccountNames()
    for code in codes:
        statements = account_statements(
            code,
            chosen.first,
            chosen.last,
            dimensions=dimensions_of(chosen),
            currency=chosen.currency,
        )
        for statement in statements:
            yield from _statement_rows(statement, names)


def _statement_rows(statement: AccountStatement, names: AccountNames) -> Iterator[Row]:
    account = statement.account
    whose = (account.code, account.line.name, *names.owner_of(account))
    nothing = (None,) * 5
    yield (*whose, "opening", *nothing, account.currency, None, None, statement.opening.minor)
    for line in statement.lines:
        is_debit = line.direction is Direction.DEBIT
        yield (
            *(*whose, "entry", line.effective_date, line.posted_at),
            *(encoded(public_ids.BALANCE_TRANSACTION, line.transaction_id), line.rule),
            *(encoded(public_ids.PAYMENT_INTENT, line.payment_id), account.currency),
            *((line.amount.minor, None) if is_debit else (None, line.amount.minor)),
            line.balance.minor,
        )
    yield (*whose, "closing", *nothing, account.currency, None, None, statement.closing.minor)


def _adjustments(chosen: Chosen) -> Iterator[Row]:
    given, actors = chosen.parameters | {"suspense": _SUSPENSE}, ActorNames()
    for row in stream(_ADJUSTMENTS, given):
        source, rest = Source(*row[:7]), row[7:]
        day, posted_at, transaction, rule, reverses, payment, currency, minor, *more = rest
        maker, case, *explained = more
        yield (
            *(day, posted_at, encoded(public_ids.BALANCE_TRANSACTION, transaction), rule),
            *(encoded(public_ids.BALANCE_TRANSACTION, reverses), source.shown),
            *(encoded(public_ids.PAYMENT_INTENT, payment), currency, minor),
            *(actors.name_of(maker), encoded(public_ids.CASE, case), *explained),
        )


_BOTH: Final = frozenset({Limit.MERCHANT, Limit.CURRENCY})

BOOKS: Final = (
    Export(
        name="journal",
        what="every entry of the days that it counts for; adds up to the trial balance of these",
        period=Period.SPAN,
        columns=_JOURNAL_COLUMNS,
        rows=_journal,
        limits=frozenset(Limit),
    ),
    Export(
        name="journal_by_posting",
        what="every entry by the day on which it was written: in one day's file, whatever comes",
        period=Period.SPAN,
        columns=_JOURNAL_COLUMNS,
        rows=_journal_by_posting,
        limits=frozenset(Limit),
    ),
    Export(
        name="trial_balance",
        what="each account that holds something or moved: opening, debits, credits, closing",
        period=Period.SPAN,
        columns=(
            *numbers("account"),
            *text("account_name", "kind", "account_of", "account_of_name", "mode", "currency"),
            *amounts("opening_debit", "opening_credit", "debits", "credits"),
            *amounts("closing_debit", "closing_credit"),
        ),
        rows=_trial_balance,
        limits=_BOTH,
    ),
    Export(
        name="account_statement",
        what="accounts entry by entry, with the balance after each: of one code, or of all",
        period=Period.SPAN,
        columns=(
            *numbers("account"),
            *text("account_name", "account_of", "account_of_name", "mode", "line"),
            *days("effective_date"),
            *times("posted_at"),
            *text("transaction", "rule", "payment", "currency"),
            *amounts("debit", "credit"),
            *balances("balance"),
        ),
        rows=_account_statement,
        limits=frozenset(Limit),
    ),
    Export(
        name="adjustments",
        what="reversals, and postings to and from suspense, with their cases",
        period=Period.SPAN,
        columns=(
            *days("effective_date"),
            *times("posted_at"),
            *text("transaction", "rule", "reverses", "source", "payment", "currency"),
            *amounts("amount"),
            *text("maker", "case", "reason", "closed_by", "resolution"),
        ),
        rows=_adjustments,
        limits=_BOTH,
    ),
)
"""Exports of the books."""
