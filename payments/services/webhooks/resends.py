"""Sending again what people ask for: one delivery, all that failed, events of a time or type.

What is sent again goes out of line: it waits for nothing and holds nothing up, so its order is not
promised. What may not live here: sending itself (the relay does that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from ledger.statements import Batch
from payments import public_ids
from payments.event_types import wanted
from payments.models import Delivery, Event, WebhookEndpoint
from payments.selectors.scope import Scope, scoped
from payments.services import relay_bell
from payments.services.events import now_utc
from payments.services.webhooks.envelopes import Envelopes
from payments.services.webhooks.leases import lease_seconds
from payments.services.webhooks.lines import lock_lines_of
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


def resend_delivery(delivery_id: UUID) -> bool:
    """Have one delivery sent now, with the same bytes, whatever became of it before.

    False if it waits for others of its payment, which go first. Refuses with EndpointIsDisabled.
    """
    return _resend([delivery_id]) == 1


def resend_failed(endpoint_id: UUID, *, limit: int = 100_000) -> int:
    """Have everything sent now that failed: what was given up, and what waits for its next try.

    How many there were. Refuses with EndpointIsDisabled.
    """
    _enabled_endpoint(endpoint_id)
    of_endpoint = Delivery.objects.filter(endpoint_id=endpoint_id)
    dead = of_endpoint.filter(status=DeliveryStatus.DEAD)
    pending = of_endpoint.filter(status=DeliveryStatus.PENDING, tries__gt=0)
    failed = pending.filter(next_try_at__gt=now_utc() + timedelta(seconds=lease_seconds()))
    ids = [*_ids(dead)[:limit], *_ids(failed)[:limit]]
    starts = range(0, len(ids), PER_TRANSACTION)
    return sum(_resend(ids[start : start + PER_TRANSACTION]) for start in starts)


def replay_events(endpoint_id: UUID, choice: Choice, *, limit: int = 100_000) -> int:
    """Have events sent to this endpoint again, or for the first time; how many there were.

    They keep their ids, so that merchants can tell what they know already; the requests are marked
    as replays. The bytes are those of the first delivery where there was one, else made now. Asked
    for twice, they are sent twice. Refuses with EndpointIsDisabled.
    """
    endpoint = _enabled_endpoint(endpoint_id)
    wishes = tuple(choice.types) or tuple(endpoint.enabled_events)
    events = chosen_events(endpoint, choice).values_list("pk", "type").order_by("pk")
    ids = [pk for pk, event_type in events.iterator() if wanted(event_type, wishes)][:limit]
    for start in range(0, len(ids), PER_TRANSACTION):
        _replay(endpoint, ids[start : start + PER_TRANSACTION])
    return len(ids)


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


def _ids(rows: QuerySet[Delivery]) -> QuerySet[Delivery, UUID]:
    return rows.order_by("pk").values_list("pk", flat=True)


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
        relay_bell.ring_after_commit()
    return begun


def _hasten(row: Delivery) -> bool:
    """Try now what would be tried later; whoever waits in line goes on waiting."""
    if row.next_try_at is None:
        return False
    row.next_try_at = now_utc()
    row.save(update_fields=["next_try_at"])
    return True


def _replay(endpoint: WebhookEndpoint, event_ids: Sequence[UUID]) -> None:
    now = now_utc()
    with transaction.atomic(durable=True):
        events = Event.objects.in_bulk(list(event_ids))
        first = Delivery.objects.filter(
            endpoint=endpoint, event_id__in=event_ids, is_replay=False
        ).values_list("event_id", "envelope")
        kept = {event_id: bytes(envelope) for event_id, envelope in first}
        envelopes = Envelopes()
        rows = [
            Delivery(
                id=public_ids.new_id(),
                event_id=event.id,
                endpoint_id=endpoint.id,
                merchant_id=event.merchant_id,
                livemode=event.livemode,
                aggregateid=event.aggregateid,
                seq=event.seq,
                is_replay=True,
                envelope=kept.get(event.id)
                or envelopes.envelope(event, api_version=endpoint.api_version, pending_webhooks=1),
                created_at=now,
                in_line=False,
                next_try_at=now,
            )
            for event in (events[event_id] for event_id in event_ids)
        ]
        Batch().insert(*rows).execute()
        relay_bell.ring_after_commit()
