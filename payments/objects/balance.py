"""The balance and its transactions: the merchant's side of the books, as the merchant sees it.

What may not live here: summing (selectors read the ledger).
"""

from __future__ import annotations

from typing import Any

from ledger.money import Money
from payments import public_ids
from payments.objects.parts import public_id, unix_seconds_of
from payments.selectors.balance import BalanceTransaction


def balance_transaction_object(row: BalanceTransaction) -> dict[str, Any]:
    """A balance transaction. `pending`: the provider has not reported its settlement."""
    currency = row.currency.lower()
    created = unix_seconds_of(row.id)
    fees = [
        {
            "amount": row.fee_minor,
            "application": None,
            "currency": currency,
            "description": "Dispute fee" if row.category else "Platform fee",
            "type": "stripe_fee" if row.category else "application_fee",
        }
    ]
    return {
        "id": public_id(public_ids.BALANCE_TRANSACTION, row.id),
        "object": "balance_transaction",
        "amount": row.gross_minor,
        "available_on": created,
        "balance_type": "payments",
        "created": created,
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": row.fee_minor,
        "fee_details": fees if row.fee_minor else [],
        "net": row.gross_minor - row.fee_minor,
        "reporting_category": row.category or row.type,
        "source": row.source or None,
        "status": "pending",
        "type": row.type,
    }


def balance_object(owed: list[Money], *, livemode: bool) -> dict[str, Any]:
    """What we owe the merchant, per currency.

    All of it is `pending`: money becomes `available` when a provider's settlement report says so.
    """
    pending = [
        {
            "amount": money.minor,
            "currency": money.currency.lower(),
            "source_types": {"card": money.minor},
        }
        for money in owed
    ]
    return {
        "object": "balance",
        "available": [{**line, "amount": 0, "source_types": {"card": 0}} for line in pending],
        "connect_reserved": [],
        "livemode": livemode,
        "pending": pending,
    }
