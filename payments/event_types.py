"""Every type of event there is: its name, as merchants know it, and the object that it carries.

The names are Stripe's where Stripe has one; ours start with `x.`, so that they can never be taken
for one of Stripe's. Whatever writes events is held to this table, and webhook endpoints choose from
it. What may not live here: what causes an event, who is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EVERYTHING: Final = "*"
"""The pattern of an endpoint that subscribes to every type."""
ENDPOINT_DISABLED: Final = "x.webhook_endpoint.disabled"
"""We stopped sending to an endpoint: it failed for days, or answered 410."""
HOLD_EXPIRING: Final = "x.charge.expiring"
"""An authorization expires soon and was not captured; emitted once for each expiry."""

EVIDENCE_DUE_SOON: Final = "x.charge.dispute.evidence_due_soon"
"""The time for evidence is nearly over; emitted 72 and 24 hours before the end."""

_BY_OBJECT: Final[dict[str, str]] = {
    "payment_intent": (
        "payment_intent.amount_capturable_updated payment_intent.canceled payment_intent.created "
        "payment_intent.partially_funded payment_intent.payment_failed payment_intent.processing "
        "payment_intent.requires_action payment_intent.succeeded"
    ),
    "charge": (
        "charge.captured charge.expired charge.failed charge.pending charge.refunded "
        f"charge.succeeded charge.updated {HOLD_EXPIRING}"
    ),
    "webhook_endpoint": ENDPOINT_DISABLED,
    "refund": "charge.refund.updated refund.created refund.failed refund.updated",
    "dispute": (
        "charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated "
        f"charge.dispute.funds_withdrawn charge.dispute.updated {EVIDENCE_DUE_SOON}"
    ),
    "customer": "customer.created customer.deleted customer.updated",
    "payment_method": (
        "payment_method.attached payment_method.automatically_updated payment_method.detached "
        "payment_method.updated"
    ),
    "setup_intent": (
        "setup_intent.canceled setup_intent.created setup_intent.requires_action "
        "setup_intent.setup_failed setup_intent.succeeded"
    ),
    "balance": "balance.available",
    "payout": (
        "payout.canceled payout.created payout.failed payout.paid payout.reconciliation_completed "
        "payout.updated"
    ),
    "review": "review.closed review.opened",
    "radar.early_fraud_warning": (
        "radar.early_fraud_warning.created radar.early_fraud_warning.updated"
    ),
    "reporting.report_run": "reporting.report_run.failed reporting.report_run.succeeded",
}

_OF_THINGS_TO_COME: Final = (
    *("payout", "radar.early_fraud_warning", "reporting.report_run", "review", "setup_intent"),
)

EVENT_TYPES: Final[dict[str, str]] = {
    name: shown for shown, names in sorted(_BY_OBJECT.items()) for name in names.split()
}
"""Type of event → type of its `data.object`."""

NOT_TOLD_YET: Final = frozenset(
    {
        *("balance.available", "payment_intent.partially_funded"),
        "payment_method.automatically_updated",
        *(name for name, shown in EVENT_TYPES.items() if shown in _OF_THINGS_TO_COME),
    }
)
"""Names reserved for what does not happen here yet; `enabled_events` may not name them."""

WITH_PREVIOUS_ATTRIBUTES: Final = frozenset(
    {
        "charge.captured",
        "charge.expired",
        "charge.refunded",
        "charge.updated",
        "charge.refund.updated",
        "refund.updated",
    }
)
"""Types that a PSP's result causes for an object shown before: with `previous_attributes`."""

EMITTED: Final = frozenset(EVENT_TYPES) - NOT_TOLD_YET
"""Types that are emitted."""

_STARTS: Final = frozenset(
    ".".join(words[:count])
    for words in (event_type.split(".") for event_type in EMITTED)
    for count in range(1, len(words))
)
EVENT_PATTERNS: Final = frozenset({EVERYTHING, *EMITTED, *(f"{start}.*" for start in _STARTS)})
"""What `enabled_events` may hold: `*`, a type that we emit, or the start of some types and `.*`.
A pattern that matches no event is refused: a merchant would wait for it in vain."""


def matches(event_type: str, patterns: Iterable[str]) -> bool:
    """Whether one of these patterns of `enabled_events` covers the type."""
    words = event_type.split(".")
    covering = {EVERYTHING, event_type}
    covering |= {".".join(words[:count]) + ".*" for count in range(1, len(words))}
    return not covering.isdisjoint(patterns)
