"""Parameters of /v1/webhook_endpoints."""

from __future__ import annotations

from typing import Final

from payments import public_ids
from payments.api.parameters import (
    Boolean,
    Enum,
    Expand,
    ListOf,
    Metadata,
    Parameter,
    Parameters,
    Text,
    Unsupported,
    Url,
)
from payments.api.requests.paging import list_parameters
from payments.event_types import EVENT_PATTERNS

_EVENTS_MAX: Final = 200


def _enabled_events(*, required: bool) -> ListOf:
    return ListOf(
        Enum(*sorted(EVENT_PATTERNS)),
        max_items=_EVENTS_MAX,
        required=required,
        description="Types of events, `*` for all, or the start of types and `.*`.",
    )


def _shared() -> dict[str, Parameter]:
    return {"description": Text(max_length=1000, lines=True), "expand": Expand("webhook_endpoint")}


CREATE_WEBHOOK_ENDPOINT: Final = Parameters(
    {
        **_shared(),
        "url": Url(required=True, description="https; must be reachable from the internet."),
        "enabled_events": _enabled_events(required=True),
        "metadata": Metadata(),
        "api_version": Text(
            max_length=64,
            pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}(\.[a-z]{1,32})?",
            rule="an API version is a date and a release, such as 2026-10-28.endive",
            can_unset=False,
            description="Stamped on the events; the Stripe-Version of this request if not given.",
        ),
        "connect": Unsupported("There are no connected accounts here: remove it."),
    }
)

UPDATE_WEBHOOK_ENDPOINT: Final = Parameters(
    {
        **_shared(),
        "url": Url(description="https; must be reachable from the internet."),
        "enabled_events": _enabled_events(required=False),
        "metadata": Metadata(merges=True),
        "disabled": Boolean(description="true: send nothing until it is set to false."),
    }
)

RETRIEVE_WEBHOOK_ENDPOINT: Final = Parameters({"expand": Expand("webhook_endpoint")})

DELETE_WEBHOOK_ENDPOINT: Final = Parameters({})

LIST_WEBHOOK_ENDPOINTS: Final = list_parameters(
    public_ids.WEBHOOK_ENDPOINT, "webhook_endpoint", {}, noun="webhook endpoint", created=False
)
