"""Expires checkout sessions whose time is over, by canceling their payments or setup intents.

What has an unknown outcome is never canceled: its session waits until the outcome is known.
"""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from payments.clock import now_utc
from payments.exceptions import OperationUnderWay, SetupRefused
from payments.models import CheckoutSession, PaymentIntent, SetupIntent
from payments.services import callers
from payments.services.automatic_actions.abandoned_payments import REASON, cancel_for_merchant
from payments.services.callers.caller import CommandRequest, SetupSubject
from payments.services.commands import cancel_setup_intent
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.recovery.setups import resolve_setup_within
from payments.services.recovery.sweep import resolve_within
from payments.states import IntentStatus, SetupStatus

ACTOR: Final = "job:checkout"
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 2.0
LOOK_UP_SECONDS: Final = 5.0
_AGAIN_AFTER: Final = timedelta(minutes=1)
"""For a payment that is under way; recovery finds its outcome much sooner."""
QUEUE: Final = DueQueue(
    CheckoutSession.objects.select_related("intent", "setup_intent"),
    due="next_expiry_at",
    # A look-up and a void, each with its deadline.
    lease=timedelta(seconds=60),
)


def expire_due_sessions(*, limit: int = SWEEP_LIMIT) -> int:
    """Expire the sessions whose time is over; returns how many were taken.

    Bounded in number and time. Safe to repeat, and several workers may run it at once.
    """
    return run_sweep(QUEUE, _expire, most=limit, seconds=SWEEP_SECONDS)


def _expire(session: CheckoutSession) -> Handled:
    if session.setup_intent is not None:
        again_at = _cancel_setup(session.setup_intent)
    else:
        again_at = _cancel(session.payment)
    # Of a session that has ended meanwhile the column is NULL: this changes nothing then.
    QUEUE.under_lease(session).update(next_expiry_at=again_at)
    return Handled.NOT_ASKED


def _cancel(intent: PaymentIntent) -> datetime:
    """Cancel the payment if nothing is held, taken or unknown; returns when to look again."""
    if intent.status == IntentStatus.REQUIRES_ACTION and intent.latest_charge_id is not None:
        # The customer may have completed the challenge without our knowing yet.
        resolve_within(
            intent.latest_charge_id,
            actor=ACTOR,
            answer_by_monotonic=time.monotonic() + LOOK_UP_SECONDS,
        )
        intent = PaymentIntent.objects.get(pk=intent.pk)
    if intent.status == IntentStatus.PROCESSING:
        return now_utc() + _AGAIN_AFTER
    return cancel_for_merchant(intent, actor=ACTOR, reason=REASON) or now_utc() + _AGAIN_AFTER


def _cancel_setup(setup: SetupIntent) -> datetime:
    """Cancel the setup intent unless its outcome is unknown; returns when to look again."""
    if setup.status == SetupStatus.REQUIRES_ACTION and setup.latest_attempt_id is not None:
        resolve_setup_within(
            setup.latest_attempt_id,
            actor=ACTOR,
            answer_by_monotonic=time.monotonic() + LOOK_UP_SECONDS,
        )
    request: CommandRequest[SetupSubject] = CommandRequest(callers.for_intent(setup, ACTOR))
    # Under way or unknown, or kept in the meantime: then the session has ended with it.
    with suppress(OperationUnderWay, SetupRefused):
        cancel_setup_intent(request, setup_intent_id=setup.id, reason=REASON)
    return now_utc() + _AGAIN_AFTER
