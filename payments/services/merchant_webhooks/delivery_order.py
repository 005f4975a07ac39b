"""Keeps first deliveries in order: one at a time per ordering key, the pair (aggregate, endpoint).

Only the first pending delivery of an ordering key has a due time. Adding to a key or releasing its
next delivery requires the aggregate's advisory lock; else a delivery could be added behind one that
has just been delivered, and never be released.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.models import Delivery, WebhookEndpoint
from payments.services.merchant_webhooks.leasing import lease_seconds

OrderingKey = tuple[UUID, UUID]
"""Aggregate (a payment, for most events) and endpoint."""

_HALF: Final = 1 << 63
_MASK: Final = (1 << 64) - 1


def lock_ordering_keys_of(aggregates: Iterable[UUID]) -> None:
    """Lock the ordering keys of these aggregates until the transaction ends.

    Locks are taken in one order, so that two callers cannot deadlock. This is a statement of its
    own: only later statements see what the previous holder wrote.
    """
    locks = sorted({_lock_of(each) for each in aggregates})
    execute("SELECT pg_advisory_xact_lock(k) FROM unnest(%s::bigint[]) AS k", [locks])


def keys_with_pending(aggregates: Collection[UUID]) -> set[OrderingKey]:
    """The ordering keys of these aggregates with pending deliveries; they must be locked."""
    rows = execute(
        f"SELECT DISTINCT aggregateid, endpoint_id FROM {table_of(Delivery)} "
        "WHERE aggregateid = ANY(%s) AND status = 'pending' AND is_ordered",
        [list(aggregates)],
    )
    return {(row[0], row[1]) for row in rows}


def first_pending_seq(aggregates: Collection[UUID], endpoint_id: UUID) -> dict[UUID, int]:
    """By aggregate: the sequence number of the first event that is pending at this endpoint.

    The ordering keys must be locked.
    """
    rows = execute(
        f"SELECT aggregateid, min(seq) FROM {table_of(Delivery)} WHERE aggregateid = ANY(%s) "
        "AND endpoint_id = %s AND status = 'pending' AND is_ordered GROUP BY aggregateid",
        [list(aggregates), endpoint_id],
    )
    return {row[0]: row[1] for row in rows}


def release_next(keys: Collection[OrderingKey]) -> None:
    """Make the next pending delivery of each ordering key due now; the keys must be locked."""
    if not keys:
        return
    delivery = table_of(Delivery)
    aggregates, endpoints = zip(*keys, strict=True)
    execute(
        f"UPDATE {delivery} SET next_attempt_at = now() "
        "WHERE next_attempt_at IS NULL AND id = ANY (ARRAY("
        "SELECT head.id FROM unnest(%s::uuid[], %s::uuid[]) AS given(aggregateid, endpoint_id) "
        f"CROSS JOIN LATERAL (SELECT d.id FROM {delivery} d "
        "WHERE d.aggregateid = given.aggregateid AND d.endpoint_id = given.endpoint_id "
        "AND d.status = 'pending' AND d.is_ordered ORDER BY d.seq LIMIT 1) AS head))",
        [list(aggregates), list(endpoints)],
    )


def release_stalled() -> int:
    """Release ordering keys whose first pending delivery has no due time; returns how many.

    A safety net: there are none unless our code has a bug, and no merchant must wait for its fix.
    """
    delivery = table_of(Delivery)
    rows = execute(
        f"SELECT DISTINCT d.aggregateid, d.endpoint_id FROM {delivery} d "
        "WHERE d.status = 'pending' AND d.is_ordered AND d.next_attempt_at IS NULL "
        f"AND NOT EXISTS (SELECT FROM {delivery} p WHERE p.aggregateid = d.aggregateid "
        "AND p.endpoint_id = d.endpoint_id AND p.status = 'pending' AND p.is_ordered "
        "AND p.seq < d.seq) LIMIT 1000"
    )
    keys = {(row[0], row[1]) for row in rows}
    if keys:
        with transaction.atomic(durable=True):
            lock_ordering_keys_of(aggregate for aggregate, _ in keys)
            release_next(keys)
    return len(keys)


def release_unordered() -> int:
    """Release what is still held back for endpoints that now take events unordered.

    Returns how many deliveries, at most 1,000. What waits for one under lease may be sent with it
    just now, and is left for a later run.
    """
    delivery, endpoint = table_of(Delivery), table_of(WebhookEndpoint)
    chosen = execute(
        f"SELECT d.id, d.aggregateid FROM {delivery} d JOIN {endpoint} e ON e.id = d.endpoint_id "
        "WHERE e.delivery_order = 'unordered' AND d.status = 'pending' AND d.is_ordered "
        f"AND d.next_attempt_at IS NULL AND NOT EXISTS (SELECT FROM {delivery} p "
        "WHERE p.aggregateid = d.aggregateid AND p.endpoint_id = d.endpoint_id "
        "AND p.status = 'pending' AND p.is_ordered AND p.next_attempt_at > now() "
        "AND p.next_attempt_at <= now() + make_interval(secs => %s)) LIMIT 1000",
        [lease_seconds()],
    )
    if not chosen:
        return 0
    with transaction.atomic(durable=True):
        lock_ordering_keys_of(aggregate for _, aggregate in chosen)
        released = execute(
            f"UPDATE {delivery} SET is_ordered = false, next_attempt_at = now() "
            "WHERE id = ANY(%s) AND status = 'pending' AND next_attempt_at IS NULL RETURNING id",
            [[row[0] for row in chosen]],
        )
    return len(released)


def _lock_of(aggregate: UUID) -> int:
    """64 bits of the id as a signed integer; two aggregates with the same bits share a lock."""
    number = aggregate.int & _MASK
    return number - (1 << 64) if number >= _HALF else number
