"""Lets a checkout session follow its payment: what became of it ends the session, with its event.

In the transaction that changes the payment. Lock order: intent, then session. PostgreSQL holds the
same at the end of that transaction (`payments/sql/sessions_follow_their_payment.sql`).
"""

from __future__ import annotations

from typing import Final

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import BankDecision, CheckoutSession, PaymentIntent
from payments.objects.checkout_session import checkout_session_object
from payments.services.outbox.events import EventDraft
from payments.states import CheckoutStatus, IntentStatus

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
    event = _follow(session, intent, bank_decides=bank_decides)
    if not event:
        return []
    session.updated_at = now_utc()
    # Written at once: the answer of the request, rendered before the rest is written, shows it.
    Batch().update(session, _FIELDS).execute()
    return [EventDraft(event, checkout_session_object(session, intent))]


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
        session.expire()
        return "checkout.session.expired"
    awaited = bank_decides and intent.status == IntentStatus.PROCESSING
    if not awaited and intent.status not in _PAID:
        return ""
    session.complete()
    session.completed_at = now_utc()
    session.bank_decision = BankDecision.AWAITED if awaited else BankDecision.NONE
    return "checkout.session.completed"
