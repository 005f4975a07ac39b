"""Lets a checkout session follow its payment or setup intent: the end of that ends it.

In the transaction that changes the payment. Lock order: intent, then session. PostgreSQL holds the
same at the end of that transaction (`payments/sql/sessions_follow_their_payment.sql`).
"""

from __future__ import annotations

from typing import Final

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import BankDecision, CheckoutSession, PaymentIntent, SetupIntent
from payments.objects.checkout_session import checkout_session_object
from payments.services.outbox.events import EventDraft
from payments.states import CheckoutStatus, IntentStatus, SetupStatus

_FIELDS: Final = ("status", "bank_decision", "next_expiry_at", "completed_at", "updated_at")
_PAID: Final = frozenset(
    {
        *(IntentStatus.AUTHORIZED, IntentStatus.CAPTURED),
        *(IntentStatus.PARTIALLY_REFUNDED, IntentStatus.REFUNDED),
    }
)
_NOT_PAID: Final = frozenset({IntentStatus.FAILED, IntentStatus.CANCELED})


def drafts_of_session(intent: PaymentIntent, *, bank_decides: bool = False) -> list[EventDraft]:
    """End the session of a changed, locked intent where the intent has ended; returns its events.

    `bank_decides`: the PSP accepted the charge, and the customer's bank decides in hours or days.
    Nothing happens, and nothing is read, for an intent without a session.
    """
    if intent.checkout_session_id is None:
        return []
    session = CheckoutSession.objects.select_for_update().get(pk=intent.checkout_session_id)
    return _written(session, _follow(session, intent, bank_decides=bank_decides), intent)


def drafts_of_setup_session(setup: SetupIntent) -> list[EventDraft]:
    """The same of a changed, locked setup intent: kept, or canceled."""
    if setup.checkout_session_id is None:
        return []
    session = CheckoutSession.objects.select_for_update().get(pk=setup.checkout_session_id)
    if session.status != CheckoutStatus.OPEN:
        return []
    event = ""
    if setup.status == SetupStatus.SUCCEEDED:
        event = _complete(session)
    elif setup.status == SetupStatus.CANCELED:
        event = _expire(session)
    return _written(session, event, setup)


def _written(
    session: CheckoutSession, event: str, subject: PaymentIntent | SetupIntent
) -> list[EventDraft]:
    """The event of a session that ended, which is written; nothing of one that did not."""
    if not event:
        return []
    session.updated_at = now_utc()
    # Written at once: the answer of the request, rendered before the rest is written, shows it.
    Batch().update(session, _FIELDS).execute()
    return [EventDraft(event, checkout_session_object(session, subject))]


def _follow(session: CheckoutSession, intent: PaymentIntent, *, bank_decides: bool) -> str:
    """Change the session as its payment demands; returns the type of the event, or nothing."""
    if session.status == CheckoutStatus.OPEN:
        return _follow_open(session, intent, bank_decides=bank_decides)
    if session.bank_decision != BankDecision.AWAITED:
        return ""
    if intent.status in _PAID:
        session.bank_decision = BankDecision.SUCCEEDED
        return "checkout.session.async_payment_succeeded"
    if intent.status in _NOT_PAID:
        session.bank_decision = BankDecision.FAILED
        return "checkout.session.async_payment_failed"
    return ""


def _follow_open(session: CheckoutSession, intent: PaymentIntent, *, bank_decides: bool) -> str:
    if intent.status == IntentStatus.CANCELED:
        return _expire(session)
    awaited = bank_decides and intent.status == IntentStatus.PROCESSING
    if not awaited and intent.status not in _PAID:
        return ""
    session.bank_decision = BankDecision.AWAITED if awaited else BankDecision.NONE
    return _complete(session)


def _complete(session: CheckoutSession) -> str:
    session.complete()
    session.completed_at = now_utc()
    return "checkout.session.completed"


def _expire(session: CheckoutSession) -> str:
    session.expire()
    return "checkout.session.expired"
