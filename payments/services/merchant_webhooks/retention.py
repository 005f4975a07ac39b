"""Purges old deliveries and the log of their attempts. Events are never purged."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.clock import now_utc
from payments.models import Delivery, DeliveryAttempt

DELIVERIES_PER_STATEMENT: Final = 1_000
SWEEP_SECONDS: Final = 5.0


def purge_old_deliveries() -> int:
    """Delete deliveries that ended WEBHOOK_DELIVERIES_KEPT_DAYS ago, with their attempts.

    Returns how many. Pending deliveries are kept, however old. One call works for some seconds; the
    next call deletes the rest.
    """
    end = time.monotonic() + SWEEP_SECONDS
    before = now_utc() - timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
    purged = 0
    while time.monotonic() < end:
        with transaction.atomic(durable=True):
            rows = execute(
                f"WITH old AS (DELETE FROM {table_of(Delivery)} WHERE id IN ("
                f"SELECT id FROM {table_of(Delivery)} WHERE ended_at < %s "
                "ORDER BY ended_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id), "
                f"attempts AS (DELETE FROM {table_of(DeliveryAttempt)} "
                "WHERE delivery_id IN (SELECT id FROM old)) SELECT id FROM old",
                [before, DELIVERIES_PER_STATEMENT],
            )
        purged += len(rows)
        if len(rows) < DELIVERIES_PER_STATEMENT:
            break
    return purged
