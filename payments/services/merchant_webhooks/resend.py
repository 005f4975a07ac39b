"""Makes deliveries due again on an operator's request: one, all that failed, or past events.

A delivery that the endpoint had before is resent out of order: it waits for nothing and delays
nothing. An event that the endpoint never had is delivered in order, like a new one. Lock order:
ordering keys, deliveries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.event_types import matches
from payments.models import Delivery, Event, WebhookEndpoint
from payments.selectors.scope import Scope, scoped
from payments.services.merchant_webhooks.delivery_order import (
    first_pending_seq,
    lock_ordering_keys_of,
)
from payments.services.merchant_webhooks.leasing import lease_seconds
from payments.services.outbox import relay_wakeup
from payments.states import DeliveryOrder, DeliveryStatus

PER_TRANSACTION: Final = 200
_REQUEUED_FIELDS: Final = (
    "status",
    "is_ordered",
    "next_attempt_at",
    "attempts_since_requeue",
    "ended_at",
)


class EndpointIsDisabled(ValueError):
    """Nothing can be sent to the endpoint until it is enabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to replay; a field that is not given does not restrict."""

    types: Sequence[str] = ()
    """Patterns as in `enabled_events`; empty: those of the endpoint."""
    since: datetime | None = None
    before: datetime | None = None


Progress = Callable[[int, UUID], None]
"""Called after each transaction with the number of events so far and the last event's id."""


def resend_delivery(delivery_id: UUID) -> bool:
    """Make one delivery due now, with the same bytes, whether or not it was delivered.

    Returns False if it waits for earlier events of its payment. Raises EndpointIsDisabled.
    """
    return _resend([delivery_id]) == 1


def resend_failed(endpoint_id: UUID) -> int:
    """Make every failed delivery of an endpoint due now, dead letters included.

    Returns how many. Raises EndpointIsDisabled.
    """
    endpoint = _enabled_endpoint(endpoint_id)
    # The merchant leads the index of what is not delivered.
    of_merchant = scoped(Delivery.objects.all(), Scope(endpoint.merchant_id, endpoint.livemode))
    of_endpoint = of_merchant.filter(endpoint=endpoint)
    dead = of_endpoint.filter(status=DeliveryStatus.DEAD)
    pending = of_endpoint.filter(status=DeliveryStatus.PENDING, attempts_since_requeue__gt=0)
    failed = pending.filter(next_attempt_at__gt=now_utc() + timedelta(seconds=lease_seconds()))
    return sum(
        _resend([row[0] for row in page]) for rows in (dead, failed) for page in _pages(rows)
    )


def replay_events(
    endpoint_id: UUID, event_filter: EventFilter, *, progress: Progress | None = None
) -> int:
    """Create deliveries of past events to this endpoint; returns how many events match.

    Works oldest first, some events per transaction, so an interrupted run can be continued. Events
    keep their ids, by which merchants recognize duplicates; the requests are marked as replays. The
    bytes of an earlier delivery are reused where it is still stored. Events new to the endpoint are
    delivered in order per payment; pending ones are left as they are. A second call delivers all
    of them a second time. Raises EndpointIsDisabled.
    """
    endpoint = _enabled_endpoint(endpoint_id)
    patterns = tuple(event_filter.types) or tuple(endpoint.enabled_events)
    # Later events are fanned out by themselves; one second more, since clocks differ a little.
    before = event_filter.before or now_utc() + timedelta(seconds=1)
    event_filter = replace(event_filter, before=before)
    count = 0
    for page in _pages(_events_between(endpoint, event_filter), "type"):
        ids = [pk for pk, event_type in page if matches(event_type, patterns)]
        if ids:
            _replay(endpoint, ids)
        count += len(ids)
        if progress is not None:
            progress(count, page[-1][0])
    return count


def _events_between(endpoint: WebhookEndpoint, event_filter: EventFilter) -> QuerySet[Event]:
    """Events of the endpoint's merchant and mode in the filter's time range, of every type."""
    events = scoped(Event.objects.all(), Scope(endpoint.merchant_id, endpoint.livemode))
    if event_filter.since is not None:
        events = events.filter(
            created_at__gte=event_filter.since, pk__gte=_first_id(event_filter.since)
        )
    if event_filter.before is not None:
        after = event_filter.before + timedelta(seconds=1)
        events = events.filter(created_at__lt=event_filter.before, pk__lt=_first_id(after))
    return events


def _first_id(moment: datetime) -> UUID:
    """The first id of that second: ids begin with their time and are indexed."""
    return public_ids.first_id_of_second(int(moment.timestamp()))


