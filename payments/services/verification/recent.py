"""Compares payments that changed lately with the books, every few seconds.

A cursor follows the events, so that none is left out. It stops before the oldest transaction that
may still commit an event (`ledger.database.row_ids`).
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from ledger.database.row_ids import complete_before
from ledger.database.statements import execute, table_of
from payments import public_ids
from payments.clock import now_utc
from payments.models import Event, PaymentIntent
from payments.services.verification.findings import Finding, report
from payments.services.verification.progress import RECENT, advance, progress
from payments.services.verification.rebuild import differences_by_payment, one_snapshot

SWEEP_SECONDS: Final = 5.0
BATCH_SECONDS: Final = 10.0
"""PostgreSQL gives up on one batch after so long."""
INITIAL_LOOKBACK: Final = timedelta(minutes=10)
EVENTS_PER_BATCH: Final = 1_000


class _RecentEvent(NamedTuple):
    """The columns of an event that are needed here."""

    id: UUID
    aggregate_id: UUID


def check_recent_payments() -> int:
    """Compare the payments that changed since the last run; how many differences there are.

    Each is logged as an alert and opens a case; nothing is repaired. Bounded in time, but for one
    batch at least: what is left then, the next run does. Safe to run several at once.
    """
    end = time.monotonic() + SWEEP_SECONDS
    begin = public_ids.first_id_of_second(int((now_utc() - INITIAL_LOOKBACK).timestamp()))
    row = progress(RECENT, from_position=begin)
    found = 0
    while True:
        events = _complete_after(row.position)
        if not events:
            break
        changed = {each.aggregate_id for each in events}
        differences = report(_differences_of(changed))
        found += differences
        moved = advance(
            row,
            position=events[-1].id,
            compared=row.compared + len(changed),
            differences=row.differences + differences,
        )
        if not moved or len(events) < EVENTS_PER_BATCH or time.monotonic() >= end:
            break
    return found


def _complete_after(position: UUID) -> list[_RecentEvent]:
    """The next events below which none can appear any more, oldest first."""
    end = complete_before()
    rows = execute(
        f"SELECT id, aggregateid FROM {table_of(Event)} WHERE id > %s AND id < %s "
        "ORDER BY id LIMIT %s",
        [position, end, EVENTS_PER_BATCH],
    )
    return [_RecentEvent(*row) for row in rows]


def _differences_of(changed: set[UUID]) -> list[Finding]:
    """Events of customers and the like name no payment, and are passed over."""
    with one_snapshot(seconds_most=BATCH_SECONDS):
        intents = {each.id: each for each in PaymentIntent.objects.filter(pk__in=changed)}
        found = list(differences_by_payment(list(intents.values())))
    return [
        Finding(intents[intent_id].public_id, sentence, intents[intent_id])
        for intent_id, sentence in found
    ]
