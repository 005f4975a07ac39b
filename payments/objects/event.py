"""The event and the webhook endpoint as the merchant sees them."""

from __future__ import annotations

from typing import Any

from payments import public_ids
from payments.models import Event, WebhookEndpoint
from payments.objects.parts import public_id, unix_seconds_of


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
        "object": "event",
        "account": None,
        "api_version": event.api_version or None,
        "context": None,
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


def webhook_endpoint_object(endpoint: WebhookEndpoint, *, secret: str = "") -> dict[str, Any]:
    """An endpoint; its secret is shown once, when it is made."""
    shown = {
        "id": public_id(public_ids.WEBHOOK_ENDPOINT, endpoint.id),
        "object": "webhook_endpoint",
        "api_version": endpoint.api_version,
        "application": None,
        "created": unix_seconds_of(endpoint.id),
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
        "object": "webhook_endpoint",
        "deleted": True,
    }