def _pages(rows: QuerySet[Any], *fields: str) -> Iterator[list[tuple[Any, ...]]]:
    """Pages of the rows' ids (and fields), in order of the id."""
    in_order = rows.order_by("pk").values_list("pk", *fields)
    page = list(in_order[:PER_TRANSACTION])
    while page:
        yield page
        page = list(in_order.filter(pk__gt=page[-1][0])[:PER_TRANSACTION])


def _enabled_endpoint(endpoint_id: UUID) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)
    if not endpoint.is_enabled:
        raise EndpointIsDisabled(f"{endpoint} is disabled: enable it first")
    return endpoint


def _resend(ids: Sequence[UUID]) -> int:
    deliveries = list(Delivery.objects.filter(pk__in=ids).order_by("pk"))
    for endpoint_id in {row.endpoint_id for row in deliveries}:
        _enabled_endpoint(endpoint_id)
    requeued = 0
    with transaction.atomic(durable=True):
        lock_ordering_keys_of({row.aggregateid for row in deliveries})
        rows = Delivery.objects.select_for_update().filter(pk__in=ids)
        for row in rows.order_by("pk"):
            if row.status == DeliveryStatus.PENDING:
                requeued += _make_due(row)
            else:
                row.requeue()
                row.is_ordered, row.next_attempt_at = False, now_utc()
                row.attempts_since_requeue, row.ended_at = 0, None
                row.save(update_fields=_REQUEUED_FIELDS)
                requeued += 1
        relay_wakeup.wake_for_deliveries_after_commit()
    return requeued


def _make_due(row: Delivery) -> bool:
    """Make a pending delivery due now; returns False if it waits for earlier ones of its key."""
    if row.next_attempt_at is None:
        return False
    row.next_attempt_at = now_utc()
    row.save(update_fields=["next_attempt_at"])
    return True


def _replay(endpoint: WebhookEndpoint, event_ids: Sequence[UUID]) -> None:
    events = Event.objects.in_bulk(list(event_ids)).values()
    with transaction.atomic(durable=True):
        aggregates = {event.aggregateid for event in events}
        lock_ordering_keys_of(aggregates)
        known = _known_to(endpoint, event_ids)
        first = first_pending_seq(aggregates, endpoint.id)
        rows = []
        for event in sorted(events, key=lambda each: (each.aggregateid, each.seq)):
            had = known.get(event.id)
            if had is None:
                is_head = event.seq < first.get(event.aggregateid, event.seq + 1)
                if is_head:
                    first[event.aggregateid] = event.seq
                is_ordered = endpoint.delivery_order == DeliveryOrder.ORDERED
                is_due = is_head or not is_ordered
                rows.append(_row(endpoint, event, 1, is_ordered=is_ordered, is_due=is_due))
            elif not had.is_pending_in_order:
                pending = had.pending_webhooks  # the bytes that it was sent before
                rows.append(_row(endpoint, event, pending, is_ordered=False, is_due=True))
        Batch().insert(*rows).execute()
        relay_wakeup.wake_for_deliveries_after_commit()


def _row(
    endpoint: WebhookEndpoint,
    event: Event,
    pending_webhooks: int,
    *,
    is_ordered: bool,
    is_due: bool,
) -> Delivery:
    now = now_utc()
    return Delivery(
        id=public_ids.new_id(),
        event_id=event.id,
        endpoint_id=endpoint.id,
        merchant_id=event.merchant_id,
        livemode=event.livemode,
        aggregateid=event.aggregateid,
        seq=event.seq,
        is_replay=True,
        pending_webhooks=pending_webhooks,
        created_at=now,
        is_ordered=is_ordered,
        next_attempt_at=now if is_due else None,
    )


@dataclass(slots=True)
class _Known:
    """An event for which this endpoint has a delivery."""

    pending_webhooks: int
    is_pending_in_order: bool = False


def _known_to(endpoint: WebhookEndpoint, event_ids: Sequence[UUID]) -> dict[UUID, _Known]:
    """Which of the events have deliveries here; the ordering keys must be locked."""
    rows = Delivery.objects.filter(endpoint=endpoint, event_id__in=event_ids).order_by("pk")
    known: dict[UUID, _Known] = {}
    for row in rows.only("event_id", "pending_webhooks", "status", "is_ordered"):
        had = known.setdefault(row.event_id, _Known(row.pending_webhooks))
        had.is_pending_in_order |= row.is_ordered and row.status == DeliveryStatus.PENDING
    return known
