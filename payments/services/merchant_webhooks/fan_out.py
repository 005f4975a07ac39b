"""Fans events out: creates one delivery for each endpoint that subscribes to an event's type.

Events of merchants without an enabled endpoint do not come here: PostgreSQL enters none of them in
the outgoing queue (`events_are_dispatched.sql`).

Several may run at once: locking the oldest event of an aggregate claims all of that aggregate's
events, and what another has claimed is skipped. Lock order: dispatch rows, ordering keys.

A relay leases what it fans out in the same INSERT, as far as it has permits: its rows are then
written twice, as they begin and as they end.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments import public_ids
from payments.event_types import DELIVERY_FAILING, matches
from payments.models import Delivery, Dispatch, Event, WebhookEndpoint
from payments.objects.event import rendered_event
from payments.services.merchant_webhooks.delivery_order import (
    OrderingKey,
    keys_with_pending,
    lock_ordering_keys_of,
)
from payments.services.merchant_webhooks.leasing import (
    FOLLOWING_MAX,
    Leased,
    follower,
    lease_seconds,
)
from payments.states import DeliveryOrder, EndpointStatus

AGGREGATES_PER_BATCH: Final = 100
EVENTS_PER_BATCH: Final = 200
_ROWS_PER_STATEMENT: Final = 1_000
"""With fifty endpoints a batch is 10,000 rows, too much for one statement's time limit."""

_CLAIM: Final = """
    WITH heads AS MATERIALIZED (
         SELECT d.aggregateid FROM payments_dispatch d
          WHERE NOT EXISTS (SELECT FROM payments_dispatch p
                             WHERE p.aggregateid = d.aggregateid AND p.seq < d.seq)
          ORDER BY d.event_id LIMIT %s FOR UPDATE SKIP LOCKED),
         claimed AS (
         SELECT event_id FROM payments_dispatch
          WHERE aggregateid IN (SELECT aggregateid FROM heads)
          ORDER BY aggregateid, seq LIMIT %s)
    DELETE FROM payments_dispatch d USING claimed c WHERE d.event_id = c.event_id
    RETURNING d.aggregateid, d.seq, d.event_id"""

EnabledEndpoints = dict[tuple[UUID, bool], list[WebhookEndpoint]]
"""By merchant and mode."""

TakePermit = Callable[[WebhookEndpoint], bool]
"""Whether an attempt to the endpoint may begin at once."""

_INSERT: Final = (
    "INSERT INTO {table} (id, event_id, endpoint_id, merchant_id, livemode, aggregateid, seq, "
    "is_replay, pending_webhooks, created_at, status, is_ordered, next_attempt_at, attempts, "
    "attempts_since_requeue, last_error) "
    "SELECT id, event_id, endpoint_id, merchant_id, livemode, aggregateid, seq, false, "
    "pending_webhooks, now(), 'pending', is_ordered, now() + make_interval(secs => due_seconds), "
    "attempts, attempts, '' "
    "FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bool[], %s::uuid[], "
    "%s::int[], %s::int[], %s::bool[], %s::int[], %s::int[]) AS made(id, event_id, endpoint_id, "
    "merchant_id, livemode, aggregateid, seq, pending_webhooks, is_ordered, due_seconds, attempts)"
)


@dataclass(slots=True)
class _Made:
    """A delivery that is made."""

    id: UUID
    event: Event
    endpoint: WebhookEndpoint
    pending_webhooks: int
    is_ordered: bool
    is_due: bool
    is_leased: bool = False
    following: list[_Made] = field(default_factory=list)


@dataclass(slots=True)
class FannedOut:
    """What one batch made."""

    events: int = 0
    leased: list[Leased] = field(default_factory=list)
    """One for each permit that was taken, in that order."""
    is_work_left: bool = False
    """Whether it made deliveries due for any relay."""


def _without_permit(_: WebhookEndpoint) -> bool:
    return False


def fan_out_due(take_permit: TakePermit = _without_permit) -> FannedOut:
    """Create the deliveries of the oldest events that have none yet.

    One bounded batch in one transaction. Several may run at once, and any may be repeated. The
    deliveries of an aggregate are created in the order of its events. If it took fewer events than
    AGGREGATES_PER_BATCH, none was left that it could lock. What got a permit is leased to the
    caller; the rest is due for any relay.
    """
    if not execute(f"SELECT 1 FROM {table_of(Dispatch)} LIMIT 1"):
        return FannedOut()
    leased_at_seconds = time.monotonic()
    made: list[_Made] = []
    with transaction.atomic(durable=True):
        event_ids = _claim()
        if event_ids:
            made = _create_deliveries(_events(event_ids), take_permit)
    return FannedOut(
        events=len(event_ids),
        leased=[_leased(each, leased_at_seconds) for each in made if each.is_leased],
        is_work_left=any(each.is_due and not each.is_leased for each in made),
    )


