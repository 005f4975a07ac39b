"""Events."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef, QuerySet

from payments.models import Dispatch, Event
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import EVENT, Scope, one_of, scoped
from payments.selectors.webhook_endpoints import not_taken


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
        unwritten = Dispatch.objects.filter(event_id=OuterRef("pk"), fanned_out_at__isnull=True)
        rows = rows.filter(~missed, ~Exists(unwritten)) if delivery_success else rows.filter(missed)
    return page_of(rows, paging, known=known, kind=EVENT)
