"""Acts on payments that waited too long: warns of and voids holds, syncs expired ones, cancels
abandoned payments.

A trigger inserts a payment's deadline in the transaction in which the payment starts to wait.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from payments.clock import now_utc
from payments.models import Deadline, PaymentIntent
from payments.services.automatic_actions.abandoned_payments import ABANDONED_FROM, act_on_abandoned
from payments.services.automatic_actions.expiring_authorizations import act_on_hold
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.states import IntentStatus

logger = logging.getLogger(__name__)

SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 5.0
"""Short: the heartbeat of its queue waits for it."""
QUEUE: Final = DueQueue(
    Deadline.objects.all(),
    due="next_action_at",
    # A void and a look-up, each with its deadline.
    lease=timedelta(seconds=60),
)
_AFTER_FAILURE: Final = timedelta(minutes=5)


def act_on_due_deadlines(*, limit: int = SWEEP_LIMIT) -> int:
    """Act on the payments whose deadline is due; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _act_and_reschedule, most=limit, seconds=SWEEP_SECONDS)


def _act_and_reschedule(deadline: Deadline) -> Handled:
    reschedule(deadline, _act(deadline))
    return Handled.NOT_ASKED


def _act(deadline: Deadline) -> datetime | None:
    """Returns when the payment is due next, or None if it waits for nothing any more."""
    try:
        intent = PaymentIntent.objects.get(pk=deadline.intent_id)
        if intent.status == IntentStatus.AUTHORIZED:
            return act_on_hold(intent, deadline)
        if intent.status in ABANDONED_FROM:
            return act_on_abandoned(intent, deadline)
    except Exception:
        logger.exception("the deadline of payment %s could not be acted on", deadline.intent_id)
        return now_utc() + _AFTER_FAILURE
    return None


def reschedule(deadline: Deadline, next_action_at: datetime | None) -> None:
    """Set when the payment is due next, or delete the row.

    Does nothing if the lease has passed, or if the payment began to wait anew meanwhile.
    """
    row = QUEUE.under_lease(deadline)
    if next_action_at is None:
        row.delete()
    else:
        row.update(next_action_at=next_action_at)