def _claim() -> list[UUID]:
    """Delete the next events of some aggregates from the queue, and return them in order.

    Events of an aggregate commit in the order of `seq`, so none is missing between those seen.
    """
    rows = execute(_CLAIM, [AGGREGATES_PER_BATCH, EVENTS_PER_BATCH])
    return [event_id for _, _, event_id in sorted(rows)]


def _events(event_ids: Sequence[UUID]) -> list[Event]:
    rows = execute(
        f"SELECT {columns_of(Event)} FROM {table_of(Event)} WHERE id = ANY(%s)", [list(event_ids)]
    )
    found = {event.id: event for event in (instance_of(Event, row) for row in rows)}
    return [found[event_id] for event_id in event_ids]


def _create_deliveries(events: Sequence[Event], take_permit: TakePermit) -> list[_Made]:
    enabled = _enabled_endpoints(events)
    addressed = [
        (event, endpoints)
        for event in events
        if (
            endpoints := _endpoints_for(event, enabled.get((event.merchant_id, event.livemode), []))
        )
    ]
    if not addressed:
        return []
    aggregates = {event.aggregateid for event, _ in addressed}
    lock_ordering_keys_of(aggregates)
    pending = keys_with_pending(aggregates)
    made = [
        _Made(
            id=public_ids.new_id_of_time(event.id),
            event=event,
            endpoint=endpoint,
            pending_webhooks=len(endpoints),
            is_ordered=endpoint.delivery_order == DeliveryOrder.ORDERED,
            is_due=True,
        )
        for event, endpoints in addressed
        for endpoint in endpoints
    ]
    heads: dict[OrderingKey, _Made | None] = dict.fromkeys(pending)
    for each in made:
        ordering_key = (each.event.aggregateid, each.endpoint.id)
        if each.is_ordered and _waits(ordering_key, heads):
            each.is_due = False
            if head := heads[ordering_key]:
                head.following.append(each)
        else:
            each.is_leased = take_permit(each.endpoint)
            if each.is_ordered:
                heads[ordering_key] = each
    _insert(made)
    return made


def _waits(ordering_key: OrderingKey, heads: Collection[OrderingKey]) -> bool:
    """Whether an earlier delivery of the ordering key is not over."""
    return ordering_key in heads


def _insert(made: Sequence[_Made]) -> None:
    leased_seconds = lease_seconds()
    rows = [
        (
            *(each.id, each.event.id, each.endpoint.id, each.event.merchant_id),
            *(each.event.livemode, each.event.aggregateid, each.event.seq, each.pending_webhooks),
            each.is_ordered,
            (leased_seconds if each.is_leased else 0) if each.is_due else None,
            int(each.is_leased),
        )
        for each in made
    ]
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        columns = zip(*rows[start : start + _ROWS_PER_STATEMENT], strict=True)
        execute(_INSERT.format(table=table_of(Delivery)), [list(each) for each in columns])


def _leased(made: _Made, leased_at_seconds: float) -> Leased:
    """The lease of a delivery that was made with one, and what follows under it."""
    attempts = int(made.is_leased)
    leased = Leased(
        id=made.id,
        event_id=made.event.id,
        endpoint=made.endpoint,
        aggregateid=made.event.aggregateid,
        seq=made.event.seq,
        is_ordered=made.is_ordered,
        is_replay=False,
        attempts=attempts,
        attempts_since_requeue=attempts,
        body=rendered_event(
            made.event,
            api_version=made.endpoint.api_version,
            pending_webhooks=made.pending_webhooks,
        ),
        leased_at_seconds=leased_at_seconds,
    )
    following = [
        follower(_leased(each, leased_at_seconds)) for each in made.following[:FOLLOWING_MAX]
    ]
    return replace(leased, following=tuple(following))


def _enabled_endpoints(events: Sequence[Event]) -> EnabledEndpoints:
    rows = execute(
        f"SELECT {columns_of(WebhookEndpoint)} FROM {table_of(WebhookEndpoint)} "
        f"WHERE merchant_id = ANY(%s) AND status = '{EndpointStatus.ENABLED.value}' ORDER BY id",
        [list({event.merchant_id for event in events})],
    )
    enabled: EnabledEndpoints = defaultdict(list)
    for row in rows:
        endpoint = instance_of(WebhookEndpoint, row)
        enabled[endpoint.merchant_id, endpoint.livemode].append(endpoint)
    return enabled


def _endpoints_for(event: Event, endpoints: Sequence[WebhookEndpoint]) -> list[WebhookEndpoint]:
    """Those that subscribe to it; what is said about a failing endpoint goes to the others."""
    return [
        each
        for each in endpoints
        if matches(event.type, each.enabled_events)
        and not (event.type == DELIVERY_FAILING and event.aggregateid == each.id)
    ]
