"""Events, webhook endpoints, and how far events are on their way to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from payments import public_ids
from payments.event_types import matches
from payments.models import Delivery, Dispatch, Event, WebhookEndpoint
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import EVENT, WEBHOOK_ENDPOINT, Scope, one_of, scoped
from payments.states import DeliveryStatus, EndpointStatus


def events(scope: Scope) -> QuerySet[Event]:
    return scoped(Event.objects.all(), scope)


def one_event(scope: Scope, public_id: str) -> Event:
    """The event of a public id; refuses with ResourceMissing."""
    return one_of(events(scope), EVENT, public_id)


def page_of_events(
    scope: Scope,
    paging: Paging,
    *,
    event_type: str = "",
    event_types: Collection[str] = (),
    delivery_success: bool | None = None,
) -> Page[Event]:
    """A page of events; `event_type` may end in `.*`, and `*` is every type.

    `delivery_success`: those that every endpoint took that was to get it, or those that some
    endpoint has not taken. One that is not fanned out yet is neither.
    """
    rows = known = events(scope)
    if event_type.endswith(".*"):
        rows = rows.filter(type__startswith=event_type[:-1])
    elif event_type and event_type != "*":
        rows = rows.filter(type=event_type)
    if event_types:
        rows = rows.filter(type__in=event_types)
    if delivery_success is not None:
        missed = Exists(not_taken(scope).filter(event_id=OuterRef("pk")))
        unwritten = Dispatch.objects.filter(event_id=OuterRef("pk"))
        rows = rows.filter(~missed, ~Exists(unwritten)) if delivery_success else rows.filter(missed)
    return page_of(rows, paging, known=known, kind=EVENT)


def webhook_endpoints(scope: Scope) -> QuerySet[WebhookEndpoint]:
    """Those that were not deleted."""
    return scoped(WebhookEndpoint.objects.all(), scope).filter(deleted_at__isnull=True)


def one_webhook_endpoint(scope: Scope, public_id: str) -> WebhookEndpoint:
    """The endpoint of a public id; refuses with ResourceMissing, deleted ones too."""
    return one_of(webhook_endpoints(scope), WEBHOOK_ENDPOINT, public_id)


def page_of_webhook_endpoints(scope: Scope, paging: Paging) -> Page[WebhookEndpoint]:
    rows = webhook_endpoints(scope)
    with_deleted = scoped(WebhookEndpoint.objects.all(), scope)
    return page_of(rows, paging, known=with_deleted, kind=WEBHOOK_ENDPOINT)


def not_taken(scope: Scope) -> QuerySet[Delivery]:
    """Deliveries to endpoints that never took the event: under way, or given up.

    What was taken, and is replayed, is none, nor is what was given up and taken when it was
    replayed. By the partial index of what is not delivered: few rows, as long as endpoints work.
    The condition is an OR so that PostgreSQL asks row by row for the other one, instead of joining
    all deliveries with all.
    """
    open_ones = scoped(Delivery.objects.exclude(status=DeliveryStatus.DELIVERED), scope)
    taken = Delivery.objects.filter(
        event_id=OuterRef("event_id"),
        endpoint_id=OuterRef("endpoint_id"),
        status=DeliveryStatus.DELIVERED,
    )
    waits_in_order = Q(status=DeliveryStatus.PENDING, is_ordered=True)
    return open_ones.filter(waits_in_order | ~Exists(taken))


def pending_webhooks(scope: Scope, events: Sequence[Event]) -> Counter[UUID]:
    """By event: how many endpoints have not taken it. Three queries, however many events.

    Those that are given up count as long as that is known; endpoints that were deleted do not.
    """
    ids = [event.id for event in events]
    missing = not_taken(scope).filter(event_id__in=ids, endpoint__deleted_at__isnull=True)
    counted = (
        missing.order_by().values_list("event_id").annotate(Count("endpoint_id", distinct=True))
    )
    pending: Counter[UUID] = Counter(dict(counted))
    unwritten = Dispatch.objects.filter(event_id__in=ids)
    not_yet = set(unwritten.values_list("event_id", flat=True))
    if not_yet:
        subscriptions = _subscriptions(scope)
        for event in events:
            if event.id in not_yet:
                pending[event.id] += sum(matches(event.type, each) for each in subscriptions)
    return pending


def _subscriptions(scope: Scope) -> list[list[str]]:
    enabled = webhook_endpoints(scope).filter(status=EndpointStatus.ENABLED)
    return list(enabled.values_list("enabled_events", flat=True))


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Events that wait at an endpoint behind one that fails."""

    payments: int
    """How many payments (or customers, …) have such events."""
    since: datetime
    event: str
    """The event that the oldest of them waits for."""
    attempts: int


def held_back_by(endpoint: WebhookEndpoint) -> HeldBack | None:
    """What an endpoint holds back by failing, None if nothing; looks at 10,000 events at most.

    Counts keys whose first event failed. By the partial index of what is not delivered.
    """
    pending = Delivery.objects.filter(
        merchant_id=endpoint.merchant_id,
        livemode=endpoint.livemode,
        status=DeliveryStatus.PENDING,
        endpoint=endpoint,
        is_ordered=True,
    )
    waiting = pending.filter(next_attempt_at__isnull=True).values("aggregateid", "created_at")
    oldest: dict[UUID, datetime] = {}
    for row in waiting.order_by("event_id")[:10_000]:
        oldest.setdefault(row["aggregateid"], row["created_at"])
    failing = (
        pending.filter(aggregateid__in=list(oldest), next_attempt_at__isnull=False)
        .exclude(last_error="")
        .only("aggregateid", "event_id", "attempts_since_requeue")
    )
    heads = sorted(failing, key=lambda head: oldest[head.aggregateid])
    if not heads:
        return None
    first = heads[0]
    event = public_ids.encode(public_ids.EVENT, first.event_id)
    return HeldBack(len(heads), oldest[first.aggregateid], event, first.attempts_since_requeue)
