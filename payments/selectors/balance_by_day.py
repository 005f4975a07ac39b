"""What we owed merchants at the end of a day, and every change of it by day: of all merchants.

For exports, which stream in a transaction of their own. One merchant's balance as it is now, and a
page of its changes, are in `selectors.balance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

from ledger.database.statements import stream
from payments.selectors.balance import (
    CHANGES,
    FEE_RULES,
    SHOWN,
    BalanceTransaction,
    balance_transaction_of,
)

# By the accounts of merchants, and of each by the index of what is available later.
_PENDING_ON: Final = """
    SELECT a.dimension, a.currency, later.minor
      FROM ledger_account a
     CROSS JOIN LATERAL (
           SELECT sum(CASE e.direction WHEN 'C' THEN e.amount_minor ELSE -e.amount_minor END)
             FROM ledger_transaction t
             JOIN ledger_entry e ON e.transaction_id = t.id AND e.account_id = a.id
            WHERE t.effective_date <= %(day)s AND t.id IN (
                  SELECT p.id FROM ledger_transaction p
                   WHERE p.merchant_id = split_part(a.dimension, ':', 1)::uuid
                     AND p.available_on > %(day)s::date AND (
                         SELECT s.is_stated FROM ledger_availability s
                          WHERE s.transaction_id = p.id) IS NULL
                   UNION ALL
                  SELECT v.transaction_id FROM ledger_availability v
                   WHERE v.merchant_id = split_part(a.dimension, ':', 1)::uuid
                     AND v.available_on > %(day)s::date)) AS later (minor)
     WHERE a.code = 2100 AND later.minor <> 0
       AND (%(merchant)s::text IS NULL OR split_part(a.dimension, ':', 1) = %(merchant)s)"""
_OF_DAYS: Final = f"""
    SELECT t.merchant_id, a.dimension, t.payment_id, t.effective_date, {SHOWN} {CHANGES}
       AND t.effective_date BETWEEN %s::date AND %s::date
       AND (%s::uuid IS NULL OR t.merchant_id = %s::uuid)
       AND (%s::text IS NULL OR e.currency = %s::text)
     ORDER BY t.effective_date, t.id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedChange:
    """A balance transaction, whose it is, and the day that it counts for."""

    merchant_id: UUID
    livemode: bool
    payment_id: UUID | None
    effective_date: date
    change: BalanceTransaction


def pending_on(day: date, *, merchant_id: UUID | None = None) -> dict[tuple[str, str], int]:
    """By dimension and currency of the accounts 2100: minor units that were owed at the end of the
    day, and could be had only later; accounts with nothing pending are not in it."""
    merchant = None if merchant_id is None else str(merchant_id)
    rows = stream(_PENDING_ON, {"day": day, "merchant": merchant})
    return {(dimension, currency): int(minor) for dimension, currency, minor in rows}


def balance_transactions_of_days(
    first: date, last: date, *, merchant_id: UUID | None = None, currency: str = ""
) -> Iterator[DatedChange]:
    """Every change that counts for these days, by day, then as it was written."""
    unit = currency or None
    given = [list(FEE_RULES), first, last, merchant_id, merchant_id, unit, unit]
    today = datetime.now(UTC).date()
    for merchant, dimension, payment_id, effective_date, *shown in stream(_OF_DAYS, given):
        yield DatedChange(
            merchant_id=merchant,
            livemode=dimension.endswith(":live"),
            payment_id=payment_id,
            effective_date=effective_date,
            change=balance_transaction_of(tuple(shown), today),
        )
