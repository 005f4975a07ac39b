"""What we owe a merchant, and every change of it: the merchant's side of the books.

A balance transaction is a ledger transaction that changed the merchant's account; the platform fee
booked with a capture is shown with it, so that the nets add up to the balance. What may not live
here: writes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from ledger import selectors as books
from ledger.chart import Direction
from ledger.models import LedgerTransaction
from ledger.money import Money
from ledger.statements import execute
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
_TYPES: Final = {
    "captured": "charge",
    "refund_requested": "refund",
    "refund_failed": "refund_failure",
}
_OTHER_TYPE: Final = "adjustment"
"""Corrections: a capture that the provider took back, a posting by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceTransaction:
    """One change of what we owe a merchant, with the fee that was taken in the same move."""

    id: UUID
    type: str
    """`charge`, `refund`, `refund_failure` or `adjustment`."""
    gross_minor: int
    """Signed: positive raises what we owe."""
    fee_minor: int
    currency: str
    source: str
    """The public id of the charge, refund or dispute behind it; empty if there is none."""
    category: str = ""
    """The reporting category, where it says more than the type."""


_MERCHANTS_ROWS: Final = """
    SELECT t.id, t.rule, e.direction, e.amount_minor, e.currency, coalesce(fee.amount_minor, 0),
           CASE o.kind WHEN 'authorize' THEN o.id ELSE i.latest_charge_id END, r.id, d.id
      FROM ledger_transaction t
      JOIN ledger_entry e ON e.transaction_id = t.id
      JOIN ledger_account a ON a.id = e.account_id AND a.code = 2100
      LEFT JOIN ledger_transaction f ON f.rule = CASE t.rule WHEN 'captured' THEN 'platform_fee'
                WHEN 'dispute_held' THEN 'dispute_fee_passed_on'
                WHEN 'dispute_hold_released' THEN 'dispute_fee_given_back' END
            AND f.source_type = t.source_type AND f.source_id = t.source_id
      LEFT JOIN ledger_entry fee ON fee.transaction_id = f.id AND fee.direction = 'D'
      LEFT JOIN payments_operation o ON o.id = t.source_id
      LEFT JOIN payments_payment_intent i ON i.id = o.intent_id
      LEFT JOIN payments_refund r ON r.operation_id = o.id
      LEFT JOIN payments_dispute d ON t.source_type = 'dispute' AND d.id = t.source_id
     WHERE t.merchant_id = %s AND a.dimension = %s AND t.rule NOT IN
           ('platform_fee', 'dispute_fee_passed_on', 'dispute_fee_given_back')"""
_CATEGORIES: Final = {"dispute_held": "dispute", "dispute_hold_released": "dispute_reversal"}
_OF_DISPUTE: Final = " AND d.id = %s"
_OF_REFUND: Final = " AND r.id = %s"
_OF_CHARGE: Final = """ AND r.id IS NULL
       AND CASE o.kind WHEN 'authorize' THEN o.id ELSE i.latest_charge_id END = %s"""


def owed(scope: Scope) -> list[Money]:
    """What we owe the merchant, one amount per currency, in the order of the currencies' codes."""
    sums = books.balances(codes=[_MERCHANT_PAYABLE], dimension=_dimension(scope))
    return sorted(sums.values(), key=lambda money: money.currency)


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
) -> Page[BalanceTransaction]:
    """A page of changes of the balance, newest first; `source` is a charge, refund or dispute."""
    where, params = _bounds(id_range(paging, known=_known(scope), kind=BALANCE_TRANSACTION))
    for condition, value in _filters(transaction_type, source, currency):
        where += condition
        params.append(value)
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
    if transaction_type == _OTHER_TYPE:
        filters.append((" AND t.rule <> ALL (%s)", sorted(_TYPES)))
    elif transaction_type:
        rules = [rule for rule, shown in _TYPES.items() if shown == transaction_type]
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
    rows = execute(_MERCHANTS_ROWS + where, [scope.merchant_id, _dimension(scope), *params])
    return [_balance_transaction(row) for row in rows]


def _balance_transaction(row: tuple[Any, ...]) -> BalanceTransaction:
    (
        identifier,
        rule,
        direction,
        amount_minor,
        currency,
        fee_minor,
        charge_id,
        refund_id,
        dispute_id,
    ) = row
    source = ""
    if dispute_id is not None:
        source = public_ids.encode(public_ids.DISPUTE, dispute_id)
    elif refund_id is not None:
        source = public_ids.encode(public_ids.REFUND, refund_id)
    elif charge_id is not None:
        source = public_ids.encode(public_ids.CHARGE, charge_id)
    return BalanceTransaction(
        id=identifier,
        type=_TYPES.get(rule, _OTHER_TYPE),
        gross_minor=amount_minor if direction == Direction.CREDIT else -amount_minor,
        fee_minor=-fee_minor if rule == "dispute_hold_released" else fee_minor,
        currency=currency,
        source=source,
        category=_CATEGORIES.get(rule, ""),
    )
