"""/v1/events."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.parameters import Boolean, Expand, ListOf, Parameters, Text
from payments.api.parameters.groups import list_parameters
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.objects.event import event_object
from payments.selectors.events import one_event, page_of_events, pending_webhooks
from payments.selectors.scope import EVENT


def _event_type(*, pattern: str, rule: str) -> Text:
    return Text(max_length=64, pattern=pattern, rule=rule, can_unset=False, description=rule)


RETRIEVE_EVENT: Final = Parameters({"expand": Expand("event")})

LIST_EVENTS: Final = list_parameters(
    public_ids.EVENT,
    "event",
    {
        "type": _event_type(
            pattern=r"\*|[a-z_]+(\.[a-z_]+)*(\.\*)?",
            rule="an event type, or the start of one and .*",
        ),
        "types": ListOf(
            _event_type(pattern=r"[a-z_]+(\.[a-z_]+)+", rule="an event type"),
            max_items=20,
            description="Any of these types.",
        ),
        "delivery_success": Boolean(
            description="true: all endpoints took it. false: some endpoint has not (yet)."
        ),
    },
    noun="event",
    exclusive=(("type", "types"),),
    example={"type": "payment_intent.*", "delivery_success": False},
)


class Events(MerchantView):
    """Events, newest first."""

    @documented(LIST_EVENTS, "event", "List events", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        page = page_of_events(
            call.scope,
            call.paging,
            event_type=call.given.get("type", ""),
            event_types=call.given.get("types", ()),
            delivery_success=call.given.get("delivery_success"),
        )
        pending = pending_webhooks(call.scope, page.rows)
        return call.list_of(
            "event", page, lambda event: event_object(event, pending_webhooks=pending[event.id])
        )


class Event(MerchantView):
    """One event."""

    @documented(RETRIEVE_EVENT, "event", "Retrieve an event")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(EVENT, public_id)
        event = one_event(call.scope, public_id)
        pending = pending_webhooks(call.scope, [event])
        return event_object(event, pending_webhooks=pending[event.id])
