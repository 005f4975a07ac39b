"""Money that is held for a merchant who has not captured it: the warning, the automatic void, and
the question to the PSP once the hold should have run out.

What may not live here: which payments wait (services.deadlines), what an expiry causes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.event_types import HOLD_EXPIRING
from payments.models import Deadline, Merchant, Operation, PaymentIntent
from payments.objects.charge import charge_object
from payments.services import callers
from payments.services.automatic_actions.merchant_commands import cancel_for_merchant
from payments.services.jobs.backoff import next_attempt
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.effects.expiry import REFUSED_CODE
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.operation_sync import Conflict
from payments.services.recovery.payment_sync import sync_payment
from payments.states import IntentStatus, OperationStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "job:expiry"
VOID_REASON: Final = "automatic"
_ASK_AGAIN_LEAST: Final = timedelta(seconds=60)
_ASK_AGAIN_MOST: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Plan:
    """When what happens to a hold, unless it is captured or given up before."""

    warn_at: datetime
    void_at: datetime | None
    """By the merchant's policy; None: never."""
    expires_at: datetime
    """When it runs out at the PSP, as far as we know."""

    @property
    def ends_at(self) -> datetime:
        """The end that the merchant is warned of."""
        return self.expires_at if self.void_at is None else min(self.void_at, self.expires_at)


def plan_of(intent: PaymentIntent, charge: Operation, merchant: Merchant) -> Plan:
    """The plan of a hold: pure.

    A hold that is shorter than twice the merchant's time of warning is warned of at half its life.
    """
    began_at = charge.created_at
    expires_at = intent.authorization_expires_at
    if expires_at is None:
        days = accounts.psp_account_of(charge.psp_account_id).hold_days
        expires_at = began_at + timedelta(days=days)
    void_at = None
    if merchant.void_uncaptured_after_hours is not None:
        void_at = began_at + timedelta(hours=merchant.void_uncaptured_after_hours)
    ends_at = expires_at if void_at is None else min(void_at, expires_at)
    before = min(timedelta(hours=merchant.warn_before_expiry_hours), (ends_at - began_at) / 2)
    return Plan(warn_at=ends_at - before, void_at=void_at, expires_at=expires_at)


def act_on_hold(intent: PaymentIntent, wait: Deadline) -> datetime | None:
    """Do what is due for a hold, and say when to look at it again; None: no more."""
    charge = _charge_of(intent)
    plan = plan_of(intent, charge, Merchant.objects.get(pk=intent.merchant_id))
    now = now_utc()
    if now >= plan.expires_at or _was_refused_as_expired(intent):
        return _ask_whether_expired(intent, charge, plan)
    if plan.void_at is not None and now >= plan.void_at:
        again_at = cancel_for_merchant(intent, actor=ACTOR, reason=VOID_REASON)
        return again_at and min(again_at, plan.expires_at)
    warned = wait.warned_for == plan.ends_at
    if not warned and now >= plan.warn_at:
        _warn(intent, plan)
        warned = True
    return plan.ends_at if warned else plan.warn_at


def _charge_of(intent: PaymentIntent) -> Operation:
    assert intent.latest_charge_id is not None, "money is held by a charge"
    return Operation.objects.get(pk=intent.latest_charge_id)


def _was_refused_as_expired(intent: PaymentIntent) -> bool:
    refused = Operation.objects.filter(
        intent_id=intent.id, charge_id=intent.latest_charge_id, code=REFUSED_CODE
    )
    return refused.filter(status=OperationStatus.DECLINED).exists()


def _ask_whether_expired(intent: PaymentIntent, charge: Operation, plan: Plan) -> datetime:
    """The PSP decides when a hold is over: ask, and later and later if it says that it is not."""
    try:
        sync_payment(charge.id, actor=ACTOR)
    except Inconclusive as reason:
        logger.info("hold of %s: %s", intent.public_id, reason)
    except Conflict as contradiction:
        logger.error("alert: hold of %s: %s", intent.public_id, contradiction)
    return next_attempt(
        now_utc(), since=plan.expires_at, first=_ASK_AGAIN_LEAST, most=_ASK_AGAIN_MOST
    )


def _warn(intent: PaymentIntent, plan: Plan) -> None:
    """Tell once for each end of a hold, under the payment's lock, that it draws near."""
    caller = callers.for_intent(intent, ACTOR)
    with transaction.atomic(durable=True):
        locked = PaymentIntent.objects.select_for_update().get(pk=intent.id)
        wait = Deadline.objects.select_for_update().filter(pk=intent.id).first()
        if locked.status != IntentStatus.AUTHORIZED or wait is None:
            return
        if wait.warned_for == plan.ends_at:
            return
        charge = _charge_of(locked)
        locked.updated_at = now_utc()
        [event] = events_of(
            locked, [EventDraft(HOLD_EXPIRING, charge_object(charge, locked))], caller
        )
        Batch().update(locked, ("event_seq", "updated_at")).insert(event).execute()
        Deadline.objects.filter(pk=intent.id).update(warned_for=plan.ends_at)
