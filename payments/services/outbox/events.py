"""Makes the events of a change, to be written in the change's own transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ledger.database.instances import new_instance
from ledger.database.row_ids import new_row_id
from payments.event_types import EVENT_TYPES
from payments.models import (
    Customer,
    Event,
    MerchantBalance,
    PaymentIntent,
    PaymentMethod,
    SetupIntent,
    WebhookEndpoint,
)
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.outbox import relay_wakeup

Aggregate = (
    PaymentIntent | SetupIntent | Customer | PaymentMethod | WebhookEndpoint | MerchantBalance
)

AGGREGATE_TYPES = {
    PaymentIntent: "payment_intent",
    SetupIntent: "setup_intent",
    Customer: "customer",
    PaymentMethod: "payment_method",
    WebhookEndpoint: "webhook_endpoint",
    MerchantBalance: "balance",
}


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event to be written: its type, its object after the change, what differed before."""

    type: str
    object: dict[str, Any]
    previous: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.type not in EVENT_TYPES:
            raise ValueError(f"{self.type} is not a type of event: declare it in event_types")


def events_of(aggregate: Aggregate, drafts: Iterable[EventDraft], caller: Caller) -> list[Event]:
    """Events of drafts about one aggregate, numbered on from its `event_seq`.

    The aggregate must be locked (or new); its `event_seq` is advanced and must be written together
    with the events: sequence order is then commit order. The relays are woken after the commit.
    """
    relay_wakeup.wake_after_commit()
    events = []
    for draft in drafts:
        aggregate.event_seq += 1
        payload: dict[str, Any] = {"object": draft.object}
        if draft.previous is not None:
            payload["previous_attributes"] = draft.previous
        identifier = new_row_id()
        events.append(
            new_instance(
                Event,
                id=identifier,
                merchant_id=aggregate.merchant_id,
                livemode=aggregate.livemode,
                aggregatetype=AGGREGATE_TYPES[type(aggregate)],
                aggregateid=aggregate.id,
                seq=aggregate.event_seq,
                type=draft.type,
                payload=payload,
                api_version=caller.api_version,
                actor=caller.actor,
                request_id=caller.request_id,
                idempotency_key=caller.idempotency_key,
                created_at=created_at_of(identifier),
            )
        )
    return events


def previous_attributes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What an object showed before, where it changed; of a nested object only what changed."""
    previous: dict[str, Any] = {}
    for name in {**before, **after}:
        was, value = before.get(name), after.get(name)
        if was == value:
            continue
        if isinstance(was, dict) and isinstance(value, dict):
            keys = [key for key in {**was, **value} if was.get(key) != value.get(key)]
            previous[name] = {key: was.get(key) for key in keys}
        else:
            previous[name] = was
    return previous
