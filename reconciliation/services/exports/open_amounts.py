"""Exports of what is open at the end of a day: what merchants are owed, and open items by age."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from typing import Final

from ledger import chart
from ledger.account_statements import trial_balance
from ledger.chart import CHART, AccountRef
from ledger.database.statements import stream
from payments import public_ids
from payments.selectors.balance_by_day import pending_on
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
)
from reconciliation.services.exports.names import AccountNames, dimensions_of, encoded

_AGES: Final = ((1, "0 to 1"), (3, "2 to 3"), (7, "4 to 7"), (30, "8 to 30"))
_OLDER: Final = "over 30"
"""Days, each up to a number of them. With blanks: a spreadsheet takes 2-3 for a day in March."""
_MIRRORS: Final = (chart.AUTH_CONTRA, chart.DISPUTE_EXPOSURE_CONTRA)
_OPEN_CODES: Final = sorted(
    line.code for line in CHART.values() if line.open_item and line not in _MIRRORS
)
# Since when: the last day before which the payment had nothing open on that account.
_OPEN_ITEMS: Final = """
    WITH open AS (
        SELECT e.account_id, e.payment_id, e.currency,
               sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) AS minor
          FROM ledger_account a
          JOIN ledger_entry e ON e.account_id = a.id
          JOIN ledger_transaction t ON t.id = e.transaction_id
         WHERE a.code = ANY (%(codes)s::int[]) AND t.effective_date <= %(last)s::date
           AND (%(account)s::int IS NULL OR a.code = %(account)s)
           AND (%(currency)s::text IS NULL OR a.currency = %(currency)s)
         GROUP BY e.account_id, e.payment_id, e.currency
        HAVING sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END) <> 0
    )
    SELECT a.code, a.dimension, a.currency, o.minor, o.payment_id, i.order_id, i.merchant_id,
           first.day
      FROM open o
      JOIN ledger_account a ON a.id = o.account_id
      LEFT JOIN payments_payment_intent i ON i.id = o.payment_id
      LEFT JOIN LATERAL (
           SELECT max(day) AS day FROM (
               SELECT t.effective_date AS day,
                      sum(CASE e.direction WHEN 'D' THEN e.amount_minor ELSE -e.amount_minor END)
                          OVER (ORDER BY t.effective_date, t.id, e.id
                                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
                 FROM ledger_transaction t
                 JOIN ledger_entry e ON e.transaction_id = t.id
                WHERE t.payment_id = o.payment_id AND e.account_id = o.account_id
                  AND t.effective_date <= %(last)s::date) AS each
            WHERE coalesce(before, 0) = 0) AS first ON true
     WHERE %(merchant)s::uuid IS NULL OR i.merchant_id = %(merchant)s
     ORDER BY a.code, a.dimension, a.currency, first.day, o.payment_id"""


def age_bucket(age_days: int) -> str:
    """How long an item has been open, as accountants group it."""
    return next((name for most, name in _AGES if age_days <= most), _OLDER)


def _merchant_balances(chosen: Chosen) -> Iterator[Row]:
    names = AccountNames()
    dimensions = dimensions_of(chosen)
    held: defaultdict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    codes = (chart.MERCHANT_PAYABLE.code, chart.DISPUTE_HELD.code)
    for line in trial_balance(
        chosen.last, chosen.last, codes=codes, dimensions=dimensions, currency=chosen.currency
    ):
        place = line.account.dimension, line.account.currency
        held[place][line.account.code] = -line.closing.minor  # Both are credits.
    pending = pending_on(chosen.last, merchant_id=chosen.merchant_id)
    for (dimension, currency), minors in sorted(held.items()):
        account = chart.MERCHANT_PAYABLE.of(dimension, currency)
        owed = minors.get(chart.MERCHANT_PAYABLE.code, 0)
        later = pending.get((dimension, currency), 0)
        on_hold = minors.get(chart.DISPUTE_HELD.code, 0)
        yield (*names.owner_of(account), currency, owed, owed - later, later, on_hold)


def _open_items(chosen: Chosen) -> Iterator[Row]:
    names = AccountNames()
    given = chosen.parameters | {"codes": _OPEN_CODES}
    for code, dimension, currency, minor, payment, order_id, merchant, since in stream(
        _OPEN_ITEMS, given
    ):
        account = AccountRef(code, dimension, currency)
        yield (
            *(code, account.line.name, account.line.kind, *names.owner_of(account)),
            *(encoded(public_ids.PAYMENT_INTENT, payment), order_id),
            *(encoded(public_ids.MERCHANT, merchant), names.merchants.get(merchant)),
            *(since, *_age(since, chosen.last), currency),
            *((minor, None) if minor > 0 else (None, -minor)),
        )


def _age(since: date | None, day: date) -> tuple[int | None, str | None]:
    if since is None:
        return None, None
    age_days = (day - since).days
    return age_days, age_bucket(age_days)


OPEN_AMOUNTS: Final = (
    Export(
        name="merchant_balances",
        what="what each merchant is owed at the end of a day: available, pending, held",
        period=Period.DAY,
        columns=(
            *text("merchant", "merchant_name", "mode", "currency"),
            *amounts("owed", "available", "pending", "held"),
        ),
        rows=_merchant_balances,
        limits=frozenset({Limit.MERCHANT, Limit.CURRENCY}),
    ),
    Export(
        name="open_items",
        what="what payments have open on accounts of open items at the end of a day, by age",
        period=Period.DAY,
        columns=(
            *numbers("account"),
            *text("account_name", "kind", "account_of", "account_of_name", "mode"),
            *text("payment", "order_id", "merchant", "merchant_name"),
            *days("open_since"),
            *numbers("age_days"),
            *text("age", "currency"),
            *amounts("debit", "credit"),
        ),
        rows=_open_items,
        limits=frozenset(Limit),
    ),
)
"""Exports of what is open."""
