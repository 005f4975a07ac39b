"""Events."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from payments.models import Event
from payments.selectors.paging import Page, Paging, page_of
from payments.selectors.scope import EVENT, Scope, one_of, scoped


def events(scope: Scope) -> QuerySet[Event]:
    return scoped(Event.objects.all(), scope)


def one_event(scope: Scope, public_id: str) -> Event:
    """The event of a public id; refuses with ResourceMissing."""
    return one_of(events(scope), EVENT, public_id)


def page_of_events(
    scope: Scope, paging: Paging, *, event_type: str = "", event_types: Collection[str] = ()
) -> Page[Event]:
    """A page of events; `event_type` may end in `.*`, and `*` is every type."""
    rows = known = events(scope)
    if event_type.endswith(".*"):
        rows = rows.filter(type__startswith=event_type[:-1])
    elif event_type and event_type != "*":
        rows = rows.filter(type=event_type)
    if event_types:
        rows = rows.filter(type__in=event_types)
    return page_of(rows, paging, known=known, kind=EVENT)
