"""Cancels abandoned payments after a while, by the ordinary command."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from payments.clock import now_utc
from payments.models import Deadline, PaymentIntent
from payments.services.automatic_actions.merchant_commands import cancel_for_merchant
from payments.states import IntentStatus

ACTOR: Final = "job:abandonment"
REASON: Final = "abandoned"
ABANDONED_FROM: Final = frozenset(
    {IntentStatus.INITIATED, IntentStatus.FAILED, IntentStatus.REQUIRES_ACTION}
)


def act_on_abandoned(intent: PaymentIntent, deadline: Deadline) -> datetime | None:
    """Cancel a payment that has waited for its customer for too long.

    Returns when to check again, or None if it may wait without limit.
    """
    limit = _wait_limit(intent)
    if limit is None:
        return None
    due_at = deadline.waiting_since + limit
    if now_utc() < due_at:
        return due_at
    return cancel_for_merchant(intent, actor=ACTOR, reason=REASON)


def _wait_limit(intent: PaymentIntent) -> timedelta | None:
    """How long a payment may wait for its customer; None: without limit."""
    if intent.status == IntentStatus.REQUIRES_ACTION:
        return timedelta(hours=settings.ABANDONED_CHALLENGES_CANCELED_AFTER_HOURS)
    hours = settings.ABANDONED_INTENTS_CANCELED_AFTER_HOURS
    return timedelta(hours=hours) if hours else None
