"""The balance and its transactions: the merchant's side of the books, as the merchant sees it."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any, Final

from ledger.money import Money
from payments import public_ids
from payments.objects.fields import (
    EXAMPLE_SECOND,
    ObjectType,
    always,
    always_null,
    created,
    currency,
    id_of,
    list_of,
    livemode,
    minor,
    named,
    one_of,
    own_id,
    record,
    second,
    text,
)
from payments.objects.parts import public_id, unix_seconds_of
from payments.selectors.balance import DISPUTE_CATEGORIES, Balance, BalanceTransaction

_FEE_DETAIL: Final = record(
    "One fee.",
    {
        "amount": minor("The fee; negative if it was returned.", 45),
        "application": always_null("application")["application"],
        "currency": currency(),
        "description": text("As people say it.", "Platform fee"),
        "type": one_of(
            "`application_fee`: the platform's. `stripe_fee`: the PSP's, of a dispute.",
            "application_fee",
            "stripe_fee",
        ),
    },
)

BALANCE_TRANSACTION: Final = ObjectType(
    "balance_transaction",
    "One change of what the platform owes the merchant. Nothing changes the balance without one.",
    {
        "id": own_id(public_ids.BALANCE_TRANSACTION),
        "object": named("balance_transaction"),
        "amount": minor("Before fees; negative if it lowers the balance.", 1250),
        "available_on": second("The midnight (UTC) that begins the day.", EXAMPLE_SECOND + 604_800),
        "balance_type": always("There is one balance.", "payments"),
        "created": created("it"),
        "currency": currency(),
        "fee": minor("All fees; `fee_details` has them one by one.", 45),
        "fee_details": list_of("The fees.", _FEE_DETAIL, [_FEE_DETAIL.example]),
        "net": minor("`amount` less `fee`: by so much the balance changes.", 1205),
        "reporting_category": one_of(
            "What it is, more exactly than `type`.",
            *("charge", "charge_failure", "dispute", "dispute_reversal", "other_adjustment"),
            *("refund", "refund_failure"),
        ),
        "source": id_of(
            "balance_source",
            "The charge, refund or dispute behind it; null for what an operator posted.",
            public_ids.CHARGE,
            nullable=True,
        ),
        "status": one_of("Whether the money is available yet.", "pending", "available"),
        "type": one_of(
            "What it is.",
            *("charge", "refund", "refund_failure", "payment_failure_refund", "adjustment"),
        ),
        **always_null("description", "exchange_rate"),
    },
)


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
        **BALANCE_TRANSACTION.constants,
        "amount": row.gross_minor,
        "available_on": int(datetime.combine(row.available_on, time(), UTC).timestamp()),
        "created": unix_seconds_of(row.id),
        "currency": currency,
        "fee": row.fee_minor,
        "fee_details": fees if row.fee_minor else [],
        "net": row.gross_minor - row.fee_minor,
        "reporting_category": row.reporting_category,
        "source": row.source or None,
        "status": "available" if row.available else "pending",
        "type": row.type,
    }


_LINE: Final = record(
    "One currency.",
    {
        "amount": minor("How much; negative if the merchant owes it.", 1205),
        "currency": currency(),
        "source_types": record("By what it came from.", {"card": minor("All of it.", 1205)}),
    },
)

BALANCE: Final = ObjectType(
    "balance",
    "What the platform owes the merchant, by currency.",
    {
        "object": named("balance"),
        "available": list_of("What may be paid out.", _LINE, [_LINE.example]),
        "connect_reserved": always("There are no connected accounts here.", []),
        "livemode": livemode(),
        "pending": list_of("What becomes available on a later day.", _LINE, [_LINE.example]),
    },
)


def balance_object(balance: Balance, *, livemode: bool) -> dict[str, Any]:
    """What we owe the merchant, per currency."""
    return {
        **BALANCE.constants,
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
