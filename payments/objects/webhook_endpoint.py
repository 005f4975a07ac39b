"""The webhook endpoint as the merchant sees it."""

from __future__ import annotations

from typing import Any

from payments import public_ids
from payments.models import WebhookEndpoint
from payments.objects.parts import public_id, unix_seconds_of


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
