"""Commands that a job gives on behalf of a merchant, when nobody waits for the answer.

What may not live here: when a job gives one.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from payments.clock import now_utc
from payments.exceptions import OperationUnderWay, PspNotReached, UnexpectedState
from payments.models import Operation, PaymentIntent
from payments.services import callers
from payments.services.callers.caller import Answer, Caller, Subject
from payments.services.commands import cancel_payment
from psp_adapters.contract.operations import OperationKind

AGAIN_AFTER: Final = timedelta(minutes=10)
"""A void that came to nothing is not tried at every sweep: the PSP said no, or is not there."""


def cancel_for_merchant(intent: PaymentIntent, *, actor: str, reason: str) -> datetime | None:
    """Cancel a payment through the ordinary command; returns when to try again if it may be needed.

    Waits for whoever else is at work on the payment; None if it cannot be canceled any more.
    """
    last = _last_try(intent, actor)
    if last is not None and now_utc() < last + AGAIN_AFTER:
        return last + AGAIN_AFTER
    caller = callers.for_intent(intent, actor)
    try:
        with suppress(OperationUnderWay, PspNotReached):  # Both say: try again later.
            cancel_payment(caller=caller, renderer=_unseen, intent_id=intent.id, reason=reason)
    except UnexpectedState:
        return None
    return now_utc() + AGAIN_AFTER


def _last_try(intent: PaymentIntent, actor: str) -> datetime | None:
    voids = Operation.objects.filter(intent_id=intent.id, kind=OperationKind.VOID, actor=actor)
    last = voids.order_by("-id").first()
    return last.created_at if last is not None else None


def _unseen(subject: Subject, caller: Caller) -> Answer:
    """Nobody waits for this answer."""
    return Answer(status=200, body="")
