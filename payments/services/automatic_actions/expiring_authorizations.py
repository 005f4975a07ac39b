"""Warns of authorizations that expire soon, voids those not captured, and syncs expired ones.

Voids go through the ordinary cancel command. Once the stored expiry of a hold has passed, the
payment is synced: only the PSP decides that the hold has ended.
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
from payments.services.automatic_actions.abandoned_payments import cancel_for_merchant
from payments.services.jobs.backoff import next_attempt
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.payment_state import EXPIRED_CODE
from payments.services.psp_gateway import accounts
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict, sync_payment
from payments.states import IntentStatus, OperationStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "job:expiry"
VOID_REASON: Final = "automatic"
_SYNC_AGAIN_MIN: Final = timedelta(seconds=60)
_SYNC_AGAIN_MAX: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class HoldTimes:
    """The times of a hold, unless it is captured or voided before."""

    warn_at: datetime
    void_at: datetime | None
    """By the merchant's policy; None: never."""
    expires_at: datetime
    """When it runs out at the PSP, as far as we know."""

    @property
    def ends_at(self) -> datetime:
        """The end that the merchant is warned of."""
        return self.expires_at if self.void_at is None else min(self.void_at, self.expires_at)


def times_of(intent: PaymentIntent, charge: Operation, merchant: Merchant) -> HoldTimes:
    """The times of a hold. Pure.

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
    return HoldTimes(warn_at=ends_at - before, void_at=void_at, expires_at=expires_at)


def act_on_hold(intent: PaymentIntent, deadline: Deadline) -> datetime | None:
    """Warn, void or sync what is due; returns when to check again, or None for never."""
    charge = _charge_of(intent)
    times = times_of(intent, charge, Merchant.objects.get(pk=intent.merchant_id))
    now = now_utc()
    if now >= times.expires_at or _was_refused_as_expired(intent):
        return _sync_expired(intent, charge, times)
    if times.void_at is not None and now >= times.void_at:
        again_at = cancel_for_merchant(intent, actor=ACTOR, reason=VOID_REASON)
        return again_at and min(again_at, times.expires_at)
    warned = deadline.warned_for == times.ends_at
    if not warned and now >= times.warn_at:
        _warn(intent, times)
        warned = True
    return times.ends_at if warned else times.warn_at


def _charge_of(intent: PaymentIntent) -> Operation:
    assert intent.latest_charge_id is not None, "money is held by a charge"
    return Operation.objects.get(pk=intent.latest_charge_id)


def _was_refused_as_expired(intent: PaymentIntent) -> bool:
    refused = Operation.objects.filter(
        intent_id=intent.id, charge_id=intent.latest_charge_id, code=EXPIRED_CODE
    )
    return refused.filter(status=OperationStatus.DECLINED).exists()


def _sync_expired(intent: PaymentIntent, charge: Operation, times: HoldTimes) -> datetime:
    """Sync the payment; returns when to do it again if the PSP says that the hold is still open."""
    try:
        sync_payment(charge.id, actor=ACTOR)
    except Inconclusive as reason:
        logger.info("hold of %s: %s", intent.public_id, reason)
    except Conflict as conflict:
        logger.error("alert: hold of %s: %s", intent.public_id, conflict)
    return next_attempt(
        now_utc(), since=times.expires_at, first=_SYNC_AGAIN_MIN, most=_SYNC_AGAIN_MAX
    )


def _warn(intent: PaymentIntent, times: HoldTimes) -> None:
    """Emit the warning once for each end of a hold, under the payment's lock."""
    caller = callers.for_intent(intent, ACTOR)
    with transaction.atomic(durable=True):
        locked = PaymentIntent.objects.select_for_update().get(pk=intent.id)
        deadline = Deadline.objects.select_for_update().filter(pk=intent.id).first()
        if locked.status != IntentStatus.AUTHORIZED or deadline is None:
            return
        if deadline.warned_for == times.ends_at:
            return
        charge = _charge_of(locked)
        locked.updated_at = now_utc()
        [event] = events_of(
            locked, [EventDraft(HOLD_EXPIRING, charge_object(charge, locked))], caller
        )
        Batch().update(locked, ("event_seq", "updated_at")).insert(event).execute()
        Deadline.objects.filter(pk=intent.id).update(warned_for=times.ends_at)
