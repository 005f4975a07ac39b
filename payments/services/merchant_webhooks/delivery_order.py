"""Lines: first deliveries of one aggregate to one endpoint go one after the other.

Whoever adds to a line or moves it on holds the aggregate's advisory lock, so that nobody appends
behind a head that has just left. What may not live here: sending.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.models import Delivery

Line = tuple[UUID, UUID]
"""Aggregate and endpoint."""

_HALF: Final = 1 << 63
_MASK: Final = (1 << 64) - 1


def lock_lines_of(aggregates: Iterable[UUID]) -> None:
    """Lock these aggregates' lines until the transaction ends, always in the same order.

    The statement is one of its own: only statements after it see what the one before us wrote.
    """
    keys = sorted({_key_of(each) for each in aggregates})
    execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", [keys])


def lines_with_waiting(aggregates: Collection[UUID]) -> set[Line]:
    """The lines of these aggregates in which somebody waits; they must be locked."""
    rows = execute(
        f"SELECT DISTINCT aggregateid, endpoint_id FROM {table_of(Delivery)} "
        "WHERE aggregateid = ANY(%s) AND status = 'pending' AND in_line",
        [list(aggregates)],
    )
    return {(row[0], row[1]) for row in rows}


def first_waiting(aggregates: Collection[UUID], endpoint_id: UUID) -> dict[UUID, int]:
    """By aggregate: the number of the first event that waits in this endpoint's line.

    The lines must be locked.
    """
    rows = execute(
        f"SELECT aggregateid, min(seq) FROM {table_of(Delivery)} WHERE aggregateid = ANY(%s) "
        "AND endpoint_id = %s AND status = 'pending' AND in_line GROUP BY aggregateid",
        [list(aggregates), endpoint_id],
    )
    return {row[0]: row[1] for row in rows}


def move_on(lines: Collection[Line]) -> None:
    """Let the first who still waits in each of these lines be tried now; they must be locked."""
    if not lines:
        return
    delivery = table_of(Delivery)
    aggregates, endpoints = zip(*lines, strict=True)
    execute(
        f"UPDATE {delivery} SET next_try_at = now() WHERE next_try_at IS NULL AND id = ANY (ARRAY("
        "SELECT head.id FROM unnest(%s::uuid[], %s::uuid[]) AS line(aggregateid, endpoint_id) "
        f"CROSS JOIN LATERAL (SELECT d.id FROM {delivery} d "
        "WHERE d.aggregateid = line.aggregateid AND d.endpoint_id = line.endpoint_id "
        "AND d.status = 'pending' AND d.in_line ORDER BY d.seq LIMIT 1) AS head))",
        [list(aggregates), list(endpoints)],
    )


def move_on_forgotten() -> int:
    """Lines whose head has no time to be tried, which nobody leaves behind: moved on, and counted.

    A net under the locks; what it finds is a bug, and no merchant must wait for that to be found.
    """
    delivery = table_of(Delivery)
    rows = execute(
        f"SELECT DISTINCT d.aggregateid, d.endpoint_id FROM {delivery} d "
        "WHERE d.status = 'pending' AND d.in_line AND d.next_try_at IS NULL "
        f"AND NOT EXISTS (SELECT FROM {delivery} p WHERE p.aggregateid = d.aggregateid "
        "AND p.endpoint_id = d.endpoint_id AND p.status = 'pending' AND p.in_line "
        "AND p.seq < d.seq) LIMIT 1000"
    )
    lines = {(row[0], row[1]) for row in rows}
    if lines:
        with transaction.atomic(durable=True):
            lock_lines_of(aggregate for aggregate, _ in lines)
            move_on(lines)
    return len(lines)


def _key_of(aggregate: UUID) -> int:
    """64 bits of the id as PostgreSQL's signed integer; two that share one merely wait."""
    number = aggregate.int & _MASK
    return number - (1 << 64) if number >= _HALF else number
