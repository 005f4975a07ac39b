"""Derives an intent's status from its amounts once money was captured or refunded."""

from __future__ import annotations

from payments.services.outcomes.change import Change
from payments.states import IntentStatus


def become_captured(change: Change) -> None:
    """Set the intent to captured, or to what refunds made meanwhile say."""
    intent = change.intent
    intent.capture()
    intent.published_status = intent.published_status or "succeeded"
    if intent.amount_refunded_minor:
        change.intent_passes_through.append(IntentStatus(intent.status))
        show_refunded(change)


def show_refunded(change: Change) -> None:
    """Set a captured intent to refunded, in part or in full, by its amounts."""
    intent = change.intent
    in_full = intent.amount_refunded_minor >= intent.amount_captured_minor
    if in_full and intent.status != IntentStatus.REFUNDED:
        intent.refund_in_full()
        change.charge.guard_order = None
    elif not in_full and intent.status != IntentStatus.PARTIALLY_REFUNDED:
        intent.refund_in_part()
