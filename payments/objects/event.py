"""The event and the webhook endpoint as the merchant sees them."""

from __future__ import annotations

from typing import Any, Final

import orjson

from payments import public_ids
from payments.event_types import DELIVERY_FAILING, EMITTED
from payments.models import Event, WebhookEndpoint
from payments.objects.fields import (
    Field,
    ObjectType,
    always,
    always_null,
    any_of,
    created,
    flag,
    integer,
    list_of,
    livemode,
    metadata,
    named,
    one_of,
    own_id,
    record,
    text,
)
from payments.objects.parts import public_id, unix_seconds_of
from payments.objects.payment_intent import PAYMENT_INTENT
from payments.states import DeliveryOrder, EndpointStatus

_DATA: Final = {
    "object": any_of(
        "The object as it was right after the change, whatever happened since.",
        *("payment_intent", "charge", "refund", "dispute", "customer", "payment_method"),
        *("checkout.session", "webhook_endpoint", "deleted_customer", "setup_intent"),
        example=PAYMENT_INTENT.example(),
    ),
    "previous_attributes": Field(
        own={"type": "object"},
        meaning="The former values of the fields that changed, in types that say so.",
        absent=True,
    ),
}
_REQUEST: Final = {
    "id": text("The request's `Request-Id`.", "req_C7JqXm2Zt4bW9sKd1RfYvA", nullable=True),
    "idempotency_key": text("Its `Idempotency-Key`.", "order-6735-pay", nullable=True),
}

EVENT: Final = ObjectType(
    "event",
    "A change of an object, as it is sent to webhook endpoints. Events are kept.",
    {
        "id": own_id(public_ids.EVENT),
        "object": named("event"),
        "api_version": text("The version of its object.", "2026-10-28.endive", nullable=True),
        "created": created("the event"),
        "data": record("What changed.", _DATA),
        "livemode": livemode(),
        "pending_webhooks": integer("How many endpoints have not taken it yet.", 0),
        "request": record("The request that caused it; nulls if none did.", _REQUEST),
        "type": one_of(
            "What happened. Types that begin with `x.` are our own.",
            *sorted(EMITTED),
            example="payment_intent.succeeded",
        ),
        **always_null("account", "context"),
    },
)

_FAILING: Final = {
    "event": text("The event that the endpoint does not take.", "evt_C7JqXm2Zt4bW9sKd1RfYvA"),
    "event_type": text("Its type.", "charge.succeeded"),
    "failures": integer("How many attempts failed.", 10),
    "given_up": flag("Whether no further attempt is made."),
    "last_error": text("Why the last attempt failed.", "it answered 500"),
    "payments_held_back": integer("How many payments have events that wait at the endpoint.", 0),
}

WEBHOOK_ENDPOINT: Final = ObjectType(
    "webhook_endpoint",
    "A URL of the merchant to which events are sent.",
    {
        "id": own_id(public_ids.WEBHOOK_ENDPOINT),
        "object": named("webhook_endpoint"),
        "api_version": text("Stamped on its events.", "2026-10-28.endive", nullable=True),
        "created": created("the endpoint"),
        "delivery_order": one_of(
            "Whether an event waits for the earlier ones of its payment.", *map(str, DeliveryOrder)
        ),
        "description": text("Your own text.", sample="The shop", nullable=True),
        "enabled_events": list_of(
            "Types of events that are sent, `*` for all.",
            text("A type."),
            ["payment_intent.*", "charge.refunded"],
        ),
        "failing_delivery": record(
            f"Only in events of the type `{DELIVERY_FAILING}`.", _FAILING
        ).but(absent=True, example=None),
        "livemode": livemode(),
        "metadata": metadata(),
        "secret": text(
            "Signs its events. Shown once, by the request that creates it.", sample="whsec_…"
        ).but(absent=True),
        "status": one_of("Whether events are sent.", *map(str, EndpointStatus), example="enabled"),
        "url": text("Where events are sent.", "https://hooks.example.com/payments"),
        **always_null("application"),
    },
)

DELETED_WEBHOOK_ENDPOINT: Final = ObjectType(
    "deleted_webhook_endpoint",
    "What is left of a deleted endpoint.",
    {
        "id": own_id(public_ids.WEBHOOK_ENDPOINT),
        "object": named("webhook_endpoint"),
        "deleted": always("It was deleted.", True),
    },
)


def event_object(event: Event, *, pending_webhooks: int = 0) -> dict[str, Any]:
    """An event; its object is the one stored with it, whatever happened since.

    `pending_webhooks`: how many endpoints have not taken it.
    """
    data = {"object": event.payload["object"]}
    previous = event.payload.get("previous_attributes")
    if previous is not None:
        data["previous_attributes"] = previous
    return {
        "id": public_id(public_ids.EVENT, event.id),
        **EVENT.constants,
        "api_version": event.api_version or None,
        "created": unix_seconds_of(event.id),
        "data": data,
        "livemode": event.livemode,
        "pending_webhooks": pending_webhooks,
        "request": {
            "id": event.request_id or None,
            "idempotency_key": event.idempotency_key or None,
        },
        "type": event.type,
    }


def rendered_event(event: Event, *, api_version: str, pending_webhooks: int) -> bytes:
    """The event in an endpoint's API version, as webhooks send it; the same bytes each time."""
    shown = event_object(event, pending_webhooks=pending_webhooks)
    shown["api_version"] = api_version
    return orjson.dumps(shown)


def webhook_endpoint_object(endpoint: WebhookEndpoint, *, secret: str = "") -> dict[str, Any]:
    """An endpoint; its secret is shown once, when it is made."""
    shown = {
        "id": public_id(public_ids.WEBHOOK_ENDPOINT, endpoint.id),
        **WEBHOOK_ENDPOINT.constants,
        "api_version": endpoint.api_version,
        "created": unix_seconds_of(endpoint.id),
        "delivery_order": str(endpoint.delivery_order),
        "description": endpoint.description or None,
        "enabled_events": endpoint.enabled_events,
        "livemode": endpoint.livemode,
        "metadata": endpoint.metadata,
        "status": str(endpoint.status),
        "url": endpoint.url,
    }
    return {**shown, "secret": secret} if secret else shown


def deleted_webhook_endpoint_object(endpoint: WebhookEndpoint) -> dict[str, Any]:
    """What is left of a deleted endpoint."""
    return {
        "id": public_id(public_ids.WEBHOOK_ENDPOINT, endpoint.id),
        **DELETED_WEBHOOK_ENDPOINT.constants,
    }
