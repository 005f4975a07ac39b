"""What we owe a merchant, and every change of it: the merchant's side of the books.

A balance transaction is a ledger transaction that changed the merchant's account; the platform fee
booked with a capture is shown with it, so that the nets add up to the balance. When money becomes
available is what its settlement lines say; before they come an estimate, made when it was booked.
What may not live here: writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce

from ledger import selectors as books
from ledger.chart import Direction
from ledger.database.statements import execute
from ledger.models import LedgerTransaction
from ledger.money import Money
from payments import public_ids
from payments.models import books_of
from payments.selectors.paging import IdRange, Page, Paging, id_range
from payments.selectors.scope import (
    BALANCE_TRANSACTION,
    Scope,
    id_of,
    refuse_missing,
)

_MERCHANT_PAYABLE: Final = 2100
_KINDS: Final = {
    "captured": ("charge", "charge"),
    "refund_requested": ("refund", "refund"),
    "refund_failed": ("refund_failure", "refund_failure"),
    "reversal_of_captured": ("payment_failure_refund", "charge_failure"),
    "excess_captured": ("charge", "charge"),
    "excess_refund_requested": ("refund", "refund"),
    "excess_refund_failed": ("refund_failure", "refund_failure"),
    "reversal_of_excess_captured": ("payment_failure_refund", "charge_failure"),
    "dispute_held": ("adjustment", "dispute"),
    "dispute_hold_released": ("adjustment", "dispute_reversal"),
}
"""Posting rule → type and reporting category of the merchant API."""
_OTHER_KIND: Final = ("adjustment", "other_adjustment")
"""Any other change of what we owe: disputes, a posting by hand."""
DISPUTE_CATEGORIES: Final = frozenset({"dispute", "dispute_reversal"})
FEE_RULES: Final = (
    *("platform_fee", "reversal_of_platform_fee"),
    *("dispute_fee_passed_on", "dispute_fee_given_back"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """One change of what we owe a merchant, with the fee of the same capture."""

    id: UUID
    type: str
    """`charge`, `refund`, `refund_failure`, `payment_failure_refund` or `adjustment`."""
    reporting_category: str
    gross_minor: int
    """Signed: positive raises what we owe."""
    fee_minor: int
    currency: str
    source: str
    """The public id of the charge, refund or dispute behind it; empty if there is none."""
    available_on: date
    """The day (UTC) from which on the merchant may have it."""
    available: bool


@dataclass(frozen=True, slots=True)
class Balance:
    """What we owe a merchant, per currency, in the order of the currencies' codes."""

    available: list[Money]
    pending: list[Money]
    """Of the same currencies: what becomes available on a later day."""


_AVAILABLE_ON: Final = "coalesce(v.available_on, t.available_on, t.value_date, t.effective_date)"
SHOWN: Final = f"""
           t.id, t.rule, e.direction, e.amount_minor, e.currency, coalesce(fee.minor, 0),
           coalesce(o.charge_id, o.id), r.id, d.id,
           {_AVAILABLE_ON}"""
"""The columns of CHANGES that `balance_transaction_of` takes."""
# Fees are shown with the capture (or its reversal) that they were booked with. The OR lets
# PostgreSQL probe the unique index for that companion, and for fees only.
CHANGES: Final = """
      FROM ledger_transaction t
      LEFT JOIN ledger_availability v ON v.transaction_id = t.id
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id AND a.code = 2100
      LEFT JOIN LATERAL (
           SELECT sum(CASE fe.direction WHEN 'D' THEN fe.amount_minor ELSE -fe.amount_minor END)
             FROM ledger_transaction f
             JOIN ledger_entry fe ON fe.transaction_id = f.id
             JOIN ledger_account fa ON fa.id = fe.account_id AND fa.code = 2100
            WHERE f.source_type = t.source_type AND f.source_id = t.source_id
              AND f.rule = CASE t.rule WHEN 'captured' THEN 'platform_fee'
                           WHEN 'reversal_of_captured' THEN 'reversal_of_platform_fee'
                           WHEN 'dispute_held' THEN 'dispute_fee_passed_on'
                           WHEN 'dispute_hold_released' THEN 'dispute_fee_given_back' END
           ) AS fee (minor) ON true
      LEFT JOIN payments_operation o ON o.id = t.source_id
      LEFT JOIN payments_refund r ON r.operation_id = o.id
      LEFT JOIN payments_dispute d ON t.source_type = 'dispute' AND d.id = t.source_id
     WHERE (t.rule <> ALL (%s) OR NOT EXISTS (
            SELECT 1 FROM ledger_transaction c
             WHERE c.source_type = t.source_type AND c.source_id = t.source_id
               AND c.rule = CASE t.rule WHEN 'platform_fee' THEN 'captured'
                            WHEN 'dispute_fee_passed_on' THEN 'dispute_held'
                            WHEN 'dispute_fee_given_back' THEN 'dispute_hold_released'
                            ELSE 'reversal_of_captured' END))"""
