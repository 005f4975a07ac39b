"""How long things are kept. Bounded, safe to run again.

What may not live here: deleting anything that belongs to the books, events or payments.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.clock import now_utc
from payments.models import IdempotencyKey, Operation
from payments.states import OPERATION_OPEN

KEYS_PER_STATEMENT: Final = 1_000
SWEEP_SECONDS: Final = 5.0


def purge_old_idempotency_keys() -> int:
    """Delete keys older than the setting, except those whose operation is still open.

    PostgreSQL refuses to delete a key with an open operation too. Returns how many were deleted;
    what some seconds were not enough for, the next call deletes.
    """
    end = time.monotonic() + SWEEP_SECONDS
    before = now_utc() - timedelta(days=settings.IDEMPOTENCY_KEYS_KEPT_DAYS)
    deleted = 0
    while time.monotonic() < end:
        with transaction.atomic(durable=True):
            rows = execute(
                f"DELETE FROM {table_of(IdempotencyKey)} WHERE id IN ("
                f"SELECT k.id FROM {table_of(IdempotencyKey)} k WHERE k.created_at < %s "
                f"AND NOT EXISTS (SELECT 1 FROM {table_of(Operation)} o "
                "WHERE o.id = k.operation_id AND o.status = ANY(%s)) "
                "ORDER BY k.created_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING id",
                [before, sorted(OPERATION_OPEN), KEYS_PER_STATEMENT],
            )
        deleted += len(rows)
        if len(rows) < KEYS_PER_STATEMENT:
            break
    return deleted
