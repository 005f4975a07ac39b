"""Payments that changed lately, compared with the books: the fast part of `verify_ledger`.

Bounded by time and number, so it may run every minute at any size. What may not live here: repairs,
and the rules of the comparison (services.verification has them).
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from ledger.statements import execute, table_of
from payments.models import Event, PaymentIntent
from payments.services.verification import differences_of, one_snapshot

logger = logging.getLogger(__name__)

RECENT: Final = timedelta(minutes=10)
PAYMENTS_MOST: Final = 2_000
EVENTS_MOST: Final = 10_000


def check_recent_payments() -> int:
    """Compare the payments of the newest events with the books; how many differences there are.

    Looks at no more than the last 10,000 events and 2,000 payments; each difference is logged as an
    alert. Reads only.
    """
    with one_snapshot():
        intents = list(PaymentIntent.objects.filter(pk__in=_recently_changed()))
        found = list(differences_of(intents))
    for difference in found:
        logger.error("alert: the books and a payment differ: %s", difference)
    return len(found)


def _recently_changed() -> list[UUID]:
    """By the events of the last minutes, newest first: their ids sort by time (UUIDv7)."""
    rows = execute(
        f"SELECT DISTINCT aggregateid FROM (SELECT aggregateid, created_at FROM {table_of(Event)} "
        "ORDER BY id DESC LIMIT %s) newest WHERE created_at > now() - %s LIMIT %s",
        [EVENTS_MOST, RECENT, PAYMENTS_MOST],
    )
    return [row[0] for row in rows]