"""Every change of what merchants are owed; FEE_RULES is its parameter."""
_MERCHANTS_ROWS: Final = f"SELECT {SHOWN} {CHANGES} AND t.merchant_id = %s AND a.dimension = %s"
# Reads as many rows as the merchant has pending, however long its history is: OFFSET 0 and a
# subquery for each estimate keep the planner from going through all that the merchant has instead.
_PENDING: Final = """
    SELECT p.currency, sum(p.minor)
      FROM (SELECT id FROM ledger_transaction e
             WHERE e.merchant_id = %s AND e.available_on > %s AND (
                   SELECT s.is_stated FROM ledger_availability s
                    WHERE s.transaction_id = e.id) IS NULL
             UNION ALL
            SELECT transaction_id FROM ledger_availability
             WHERE merchant_id = %s AND available_on > %s) AS t
     CROSS JOIN LATERAL (
           SELECT e.currency,
                  sum(CASE e.direction WHEN 'C' THEN e.amount_minor ELSE -e.amount_minor END)
             FROM (SELECT * FROM ledger_entry WHERE transaction_id = t.id OFFSET 0) e
             JOIN ledger_account a ON a.id = e.account_id
            WHERE a.code = 2100 AND a.dimension = %s
            GROUP BY e.currency) AS p (currency, minor)
     GROUP BY p.currency"""
# What was pending until one of these days; a row that was written for a day gone by was not.
_BECAME_AVAILABLE: Final = """
    SELECT EXISTS (
        SELECT FROM (
            SELECT id FROM ledger_transaction e
             WHERE e.merchant_id = %s AND e.available_on > %s AND e.available_on <= %s AND (
                   SELECT s.is_stated FROM ledger_availability s
                    WHERE s.transaction_id = e.id) IS NULL
             UNION ALL
            SELECT transaction_id FROM ledger_availability
             WHERE merchant_id = %s AND available_on > %s AND available_on <= %s
               AND available_on > written_on) AS t
          JOIN ledger_entry e ON e.transaction_id = t.id
          JOIN ledger_account a ON a.id = e.account_id
         WHERE a.code = 2100 AND a.dimension = %s)"""
_AVAILABLE_FROM: Final = f"extract(epoch FROM {_AVAILABLE_ON}::timestamp)"
_COMPARISONS: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_OF_DISPUTE: Final = " AND d.id = %s"
_OF_REFUND: Final = " AND r.id = %s"
_OF_CHARGE: Final = " AND r.id IS NULL AND coalesce(o.charge_id, o.id) = %s"


def balance_of(scope: Scope) -> Balance:
    """What we owe the merchant: all of it from the books' balance, what is pending from its tail.

    Both are read as they stood at one moment; opens a transaction of its own.
    """
    with transaction.atomic(durable=True):
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return read_balance(scope)


def read_balance(scope: Scope) -> Balance:
    """The same in the caller's transaction, which reads as of one moment."""
    dimension = _dimension(scope)
    sums = books.balances(codes=[_MERCHANT_PAYABLE], dimension=dimension)
    later_than = [scope.merchant_id, _today()]
    pending = dict(execute(_PENDING, [*later_than, *later_than, dimension]))
    balance = Balance([], [])
    for owed in sorted(sums.values(), key=lambda money: money.currency):
        later = Money(int(pending.get(owed.currency, 0)), owed.currency)
        balance.pending.append(later)
        balance.available.append(owed - later)
    return balance


def became_available(scope: Scope, *, after: date, to: date) -> bool:
    """Whether the merchant had money pending that became available on one of these days."""
    given = [scope.merchant_id, after, to]
    return bool(execute(_BECAME_AVAILABLE, [*given, *given, _dimension(scope)])[0][0])


def available_on_of(transaction_id: UUID) -> date | None:
    """When the money of a ledger transaction becomes available; None if at once."""
    found = LedgerTransaction.objects.filter(pk=transaction_id)
    settled_on = Coalesce("availability__available_on", "available_on")
    day: date | None = found.values_list(settled_on, flat=True).first()
    return day


def one_balance_transaction(scope: Scope, public_id: str) -> BalanceTransaction:
    """The balance transaction of a public id; refuses with ResourceMissing."""
    identifier = id_of(BALANCE_TRANSACTION, public_id)
    found = balance_transactions_by_id(scope, [identifier])
    if identifier not in found:
        refuse_missing(BALANCE_TRANSACTION, public_id)
    return found[identifier]


