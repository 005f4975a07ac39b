"""Sending again what people ask for: one delivery, all that failed, events of a time or type.

What an endpoint had before goes out of line: it waits for nothing and holds nothing up, so its
order is not promised. What it never had goes in line, as if it had just happened. Lock order:
lines, deliveries. What may not live here: sending itself (the relay does that).
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
from payments.event_types import wanted
from payments.models import Delivery, Event, WebhookEndpoint
from payments.selectors.scope import Scope, scoped
from payments.services.merchant_webhooks.delivery_order import first_waiting, lock_lines_of
from payments.services.merchant_webhooks.envelopes import Envelopes
from payments.services.merchant_webhooks.leasing import lease_seconds
from payments.services.outbox import relay_wakeup
from payments.states import DeliveryStatus

PER_TRANSACTION: Final = 200
_AGAIN: Final = ("status", "in_line", "next_try_at", "tries", "ended_at")


class EndpointIsDisabled(ValueError):
    """Nothing can be sent there until it is enabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which events are meant; what is not named is not looked at."""

    types: Sequence[str] = ()
    """As in `enabled_events`; empty: what the endpoint wants."""
    since: datetime | None = None
    before: datetime | None = None


Said = Callable[[int, UUID], None]
"""Told after each transaction: how many so far, and the id of the last event that was looked at."""


def resend_delivery(delivery_id: UUID) -> bool:
    """Have one delivery sent now, with the same bytes, whatever became of it before.

    False if it waits for others of its payment, which go first. Refuses with EndpointIsDisabled.
    """
    return _resend([delivery_id]) == 1


def resend_failed(endpoint_id: UUID) -> int:
    """Have everything sent now that failed: what was given up, and what waits for its next try.

    How many there were. Refuses with EndpointIsDisabled.
    """
    _enabled_endpoint(endpoint_id)
    of_endpoint = Delivery.objects.filter(endpoint_id=endpoint_id)
    dead = of_endpoint.filter(status=DeliveryStatus.DEAD)
    pending = of_endpoint.filter(status=DeliveryStatus.PENDING, tries__gt=0)
    failed = pending.filter(next_try_at__gt=now_utc() + timedelta(seconds=lease_seconds()))
    return sum(
        _resend([row[0] for row in page]) for rows in (dead, failed) for page in _pages(rows)
    )


def replay_events(endpoint_id: UUID, choice: Choice, *, said: Said | None = None) -> int:
    """Have events sent to this endpoint again, or for the first time; how many there were.

    All that there are now, a few at a time: cut off, it has sent the oldest. They keep their ids,
    so that merchants can tell what they know already; the requests are marked as replays. The bytes
    are those that the endpoint got where that is still known, else made now. Events that it never
    had come in the order of their payment; those that wait in line already are left there. Asked
    for twice, they are sent twice. Refuses with EndpointIsDisabled.
    """
    endpoint = _enabled_endpoint(endpoint_id)
    wishes = tuple(choice.types) or tuple(endpoint.enabled_events)
    # What is told from now on is on its way by itself; a second, since clocks differ a little.
    choice = replace(choice, before=choice.before or now_utc() + timedelta(seconds=1))
    count = 0
    for page in _pages(chosen_events(endpoint, choice), "type"):
        ids = [pk for pk, event_type in page if wanted(event_type, wishes)]
        if ids:
            _replay(endpoint, ids)
        count += len(ids)
        if said is not None:
            said(count, page[-1][0])
    return count


def chosen_events(endpoint: WebhookEndpoint, choice: Choice) -> QuerySet[Event]:
    """The events of the endpoint's merchant and mode in the choice's range of time."""
    events = scoped(Event.objects.all(), Scope(endpoint.merchant_id, endpoint.livemode))
    if choice.since is not None:
        events = events.filter(created_at__gte=choice.since, pk__gte=_first_id(choice.since))
    if choice.before is not None:
        after = choice.before + timedelta(seconds=1)
        events = events.filter(created_at__lt=choice.before, pk__lt=_first_id(after))
    return events


def _first_id(moment: datetime) -> UUID:
    """Of this second: ids carry their time, and are indexed."""
    return public_ids.first_id_of_second(int(moment.timestamp()))


def _pages(rows: QuerySet[Any], *fields: str) -> Iterator[list[tuple[Any, ...]]]:
    """The ids (and fields) of rows in their order, so many at a time, however many there are."""
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
    chosen = list(Delivery.objects.filter(pk__in=ids).defer("envelope").order_by("pk"))
    for endpoint_id in {row.endpoint_id for row in chosen}:
        _enabled_endpoint(endpoint_id)
    begun = 0
    with transaction.atomic(durable=True):
        lock_lines_of({row.aggregateid for row in chosen})
        rows = Delivery.objects.select_for_update().filter(pk__in=ids).defer("envelope")
        for row in rows.order_by("pk"):
            if row.status == DeliveryStatus.PENDING:
                begun += _hasten(row)
            else:
                row.begin_again()
                row.in_line, row.next_try_at = False, now_utc()
                row.tries, row.ended_at = 0, None
                row.save(update_fields=_AGAIN)
                begun += 1
        relay_wakeup.wake_after_commit()
    return begun


def _hasten(row: Delivery) -> bool:
    """Try now what would be tried later; whoever waits in line goes on waiting."""
    if row.next_try_at is None:
        return False
    row.next_try_at = now_utc()
    row.save(update_fields=["next_try_at"])
    return True


def _replay(endpoint: WebhookEndpoint, event_ids: Sequence[UUID]) -> None:
    events = Event.objects.in_bulk(list(event_ids)).values()
    with transaction.atomic(durable=True):
        aggregates = {event.aggregateid for event in events}
        lock_lines_of(aggregates)
        known = _known_to(endpoint, event_ids)
        first = first_waiting(aggregates, endpoint.id)
        envelopes = Envelopes()
        rows = []
        for event in sorted(events, key=lambda each: (each.aggregateid, each.seq)):
            had = known.get(event.id)
            if had is None:
                envelope = envelopes.envelope(
                    event, api_version=endpoint.api_version, pending_webhooks=1
                )
                is_head = event.seq < first.get(event.aggregateid, event.seq + 1)
                if is_head:
                    first[event.aggregateid] = event.seq
                rows.append(_row(endpoint, event, envelope, in_line=True, is_due=is_head))
            elif not had.waits_in_line:
                rows.append(_row(endpoint, event, had.envelope, in_line=False, is_due=True))
        Batch().insert(*rows).execute()
        relay_wakeup.wake_after_commit()


def _row(
    endpoint: WebhookEndpoint, event: Event, envelope: bytes, *, in_line: bool, is_due: bool
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
        envelope=envelope,
        created_at=now,
        in_line=in_line,
        next_try_at=now if is_due else None,
    )


@dataclass(slots=True)
class _Had:
    """What is known of an event that an endpoint had, or is to have."""

    envelope: bytes
    waits_in_line: bool = False


def _known_to(endpoint: WebhookEndpoint, event_ids: Sequence[UUID]) -> dict[UUID, _Had]:
    """Read under the lock of the lines."""
    rows = Delivery.objects.filter(endpoint=endpoint, event_id__in=event_ids).order_by("pk")
    known: dict[UUID, _Had] = {}
    for row in rows.only("event_id", "envelope", "status", "in_line"):
        had = known.setdefault(row.event_id, _Had(bytes(row.envelope)))
        had.waits_in_line |= row.in_line and row.status == DeliveryStatus.PENDING
    return known
