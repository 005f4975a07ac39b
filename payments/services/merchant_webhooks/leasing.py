"""Leases: which deliveries are tried next, so many of each endpoint and by one relay at a time.

A lease is the delivery's own `next_try_at`, put off until nobody can still be sending: whoever is
killed leaves a delivery that is due again. What may not live here: sending, how tries end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.models import Delivery, WebhookEndpoint

_MARGIN_SECONDS: Final = 5
"""From the end of a try to where it is written down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased:
    """A delivery that is ours to try, once."""

    id: UUID
    event_id: UUID
    endpoint: WebhookEndpoint
    aggregateid: UUID
    seq: int
    in_line: bool
    is_replay: bool
    attempts: int
    """With this one; it also proves that nobody leased the delivery after us."""
    tries: int
    created_at: datetime
    envelope: bytes


def lease_seconds() -> int:
    """How long one try may take until another relay may make it."""
    return int(settings.WEBHOOK_TIMEOUT_SECONDS) + _MARGIN_SECONDS


def endpoints_with_work() -> dict[UUID, bool]:
    """Endpoints with something to be tried, and whether something is due now.

    A loose scan of the index: as long as there are such endpoints, however many deliveries wait.
    """
    delivery = table_of(Delivery)
    rows = execute(
        "WITH RECURSIVE waiting AS ("
        f"(SELECT endpoint_id FROM {delivery} WHERE next_try_at IS NOT NULL "
        "ORDER BY endpoint_id LIMIT 1) UNION ALL "
        f"SELECT (SELECT d.endpoint_id FROM {delivery} d WHERE d.next_try_at IS NOT NULL "
        "AND d.endpoint_id > w.endpoint_id ORDER BY d.endpoint_id LIMIT 1) "
        "FROM waiting w WHERE w.endpoint_id IS NOT NULL) "
        f"SELECT w.endpoint_id, EXISTS (SELECT FROM {delivery} d "
        "WHERE d.endpoint_id = w.endpoint_id AND d.next_try_at <= now()) "
        "FROM waiting w WHERE w.endpoint_id IS NOT NULL"
    )
    return dict(rows)


def lease(wishes: Mapping[UUID, int], endpoints: Mapping[UUID, WebhookEndpoint]) -> list[Leased]:
    """Of each of these endpoints at most so many deliveries, those due longest first.

    What another relay has leased, or is leasing, is left alone.
    """
    if not wishes:
        return []
    delivery = table_of(Delivery)
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {delivery} SET attempts = attempts + 1, tries = tries + 1, "
            "next_try_at = now() + make_interval(secs => %s) WHERE id = ANY (ARRAY("
            "SELECT ranked.id FROM (SELECT due.id, wish.most, row_number() OVER ("
            "PARTITION BY wish.endpoint_id ORDER BY due.next_try_at) AS rank "
            "FROM unnest(%s::uuid[], %s::int[]) AS wish(endpoint_id, most) CROSS JOIN LATERAL ("
            f"SELECT d.id, d.next_try_at FROM {delivery} d "
            "WHERE d.endpoint_id = wish.endpoint_id AND d.next_try_at <= now() "
            "ORDER BY d.next_try_at LIMIT %s FOR UPDATE SKIP LOCKED) AS due"
            ") AS ranked WHERE ranked.rank <= ranked.most)) "
            "RETURNING id, event_id, endpoint_id, aggregateid, seq, in_line, is_replay, attempts, "
            "tries, created_at, envelope",
            [lease_seconds(), list(wishes), list(wishes.values()), max(wishes.values())],
        )
    return [
        Leased(
            id=row[0],
            event_id=row[1],
            endpoint=endpoints[row[2]],
            aggregateid=row[3],
            seq=row[4],
            in_line=row[5],
            is_replay=row[6],
            attempts=row[7],
            tries=row[8],
            created_at=row[9],
            envelope=bytes(row[10]),
        )
        for row in rows
    ]