def balance_transactions_by_id(
    scope: Scope, identifiers: Collection[UUID]
) -> dict[UUID, BalanceTransaction]:
    """Those of these ids that are the merchant's."""
    found = _read(scope, " AND t.id = ANY (%s)", [list(identifiers)])
    return {row.id: row for row in found}


def page_of_balance_transactions(
    scope: Scope,
    paging: Paging,
    *,
    transaction_type: str = "",
    source: str = "",
    currency: str = "",
    available_on: Mapping[str, int] | None = None,
) -> Page[BalanceTransaction]:
    """A page of changes of the balance, newest first; `source` is a charge, a refund or a
    dispute.

    `available_on` are Unix seconds under `gt`, `gte`, `lt`, `lte`.
    """
    where, params = _bounds(id_range(paging, known=_known(scope), kind=BALANCE_TRANSACTION))
    for condition, value in _filters(transaction_type, source, currency):
        where += condition
        params.append(value)
    for name, seconds in (available_on or {}).items():
        where += f" AND {_AVAILABLE_FROM} {_COMPARISONS[name]} %s"
        params.append(seconds)
    order = "ASC" if paging.ending_before else "DESC"
    found = _read(scope, f"{where} ORDER BY t.id {order} LIMIT %s", [*params, paging.limit + 1])
    rows = found[: paging.limit]
    return Page(rows[::-1] if paging.ending_before else rows, len(found) > paging.limit)


def _known(scope: Scope) -> QuerySet[LedgerTransaction]:
    """The ledger's transactions of the merchant in this mode, for a cursor that must exist."""
    return LedgerTransaction.objects.filter(
        merchant_id=scope.merchant_id, entries__account__dimension=_dimension(scope)
    ).distinct()


def _dimension(scope: Scope) -> str:
    return books_of(scope.merchant_id, livemode=scope.livemode)


def _bounds(bounds: IdRange) -> tuple[str, list[Any]]:
    named = (
        (" AND t.id >= %s", bounds.first),
        (" AND t.id < %s", bounds.end),
        (" AND t.id < %s", bounds.older_than),
        (" AND t.id > %s", bounds.newer_than),
    )
    present = [(condition, value) for condition, value in named if value is not None]
    return "".join(condition for condition, _ in present), [value for _, value in present]


def _filters(transaction_type: str, source: str, currency: str) -> list[tuple[str, Any]]:
    filters: list[tuple[str, Any]] = []
    if transaction_type == _OTHER_KIND[0]:
        filters.append((" AND t.rule <> ALL (%s)", _rules_of_other_types()))
    elif transaction_type:
        rules = [rule for rule, (shown, _) in _KINDS.items() if shown == transaction_type]
        filters.append((" AND t.rule = ANY (%s)", rules))
    if source.startswith(f"{public_ids.REFUND}_"):
        filters.append((_OF_REFUND, public_ids.decode(public_ids.REFUND, source)))
    elif source.startswith(f"{public_ids.DISPUTE}_"):
        filters.append((_OF_DISPUTE, public_ids.decode(public_ids.DISPUTE, source)))
    elif source:
        filters.append((_OF_CHARGE, public_ids.decode(public_ids.CHARGE, source)))
    if currency:
        filters.append((" AND e.currency = %s", currency))
    return filters


def _read(scope: Scope, where: str, params: list[Any]) -> list[BalanceTransaction]:
    own = [list(FEE_RULES), scope.merchant_id, _dimension(scope)]
    rows, today = execute(_MERCHANTS_ROWS + where, [*own, *params]), _today()
    return [balance_transaction_of(row, today) for row in rows]


def _rules_of_other_types() -> list[str]:
    """Rules that are shown as anything but an adjustment."""
    return [rule for rule, (shown, _) in _KINDS.items() if shown != _OTHER_KIND[0]]


def _today() -> date:
    """As the books count days."""
    return datetime.now(UTC).date()


def balance_transaction_of(row: tuple[Any, ...], today: date) -> BalanceTransaction:
    """A row of the columns SHOWN, as the merchant API shows it."""
    identifier, rule, direction, amount_minor, currency, fee_minor, *sources, day = row
    charge_id, refund_id, dispute_id = sources
    source = ""
    if dispute_id is not None:
        source = public_ids.encode(public_ids.DISPUTE, dispute_id)
    elif refund_id is not None:
        source = public_ids.encode(public_ids.REFUND, refund_id)
    elif charge_id is not None:
        source = public_ids.encode(public_ids.CHARGE, charge_id)
    shown, category = _KINDS.get(rule, _OTHER_KIND)
    return BalanceTransaction(
        id=identifier,
        type=shown,
        reporting_category=category,
        gross_minor=amount_minor if direction == Direction.CREDIT else -amount_minor,
        fee_minor=int(fee_minor),
        currency=currency,
        source=source,
        available_on=day,
        available=day <= today,
    )
