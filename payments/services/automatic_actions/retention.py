"""Deletes what was kept long enough: idempotency keys, and deliveries with their attempts.

Nothing that belongs to the books, events or payments is ever deleted.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction

from ledger.database.statements import execute, table_of
from payments import public_ids
from payments.clock import now_utc
from payments.models import Delivery, DeliveryAttempt, IdempotencyKey, Operation
from payments.services.automatic_actions import months
from payments.states import OPERATION_OPEN

SWEEP_SECONDS: Final = 5.0
ROWS_PER_STATEMENT: Final = 1_000


def purge_old_idempotency_keys(*, now: datetime | None = None) -> int:
    """Delete keys that are older than the setting, except those whose operation is still open.

    A key's age is the time in its id, which its primary key finds: no index of times is kept up.
    PostgreSQL refuses to delete a key with an open operation too. Returns how many were deleted;
    what some seconds were not enough for, the next call deletes.
    """
    kept_since = (now or now_utc()) - timedelta(days=settings.IDEMPOTENCY_KEYS_KEPT_DAYS)
    return _purge(
        f"DELETE FROM {table_of(IdempotencyKey)} WHERE id IN ("
        f"SELECT k.id FROM {table_of(IdempotencyKey)} k WHERE k.id < %s "
        f"AND NOT EXISTS (SELECT 1 FROM {table_of(Operation)} o "
        "WHERE o.id = k.operation_id AND o.status = ANY(%s)) "
        "ORDER BY k.id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
        public_ids.first_id_of_second(int(kept_since.timestamp())),
        sorted(OPERATION_OPEN),
    )


def purge_old_deliveries() -> int:
    """Delete deliveries that ended WEBHOOK_DELIVERIES_KEPT_DAYS ago, with their attempts.

    Returns how many. Pending deliveries are kept, however old. One call works for some seconds; the
    next call deletes the rest. Found by id, which begins with the time: none ends before it began.
    Where deliveries are partitioned by month, it drops the months that ended so long ago.
    """
    kept = timedelta(days=settings.WEBHOOK_DELIVERIES_KEPT_DAYS)
    if months.is_partitioned(Delivery):
        return months.drop_months_of_deliveries(kept)
    before = now_utc() - kept
    return _purge(
        f"WITH old AS (DELETE FROM {table_of(Delivery)} WHERE id IN ("
        f"SELECT id FROM {table_of(Delivery)} WHERE id < %s AND ended_at < %s "
        "ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id), "
        f"attempts AS (DELETE FROM {table_of(DeliveryAttempt)} "
        "WHERE delivery_id IN (SELECT id FROM old)) SELECT id FROM old",
        public_ids.first_id_of_second(int(before.timestamp()) + 1),
        before,
    )


def _purge(statement: str, *parameters: Any) -> int:
    """Run a statement that deletes a limited number of rows until it finds no more, or time is up.

    Its last parameter is that number.
    """
    end = time.monotonic() + SWEEP_SECONDS
    deleted = 0
    while time.monotonic() < end:
        with transaction.atomic(durable=True):
            rows = execute(statement, [*parameters, ROWS_PER_STATEMENT])
        deleted += len(rows)
        if len(rows) < ROWS_PER_STATEMENT:
            break
    return deleted
