"""Every type of event that a merchant can hear of, and how a wish for types is read.

The names are Stripe's where Stripe has one; ours start with `x.`, so that they can never be taken
for one of Stripe's. What may not live here: when an event is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

ENDPOINT_DISABLED: Final = "x.webhook_endpoint.disabled"
"""We stopped sending to an endpoint: it failed for days, or answered 410."""

_ENDINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "balance": ("available",),
    "charge": ("succeeded", "pending", "failed", "captured", "updated", "expired", "refunded"),
    "charge.dispute": ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated"),
    "charge.refund": ("updated",),
    "customer": ("created", "updated", "deleted"),
    "payment_intent": (
        *("created", "requires_action", "processing", "amount_capturable_updated", "succeeded"),
        *("payment_failed", "canceled", "partially_funded"),
    ),
    "payment_method": ("attached", "detached", "updated", "automatically_updated"),
    "payout": ("created", "updated", "paid", "failed", "canceled", "reconciliation_completed"),
    "radar.early_fraud_warning": ("created", "updated"),
    "refund": ("created", "updated", "failed"),
    "reporting.report_run": ("succeeded", "failed"),
    "review": ("opened", "closed"),
    "setup_intent": ("created", "requires_action", "succeeded", "setup_failed", "canceled"),
}

EVERYTHING: Final = "*"
EVENT_TYPES: Final = frozenset(
    {f"{start}.{ending}" for start, endings in _ENDINGS.items() for ending in endings}
    | {ENDPOINT_DISABLED}
)
_STARTS: Final = frozenset(
    ".".join(words[:count])
    for words in (event_type.split(".") for event_type in EVENT_TYPES)
    for count in range(1, len(words))
)
WISHES: Final = frozenset({EVERYTHING, *EVENT_TYPES, *(f"{start}.*" for start in _STARTS)})
"""What may stand in `enabled_events`: everything, a type, or the start of types and `.*`."""


def wanted(event_type: str, wishes: Iterable[str]) -> bool:
    """Is this type among the wishes?"""
    words = event_type.split(".")
    meant = {EVERYTHING, event_type}
    meant |= {".".join(words[:count]) + ".*" for count in range(1, len(words))}
    return not meant.isdisjoint(wishes)
