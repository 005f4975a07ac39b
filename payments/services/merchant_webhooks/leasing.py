"""Leases due deliveries to a relay, a bounded number per endpoint.

Webhook deliveries are a queue of their own kind, not a `jobs.due_queue`: they are fair per endpoint
(permits are shared, so a backlog of one endpoint cannot delay others) and ordered per payment and
endpoint (`delivery_order` withholds the due time of all but the first).

A lease moves `next_attempt_at` to its end. The delivery of a relay that was killed is then due
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.models import Delivery, Event, WebhookEndpoint
from payments.objects.event import rendered_event

_MARGIN_SECONDS: Final = 5
"""From the end of an attempt until its result is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A delivery under our lease, for one attempt."""

    id: UUID
    event_id: UUID
    endpoint: WebhookEndpoint
    aggregateid: UUID
    seq: int
    is_ordered: bool
    is_replay: bool
    attempts: int
    """Leases so far, this one included. Results are fenced by it: a later lease has another."""
    attempts_since_requeue: int
    """Attempts since delivery was last (re)started; decides the next delay and when to give up."""
    created_at: datetime
    body: bytes


def lease_seconds() -> int:
    """How long an attempt may take until another relay may repeat it."""
    return int(settings.WEBHOOK_TIMEOUT_SECONDS) + _MARGIN_SECONDS


def endpoints_with_work() -> dict[UUID, bool]:
    """Endpoints with deliveries that have a due time, and whether one of them is due now.

    A loose index scan: its cost grows with these endpoints, not with their deliveries.
    """
    delivery = table_of(Delivery)
    rows = execute(
        "WITH RECURSIVE waiting AS ("
        f"(SELECT endpoint_id FROM {delivery} WHERE next_attempt_at IS NOT NULL "
        "ORDER BY endpoint_id LIMIT 1) UNION ALL "
        f"SELECT (SELECT d.endpoint_id FROM {delivery} d WHERE d.next_attempt_at IS NOT NULL "
        "AND d.endpoint_id > w.endpoint_id ORDER BY d.endpoint_id LIMIT 1) "
        "FROM waiting w WHERE w.endpoint_id IS NOT NULL) "
        f"SELECT w.endpoint_id, EXISTS (SELECT FROM {delivery} d "
        "WHERE d.endpoint_id = w.endpoint_id AND d.next_attempt_at <= now()) "
        "FROM waiting w WHERE w.endpoint_id IS NOT NULL"
    )
    return dict(rows)


def lease(limits: Mapping[UUID, int], endpoints: Mapping[UUID, WebhookEndpoint]) -> list[Leased]:
    """Lease at most `limits` due deliveries of each endpoint, longest due first.

    Skips what another relay has leased or is leasing.
    """
    if not limits:
        return []
    delivery = table_of(Delivery)
    with transaction.atomic(durable=True):
        rows = execute(
            f"WITH leased AS (UPDATE {delivery} SET attempts = attempts + 1, "
            "attempts_since_requeue = attempts_since_requeue + 1, "
            "next_attempt_at = now() + make_interval(secs => %s) WHERE id = ANY (ARRAY("
            "SELECT ranked.id FROM (SELECT due.id, given.most, row_number() OVER ("
            "PARTITION BY given.endpoint_id ORDER BY due.next_attempt_at) AS rank "
            "FROM unnest(%s::uuid[], %s::int[]) AS given(endpoint_id, most) CROSS JOIN LATERAL ("
            f"SELECT d.id, d.next_attempt_at FROM {delivery} d "
            "WHERE d.endpoint_id = given.endpoint_id AND d.next_attempt_at <= now() "
            "ORDER BY d.next_attempt_at LIMIT %s FOR UPDATE SKIP LOCKED) AS due"
            ") AS ranked WHERE ranked.rank <= ranked.most)) "
            "RETURNING id, event_id, endpoint_id, aggregateid, seq, is_ordered, is_replay, "
            "attempts, attempts_since_requeue, created_at, pending_webhooks) "
            f"SELECT leased.*, {columns_of(Event, 'e')} "
            f"FROM leased JOIN {table_of(Event)} e ON e.id = leased.event_id",
            [lease_seconds(), list(limits), list(limits.values()), max(limits.values())],
        )
    return [
        Leased(
            id=row[0],
            event_id=row[1],
            endpoint=endpoints[row[2]],
            aggregateid=row[3],
            seq=row[4],
            is_ordered=row[5],
            is_replay=row[6],
            attempts=row[7],
            attempts_since_requeue=row[8],
            created_at=row[9],
            body=rendered_event(
                instance_of(Event, row[11:]),
                api_version=endpoints[row[2]].api_version,
                pending_webhooks=row[10],
            ),
        )
        for row in rows
    ]
