"""/v1/webhook_endpoints."""

from __future__ import annotations

from typing import Any, Final

from payments import public_ids
from payments.api.api_versions import VERSION_PATTERN, served_version
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
from payments.api.parameters.groups import list_parameters
from payments.api.renderers import render_new_webhook_endpoint, render_webhook_endpoint
from payments.api.views.call import Call, path_id
from payments.api.views.documentation import documented
from payments.api.views.exchange import MerchantView
from payments.event_types import EVENT_PATTERNS, NEVER_EMITTED
from payments.models import WebhookEndpoint as EndpointRow
from payments.objects.event import webhook_endpoint_object
from payments.selectors.events import one_webhook_endpoint, page_of_webhook_endpoints
from payments.selectors.scope import WEBHOOK_ENDPOINT
from payments.services.callers.caller import CommandRequest
from payments.services.idempotency.direct_requests import DirectResult
from payments.services.merchant_webhooks import endpoints as service
from payments.states import DeliveryOrder

_EVENTS_MAX: Final = 400


class _EventPattern(Parameter):
    """A type of event, `*`, or the start of types and `.*`."""

    def read(self, value: Any, name: str, is_text: bool) -> str:
        if type(value) is str and value in EVENT_PATTERNS:
            return value
        self.refuse(
            name,
            "There is no such type of event. Write one as Stripe spells it, * for all, or the "
            "start of types and .*, such as charge.*.",
        )

    def own_schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": sorted(EVENT_PATTERNS - NEVER_EMITTED)}


def _enabled_events(*, required: bool) -> ListOf:
    return ListOf(
        _EventPattern(),
        max_items=_EVENTS_MAX,
        required=required,
        description="Types of events, `*` for all, or the start of types and `.*`.",
    )


def _shared() -> dict[str, Parameter]:
    return {
        "delivery_order": Enum(
            *map(str, DeliveryOrder),
            description="Not of Stripe. ordered: an event waits for the earlier ones of its "
            "payment, also while they fail. unordered: each is sent at once.",
        ),
        "description": Text(max_length=1000, lines=True, description="Your own text."),
        "expand": Expand("webhook_endpoint"),
    }


CREATE_WEBHOOK_ENDPOINT: Final = Parameters(
    {
        **_shared(),
        "url": Url(required=True, description="https; must be reachable from the internet."),
        "enabled_events": _enabled_events(required=True),
        "metadata": Metadata(),
        "api_version": Text(
            max_length=64,
            pattern=VERSION_PATTERN,
            rule="an API version is a date and a release, such as 2026-10-28.endive",
            can_unset=False,
            description="Stamped on the events; the Stripe-Version of this request if not given.",
        ),
        "connect": Unsupported("There are no connected accounts here: remove it."),
    },
    example={
        "url": "https://hooks.example.com/payments",
        "enabled_events": ["payment_intent.*", "charge.refunded"],
    },
)

UPDATE_WEBHOOK_ENDPOINT: Final = Parameters(
    {
        **_shared(),
        "url": Url(description="https; must be reachable from the internet."),
        "enabled_events": _enabled_events(required=False),
        "metadata": Metadata(merges=True),
        "disabled": Boolean(description="true: send nothing until it is set to false."),
    },
    example={"disabled": True},
)

RETRIEVE_WEBHOOK_ENDPOINT: Final = Parameters({"expand": Expand("webhook_endpoint")})

DELETE_WEBHOOK_ENDPOINT: Final = Parameters({})

LIST_WEBHOOK_ENDPOINTS: Final = list_parameters(
    public_ids.WEBHOOK_ENDPOINT, "webhook_endpoint", {}, noun="webhook endpoint", created=False
)


class WebhookEndpoints(MerchantView):
    """The URLs to which events are sent."""

    @documented(
        CREATE_WEBHOOK_ENDPOINT,
        "webhook_endpoint",
        "Create a webhook endpoint",
        example={"secret": "whsec_…"},
    )
    def post(self, call: Call) -> DirectResult[EndpointRow]:
        asked = call.given.get("api_version") or call.api_version
        return service.create_endpoint(
            CommandRequest(call.caller, render=render_new_webhook_endpoint),
            details=call.details(service.EndpointDetails),
            api_version=served_version(asked, what="api_version", param="api_version"),
        )

    @documented(LIST_WEBHOOK_ENDPOINTS, "webhook_endpoint", "List webhook endpoints", is_list=True)
    def get(self, call: Call) -> dict[str, Any]:
        return call.list_of(
            "webhook_endpoint",
            page_of_webhook_endpoints(call.scope, call.paging),
            webhook_endpoint_object,
        )


class WebhookEndpoint(MerchantView):
    """One endpoint; its secret is shown only when it is created."""

    @documented(RETRIEVE_WEBHOOK_ENDPOINT, "webhook_endpoint", "Retrieve a webhook endpoint")
    def get(self, call: Call, public_id: str) -> dict[str, Any]:
        path_id(WEBHOOK_ENDPOINT, public_id)
        return webhook_endpoint_object(one_webhook_endpoint(call.scope, public_id))

    @documented(
        UPDATE_WEBHOOK_ENDPOINT,
        "webhook_endpoint",
        "Change a webhook endpoint",
        example={"status": "disabled"},
    )
    def post(self, call: Call, public_id: str) -> DirectResult[EndpointRow]:
        return service.update_endpoint(
            CommandRequest(call.caller, render=render_webhook_endpoint),
            endpoint_id=path_id(WEBHOOK_ENDPOINT, public_id),
            details=call.details(service.EndpointDetails),
        )

    @documented(DELETE_WEBHOOK_ENDPOINT, "deleted_webhook_endpoint", "Delete a webhook endpoint")
    def delete(self, call: Call, public_id: str) -> dict[str, Any]:
        return service.delete_endpoint(
            caller=call.caller, endpoint_id=path_id(WEBHOOK_ENDPOINT, public_id)
        )
