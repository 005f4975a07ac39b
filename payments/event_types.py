"""Every type of event there is: its name, as merchants know it, and the object that it carries.

The names are Stripe's, exactly. Whatever writes events is held to this table, and webhook endpoints
choose from it. What may not live here: what causes an event, who is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

EVERY_TYPE: Final = "*"
"""What an endpoint says that wants them all."""

_BY_OBJECT: Final[dict[str, str]] = {
    "payment_intent": (
        "payment_intent.amount_capturable_updated payment_intent.canceled payment_intent.created "
        "payment_intent.partially_funded payment_intent.payment_failed payment_intent.processing "
        "payment_intent.requires_action payment_intent.succeeded"
    ),
    "charge": (
        "charge.captured charge.expired charge.failed charge.pending charge.refunded "
        "charge.succeeded charge.updated"
    ),
    "refund": "charge.refund.updated refund.created refund.failed refund.updated",
    "dispute": (
        "charge.dispute.closed charge.dispute.created charge.dispute.funds_reinstated "
        "charge.dispute.funds_withdrawn charge.dispute.updated"
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

EVENT_TYPES: Final[dict[str, str]] = {
    name: shown for shown, names in sorted(_BY_OBJECT.items()) for name in names.split()
}
"""Type of event → type of its `data.object`."""

TELL_PREVIOUS: Final = frozenset(
    {
        "charge.captured",
        "charge.expired",
        "charge.refunded",
        "charge.updated",
        "charge.refund.updated",
        "refund.updated",
    }
)
"""What a PSP's word changed about an object that was shown before: told with what it was."""


def is_pattern(pattern: str) -> bool:
    """Does it name at least one type: a type, the start of some and `.*`, or `*`?"""
    return any(matches(pattern, name) for name in EVENT_TYPES)


def matches(pattern: str, event_type: str) -> bool:
    """Is the type one that the pattern names?"""
    if pattern.endswith(".*"):
        return event_type.startswith(pattern[:-1])
    return pattern in (EVERY_TYPE, event_type)


def wanted(patterns: Iterable[str], event_type: str) -> bool:
    """Does one of the patterns (an endpoint's `enabled_events`) name the type?"""
    return any(matches(pattern, event_type) for pattern in patterns)
