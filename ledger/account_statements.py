"""Reads the books by date: the trial balance of some days, and accounts entry by entry.

A day is one that postings count for (`effective_date`, UTC). What an account held at the end of a
day is what it holds now less what counts for later days. So a statement reads the days since its
first one, however old the books are. All of it needs the caller's transaction, whose one snapshot
keeps both in step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

from ledger.chart import AccountKind, AccountRef, Direction
from ledger.database.statements import stream
from ledger.exceptions import BooksDoNotBalance
from ledger.money import Money
from ledger.selectors import SUMS

_CHOSEN: Final = """
       (%(codes)s::int[] IS NULL OR a.code = ANY (%(codes)s))
       AND (%(dimensions)s::text[] IS NULL OR a.dimension = ANY (%(dimensions)s))
       AND (%(currency)s::text IS NULL OR a.currency = %(currency)s)"""
_ORDER: Final = "code, dimension, currency"
_TRIAL_BALANCE: Final = f"""
    WITH moved AS (
        SELECT e.account_id,
               sum(e.amount_minor) FILTER (
                   WHERE e.direction = 'D' AND t.effective_date <= %(last)s) AS debits,
               sum(e.amount_minor) FILTER (
                   WHERE e.direction = 'C' AND t.effective_date <= %(last)s) AS credits,
               sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
                   FILTER (WHERE t.effective_date > %(last)s) AS later
          FROM ledger_transaction t
          JOIN ledger_entry e ON e.transaction_id = t.id
         WHERE t.effective_date >= %(first)s::date
         GROUP BY e.account_id
    ), dated AS (
        SELECT a.code, a.dimension, a.currency, coalesce(m.debits, 0) AS debits,
               coalesce(m.credits, 0) AS credits, coalesce(m.later, 0) AS later
          FROM moved m
          JOIN ledger_account a ON a.id = m.account_id
    )
    SELECT now.code, now.dimension, now.currency,
           now.debits - now.credits - coalesce(d.later, 0),
           coalesce(d.debits, 0), coalesce(d.credits, 0)
      FROM ({SUMS} WHERE {_CHOSEN}) AS now
      LEFT JOIN dated d USING ({_ORDER})
     ORDER BY {_ORDER}"""
_ENTRIES: Final = f"""
    SELECT a.code, a.dimension, a.currency, e.direction, e.amount_minor, t.effective_date,
           t.posted_at, t.id, t.rule, t.source_type, t.source_id, t.payment_id
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id
     WHERE t.effective_date BETWEEN %(first)s::date AND %(last)s::date AND {_CHOSEN}
     ORDER BY a.code, a.dimension, a.currency, t.effective_date, t.id, e.id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialLine:
    """One account over some days; each balance is debits minus credits."""

    account: AccountRef
    debits: Money
    credits: Money
    closing: Money

    @property
    def opening(self) -> Money:
        """At the end of the day before the first."""
        return self.closing - self.debits + self.credits

    @property
    def is_empty(self) -> bool:
        """It neither holds anything nor moved."""
        return not (self.closing or self.debits or self.credits)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One entry of an account, and what the account held after it, on its normal side."""

    direction: Direction
    amount: Money
    balance: Money
    effective_date: date
    posted_at: datetime
    transaction_id: UUID
    rule: str
    source_type: str
    source_id: UUID
    payment_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatement:
    """One account: what it held before, and its entries by day, then as they were written.

    Balances are positive on the account's normal side. `lines` can be read once, before the next
    statement.
    """

    account: AccountRef
    opening: Money
    closing: Money
    lines: Iterator[StatementLine]


def trial_balance(
    first: date,
    last: date,
    *,
    codes: Collection[int] | None = None,
    dimensions: Collection[str] | None = None,
    currency: str = "",
) -> Iterator[TrialLine]:
    """Every account that held something or moved, by code, dimension and currency.

    Of all accounts, raises BooksDoNotBalance at the end if debits and credits of a currency differ,
    those of the days or those of the balances.
    """
    sums: defaultdict[tuple[AccountKind, str], list[int]] = defaultdict(lambda: [0, 0])
    given = _chosen(first, last, codes, dimensions, currency)
    for code, dimension, unit, closing, debits, credits in stream(_TRIAL_BALANCE, given):
        account = AccountRef(code, dimension, unit)
        line = TrialLine(
            account=account,
            debits=Money(int(debits), unit),
            credits=Money(int(credits), unit),
            closing=Money(int(closing), unit),
        )
        of_currency = sums[account.line.kind, unit]
        of_currency[0] += int(debits) - int(credits)
        of_currency[1] += int(closing)
        if not line.is_empty:
            yield line
    if codes is None and dimensions is None:
        _require_balance(sums)


def account_statements(
    code: int,
    first: date,
    last: date,
    *,
    dimensions: Collection[str] | None = None,
    currency: str = "",
) -> Iterator[AccountStatement]:
    """Each account of this code that held something or moved, by dimension and currency."""
    given = _chosen(first, last, [code], dimensions, currency)
    moved = groupby(stream(_ENTRIES, given), key=itemgetter(0, 1, 2))
    place, rows = next(moved, (None, iter(())))
    # Both are in one order, PostgreSQL's.
    held = list(trial_balance(first, last, codes=[code], dimensions=dimensions, currency=currency))
    for line in held:
        account = line.account
        is_moved = place == (account.code, account.dimension, account.currency)
        sign = 1 if account.line.normal_side is Direction.DEBIT else -1
        opening = Money(sign * line.opening.minor, account.currency)
        yield AccountStatement(
            account=account,
            opening=opening,
            closing=Money(sign * line.closing.minor, account.currency),
            lines=_lines(rows, opening, account) if is_moved else iter(()),
        )
        if is_moved:
            place, rows = next(moved, (None, iter(())))


def _chosen(
    first: date,
    last: date,
    codes: Collection[int] | None,
    dimensions: Collection[str] | None,
    currency: str,
) -> dict[str, Any]:
    return {
        "first": first,
        "last": last,
        "codes": None if codes is None else list(codes),
        "dimensions": None if dimensions is None else list(dimensions),
        "currency": currency or None,
    }


def _lines(
    rows: Iterator[tuple[Any, ...]], opening: Money, account: AccountRef
) -> Iterator[StatementLine]:
    balance = opening
    for _, _, unit, side, minor, effective_date, posted_at, *named in rows:
        direction, amount = Direction(side), Money(minor, unit)
        balance = balance + amount if direction is account.line.normal_side else balance - amount
        transaction_id, rule, source_type, source_id, payment_id = named
        yield StatementLine(
            direction=direction,
            amount=amount,
            balance=balance,
            effective_date=effective_date,
            posted_at=posted_at,
            transaction_id=transaction_id,
            rule=rule,
            source_type=source_type,
            source_id=source_id,
            payment_id=payment_id,
        )


def _require_balance(sums: dict[tuple[AccountKind, str], list[int]]) -> None:
    for (kind, currency), (moved, held) in sorted(sums.items()):
        if moved or held:
            raise BooksDoNotBalance(
                f"{kind} accounts in {currency}: debits exceed credits by {Money(moved, currency)} "
                f"in these days, and by {Money(held, currency)} at their end"
            )
