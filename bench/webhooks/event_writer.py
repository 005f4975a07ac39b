"""Writes events of made-up payments at a steady rate, straight into the outbox.

The events of one payment are interleaved with those of others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

EVENTS_PER_PAYMENT = 5
_APART_SECONDS = 0.15
"""Between two events of one payment: the next comes while the last is still being delivered."""
_TICK_SECONDS = 0.02
_INSERT = """
    INSERT INTO payments_event (id, merchant_id, livemode, aggregatetype, aggregateid, seq, type,
        payload, api_version, actor, request_id, idempotency_key, created_at)
    VALUES (%s, %s, false, 'payment_intent', %s, %s, 'payment_intent.processing', %s, '', 'bench',
        'req_bench', '', now())"""


@dataclass(frozen=True, order=True)
class Due:
    """One event to write."""

    at_seconds: float
    aggregate: UUID
    seq: int


def plan(*, events: int, events_per_second: float) -> list[Due]:
    """Whole payments, evenly spread, with about this many events in all."""
    payments = max(1, events // EVENTS_PER_PAYMENT)
    apart = EVENTS_PER_PAYMENT / events_per_second
    return sorted(
        Due(number * apart + (seq - 1) * _APART_SECONDS, aggregate, seq)
        for number, aggregate in enumerate(uuid7() for _ in range(payments))
        for seq in range(1, EVENTS_PER_PAYMENT + 1)
    )


def write_events(
    planned: list[Due],
    *,
    database_url: str,
    merchant_id: str,
    meanwhile: Callable[[float], None],
) -> None:
    """Write each event when due; `meanwhile` is called at every tick with the seconds so far."""
    began = time.monotonic()
    left = list(reversed(planned))
    with psycopg.connect(database_url) as connection:
        while left:
            now = time.monotonic() - began
            rows = list(_due(left, now, merchant_id))
            if rows:
                connection.cursor().executemany(_INSERT, rows)
                connection.commit()
            meanwhile(now)
            time.sleep(_TICK_SECONDS)


def _due(left: list[Due], now: float, merchant_id: str) -> Iterator[tuple[Any, ...]]:
    while left and left[-1].at_seconds <= now:
        due = left.pop()
        yield uuid7(), merchant_id, due.aggregate, due.seq, Jsonb(_payload(due.aggregate))


def _payload(aggregate: UUID) -> dict[str, Any]:
    """As large as a payment intent's."""
    return {
        "object": {
            "id": str(aggregate),
            "object": "payment_intent",
            **{f"field_{number:02d}": "x" * 24 for number in range(40)},
        }
    }
