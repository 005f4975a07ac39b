"""An event as consumers see it: CloudEvents 1.0 in structured mode. Pure.

The CloudEvent's id is the event's own, the same however often the event is put on the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from django.conf import settings

from payments import public_ids
from payments.models import Event

NAMESPACE: Final = "payments."
"""Prefix of the merchant API's event type: no collision with types of other systems."""
_SECRETS: Final = ("client_secret",)
"""Lets a customer confirm a payment; consumers of the stream must not."""
SUBJECTS: Final = {
    "payment_intent": public_ids.PAYMENT_INTENT,
    "setup_intent": public_ids.SETUP_INTENT,
    "customer": public_ids.CUSTOMER,
    "payment_method": public_ids.PAYMENT_METHOD,
    "webhook_endpoint": public_ids.WEBHOOK_ENDPOINT,
    "balance": public_ids.BALANCE,
}
"""By aggregate type: the prefix of its public id."""
_SEQUENCE_DIGITS: Final = 10
"""CloudEvents' `sequence` is text that sorts in order."""
_format = JSONFormat()


class Unreadable(ValueError):
    """An entry of the stream that is not one of our events."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event as read from the stream."""

    number: int
    """Its number on the stream; 0 for a replay from the outbox."""
    event_id: UUID
    type: str
    """The merchant API's name, without the namespace."""
    subject: str
    sequence: int
    """1, 2, 3 … per subject; compare it where order matters."""
    merchant: str
    livemode: bool
    data: dict[str, Any]
    """`object`, and `previous_attributes` if the event changed it."""
    cloud_event: dict[str, Any]


def cloud_event_of(event: Event) -> str:
    """The event as a CloudEvent in JSON."""
    prefix = SUBJECTS.get(event.aggregatetype, event.aggregatetype)
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.public_id,
        "source": settings.PUBLIC_BASE_URL,
        "type": NAMESPACE + event.type,
        "subject": public_ids.encode(prefix, event.aggregateid),
        "time": event.created_at,
        "datacontenttype": "application/json",
        "sequence": str(event.seq).zfill(_SEQUENCE_DIGITS),
        "merchant": public_ids.encode(public_ids.MERCHANT, event.merchant_id),
        "livemode": event.livemode,
        "actor": event.actor,
    }
    if event.request_id:
        attributes["correlation"] = event.request_id
    return _format.write(CloudEvent(attributes, _without_secrets(event.payload))).decode()


def message_of(number: int, body: str | None) -> Message:
    """Parse an entry; raises Unreadable if it is not an event of ours."""
    try:
        cloud_event = orjson.loads(body or "")
        return Message(
            number=number,
            event_id=_event_id(cloud_event["id"]),
            type=cloud_event["type"].removeprefix(NAMESPACE),
            subject=cloud_event["subject"],
            sequence=int(cloud_event["sequence"]),
            merchant=cloud_event["merchant"],
            livemode=cloud_event["livemode"],
            data=cloud_event["data"],
            cloud_event=cloud_event,
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Unreadable(f"entry {number}: {type(error).__name__}: {error}") from error


def _event_id(public_id: str) -> UUID:
    identifier = public_ids.decode(public_ids.EVENT, public_id)
    if identifier is None:
        raise ValueError(f"{public_id!r} is not the id of an event")
    return identifier


def _without_secrets(payload: dict[str, Any]) -> dict[str, Any]:
    shown = {key: value for key, value in payload["object"].items() if key not in _SECRETS}
    return {**payload, "object": shown}
