"""Parameters of /v1/events."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import Boolean, Expand, ListOf, Parameters, Text
from payments.api.requests.paging import list_parameters


def _event_type(*, pattern: str, rule: str) -> Text:
    return Text(max_length=64, pattern=pattern, rule=rule, can_unset=False)


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
            _event_type(pattern=r"[a-z_]+(\.[a-z_]+)+", rule="an event type"), max_items=20
        ),
        "delivery_success": Boolean(
            description="true: all endpoints took it. false: some endpoint has not (yet)."
        ),
    },
    noun="event",
    exclusive=(("type", "types"),),
)
