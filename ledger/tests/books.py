"""Builds postings for the tests of the ledger."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from ledger import posting_rules as rules
from ledger import services
from ledger.money import Money
from ledger.posting_rules import Parties, Posting

PSP = "sandbox"
MERCHANT = UUID("0197a000-0000-7000-8000-000000000001")
PARTIES = Parties(psp_account=PSP, merchant=str(MERCHANT))

TABLES = ("ledger_account", "ledger_transaction", "ledger_entry", "ledger_balance_snapshot")


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def sale(amount: Money, *, fee: Money | None = None, merchant: UUID = MERCHANT) -> list[Posting]:
    """Everything a captured sale books: four ledger transactions with a fee."""
    parties = replace(PARTIES, merchant=str(merchant))
    postings = [
        rules.authorized(parties, amount),
        rules.capture_memo(parties, amount),
        rules.captured(parties, amount),
    ]
    if fee is not None:
        postings.append(rules.platform_fee(parties, fee))
    return postings


def book(
    *postings: Posting,
    payment_id: UUID | None = None,
    source_id: UUID | None = None,
    merchant: UUID = MERCHANT,
) -> list[UUID]:
    """Post in a transaction of its own, as one operation of a payment."""
    with transaction.atomic():
        return services.post(
            postings,
            source_type="operation",
            source_id=source_id or uuid7(),
            payment_id=payment_id,
            merchant_id=merchant,
            psp_account=PSP,
        )


def settle() -> None:
    """Wait until the horizon has passed all that is booked.

    Transactions of other databases of the same server hold it back too, such as those of tests
    that run at the same time.
    """
    deadline = time.monotonic() + 30
    with connection.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT NOT EXISTS (SELECT FROM ledger_entry"
                " WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"
            )
            if cursor.fetchone() == (True,):
                return
            assert time.monotonic() < deadline, "a transaction stays open on this server"
            time.sleep(0.01)


def settle_and_snapshot(*, tail_entries_min: int = 1) -> int:
    """Take snapshots that cover everything booked so far."""
    settle()
    return services.take_snapshot(tail_entries_min=tail_entries_min)
