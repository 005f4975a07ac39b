"""Events."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef, QuerySet

from payments.models import Delivery, Event
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import EVENT, Scope, one_of, scoped
from payments.states import DeliveryStatus


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

    `delivery_success`: those that every endpoint took, or those that some endpoint has not taken.
    """
    rows = known = events(scope)
    if event_type.endswith(".*"):
        rows = rows.filter(type__startswith=event_type[:-1])
    elif event_type and event_type != "*":
        rows = rows.filter(type=event_type)
    if event_types:
        rows = rows.filter(type__in=event_types)
    if delivery_success is not None:
        # By the partial index of what is not delivered: few rows, as long as endpoints work.
        missed = scoped(Delivery.objects.filter(event_id=OuterRef("pk")), scope)
        missed = missed.exclude(status=DeliveryStatus.DELIVERED)
        rows = rows.filter(~Exists(missed) if delivery_success else Exists(missed))
    return page_of(rows, paging, known=known, kind=EVENT)
