"""The balance and its transactions: the merchant's side of the books, as the merchant sees it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from ledger.money import Money
from payments import public_ids
from payments.objects.parts import public_id, unix_seconds_of
from payments.selectors.balance import DISPUTE_CATEGORIES, Balance, BalanceTransaction


def balance_transaction_object(row: BalanceTransaction) -> dict[str, Any]:
    """A balance transaction; `available_on` is the midnight (UTC) that begins its day."""
    currency = row.currency.lower()
    of_dispute = row.reporting_category in DISPUTE_CATEGORIES
    fees = [
        {
            "amount": row.fee_minor,
            "application": None,
            "currency": currency,
            "description": "Dispute fee" if of_dispute else "Platform fee",
            "type": "stripe_fee" if of_dispute else "application_fee",
        }
    ]
    return {
        "id": public_id(public_ids.BALANCE_TRANSACTION, row.id),
        "object": "balance_transaction",
        "amount": row.gross_minor,
        "available_on": int(datetime.combine(row.available_on, time(), UTC).timestamp()),
        "balance_type": "payments",
        "created": unix_seconds_of(row.id),
        "currency": currency,
        "description": None,
        "exchange_rate": None,
        "fee": row.fee_minor,
        "fee_details": fees if row.fee_minor else [],
        "net": row.gross_minor - row.fee_minor,
        "reporting_category": row.reporting_category,
        "source": row.source or None,
        "status": "available" if row.available else "pending",
        "type": row.type,
    }


def balance_object(balance: Balance, *, livemode: bool) -> dict[str, Any]:
    """What we owe the merchant, per currency."""
    return {
        "object": "balance",
        "available": [_line(money) for money in balance.available],
        "connect_reserved": [],
        "livemode": livemode,
        "pending": [_line(money) for money in balance.pending],
    }


def _line(money: Money) -> dict[str, Any]:
    return {
        "amount": money.minor,
        "currency": money.currency.lower(),
        "source_types": {"card": money.minor},
    }
