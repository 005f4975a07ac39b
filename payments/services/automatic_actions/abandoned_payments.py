"""Cancels payments that their customers abandoned, with the ordinary cancel command."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings

from payments.clock import now_utc
from payments.exceptions import (
    OperationUnderWay,
    PendingAtBank,
    PspNotReached,
    UnexpectedState,
)
from payments.models import Deadline, Operation, PaymentIntent
from payments.services import callers
from payments.services.callers.caller import CommandRequest
from payments.services.commands import cancel_payment
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

ACTOR: Final = "job:abandonment"
REASON: Final = "abandoned"
ABANDONED_FROM: Final = frozenset(
    {IntentStatus.INITIATED, IntentStatus.FAILED, IntentStatus.REQUIRES_ACTION}
)
RETRY_VOID_AFTER: Final = timedelta(minutes=10)
"""A void that the PSP declined or did not answer is not retried at every sweep."""


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


def cancel_for_merchant(intent: PaymentIntent, *, actor: str, reason: str) -> datetime | None:
    """Cancel a payment through the ordinary command; returns when to try again if it may be needed.

    Waits for an operation under way. Returns None if the payment can no longer be canceled.
    """
    last = _last_try(intent, actor)
    if last is not None and now_utc() < last + RETRY_VOID_AFTER:
        return last + RETRY_VOID_AFTER
    caller = callers.for_intent(intent, actor)
    try:
        with suppress(OperationUnderWay, PendingAtBank, PspNotReached):  # Try again later.
            cancel_payment(CommandRequest(caller), intent_id=intent.id, reason=reason)
    except UnexpectedState:
        return None
    return now_utc() + RETRY_VOID_AFTER


def _last_try(intent: PaymentIntent, actor: str) -> datetime | None:
    voids = Operation.objects.filter(intent_id=intent.id, kind=OperationKind.VOID, actor=actor)
    last = voids.order_by("-id").first()
    return last.created_at if last is not None else None
