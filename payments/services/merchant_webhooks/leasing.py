"""Leases due deliveries to a relay, a bounded number per endpoint.

Webhook deliveries are a queue of their own kind, not a `jobs.due_queue`: they are fair per endpoint
(permits are shared, so a backlog of one endpoint cannot delay others) and ordered per payment and
endpoint (`delivery_order` withholds the due time of all but the first).

A lease moves `next_attempt_at` to its end. The delivery of a relay that was killed is then due
again. The lease of an ordered delivery covers those that wait behind it: only the end of the first
makes another one due. So they are sent after it without a lease of their own, as long as each is
accepted, and each row is written once.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.models import Delivery, Event, WebhookEndpoint
from payments.objects.event import rendered_event

FOLLOWING_SECONDS: Final = 1
"""From a lease until no attempt of a following delivery may begin under it."""
FOLLOWING_MAX: Final = 4
"""Deliveries that one lease covers beside its own; most payments have three events."""
_MARGIN_SECONDS: Final = 5
"""From the end of the last attempt until its result is recorded."""
_COLUMNS: Final = (
    "id, event_id, endpoint_id, aggregateid, seq, is_ordered, is_replay, attempts, "
    "attempts_since_requeue, pending_webhooks"
)


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
    body: bytes
    leased_at_seconds: float
    """A monotonic time before the lease began."""
    follows: bool = False
    """Under the lease of an earlier one: its row does not count this attempt yet."""
    following: tuple[Leased, ...] = ()
    """Those that wait for this one, in their order: sent after it while its lease lasts."""

    @property
    def may_go_on(self) -> bool:
        """Whether there is time for an attempt of a following delivery."""
        return time.monotonic() < self.leased_at_seconds + FOLLOWING_SECONDS


def lease_seconds() -> int:
    """How long the attempts under a lease may take until another relay may repeat them."""
    return int(settings.WEBHOOK_TIMEOUT_SECONDS) + FOLLOWING_SECONDS + _MARGIN_SECONDS


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

    Each comes with those that wait for it. Skips what another relay has leased or is leasing.
    """
    if not limits:
        return []
    delivery, leased_at_seconds = table_of(Delivery), time.monotonic()
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
            f") AS ranked WHERE ranked.rank <= ranked.most)) RETURNING {_COLUMNS}) "
            f"SELECT leased.*, {columns_of(Event, 'e')} "
            f"FROM leased JOIN {table_of(Event)} e ON e.id = leased.event_id",
            [lease_seconds(), list(limits), list(limits.values()), max(limits.values())],
        )
        heads = [_leased(row, endpoints, leased_at_seconds) for row in rows]
        following = _following([each for each in heads if each.is_ordered], endpoints)
    return [replace(each, following=tuple(following.get(each.id, ()))) for each in heads]


def _following(
    heads: Sequence[Leased], endpoints: Mapping[UUID, WebhookEndpoint]
) -> dict[UUID, list[Leased]]:
    """By leased delivery: those that wait for it and for no other one, in their order.

    They stay as they are until the lease ends or its result is recorded. None may follow a delivery
    that is not the first of its ordering key, as after a replay of an earlier event.
    """
    found: dict[UUID, list[Leased]] = defaultdict(list)
    if not heads:
        return found
    delivery, columns = table_of(Delivery), _COLUMNS.replace(", ", ", d.")
    same_key = (
        "{0}.aggregateid = head.aggregateid AND {0}.endpoint_id = head.endpoint_id "
        "AND {0}.status = 'pending' AND {0}.is_ordered"
    )
    rows = execute(
        f"SELECT head.id, d.next_attempt_at IS NULL, d.{columns}, {columns_of(Event, 'e')} "
        "FROM unnest(%s::uuid[]) AS given(id) "
        f"JOIN {delivery} head ON head.id = given.id CROSS JOIN LATERAL ("
        f"SELECT * FROM {delivery} d WHERE {same_key.format('d')} AND d.seq > head.seq "
        f"ORDER BY d.seq LIMIT {FOLLOWING_MAX}) AS d "
        f"JOIN {table_of(Event)} e ON e.id = d.event_id "
        f"WHERE NOT EXISTS (SELECT FROM {delivery} p WHERE {same_key.format('p')} "
        "AND p.seq < head.seq) ORDER BY head.id, d.seq",
        [[each.id for each in heads]],
    )
    of_id, interrupted = {each.id: each for each in heads}, set[UUID]()
    for head_id, waits, *row in rows:
        if not waits:
            interrupted.add(head_id)
        elif head_id not in interrupted:
            each = _leased(row, endpoints, of_id[head_id].leased_at_seconds)
            found[head_id].append(follower(each))
    return found


def follower(waiting: Leased) -> Leased:
    """A delivery as it is attempted under the lease of an earlier one, from its row's counts."""
    return replace(
        waiting,
        attempts=waiting.attempts + 1,
        attempts_since_requeue=waiting.attempts_since_requeue + 1,
        follows=True,
    )


def _leased(
    row: Sequence[Any], endpoints: Mapping[UUID, WebhookEndpoint], leased_at_seconds: float
) -> Leased:
    """From a row of _COLUMNS and those of its event."""
    return Leased(
        id=row[0],
        event_id=row[1],
        endpoint=endpoints[row[2]],
        aggregateid=row[3],
        seq=row[4],
        is_ordered=row[5],
        is_replay=row[6],
        attempts=row[7],
        attempts_since_requeue=row[8],
        body=rendered_event(
            instance_of(Event, row[10:]),
            api_version=endpoints[row[2]].api_version,
            pending_webhooks=row[9],
        ),
        leased_at_seconds=leased_at_seconds,
    )
