"""/v1/events."""

from __future__ import annotations

from typing import Any

from payments.api.pagination import list_answer, paging_of
from payments.api.requests.events import LIST_EVENTS, RETRIEVE_EVENT
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.objects.event import event_object
from payments.selectors.events import one_event, page_of_events
from payments.selectors.scope import EVENT
from payments.selectors.webhook_endpoints import pending_webhooks


class Events(MerchantView):
    """Events, newest first."""

    @documented(LIST_EVENTS, "event", "List events", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_events(
            call.scope,
            paging_of(call.given),
            event_type=call.given.get("type", ""),
            event_types=call.given.get("types", ()),
            delivery_success=call.given.get("delivery_success"),
        )
        pending = pending_webhooks(call.scope, page.rows)
        return list_answer(
            page,
            lambda event: event_object(event, pending_webhooks=pending[event.id]),
            url="/v1/events",
            kind="event",
            paths=call.expand,
            scope=call.scope,
        )


class Event(MerchantView):
    """One event."""

    @documented(RETRIEVE_EVENT, "event", "Retrieve an event")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(EVENT, public_id)
        event = one_event(call.scope, public_id)
        pending = pending_webhooks(call.scope, [event])
        return event_object(event, pending_webhooks=pending[event.id])
