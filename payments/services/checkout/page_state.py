"""What the page of a session shows now: derived from the session and its payment, never stored.

In mode `setup` the setup intent stands for the payment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from payments.clock import now_utc
from payments.models import BankDecision, CheckoutSession, PaymentIntent, SetupIntent
from payments.selectors.checkout import attempts_of
from payments.states import CheckoutStatus, IntentStatus, SetupStatus

_PLACE_OF_ID: Final = "{CHECKOUT_SESSION_ID}"


class Shown(StrEnum):
    """The state of the page."""

    PAY = "pay"
    """It takes a payment."""
    CHALLENGE = "challenge"
    """The customer has to confirm at the bank, or pays in another way."""
    CHECKING = "checking"
    """The result is not known yet; the page waits for it."""
    SUCCEEDED = "succeeded"
    """Paid or held; in mode `setup`, kept."""
    ACCEPTED = "accepted"
    """The customer is done; the bank decides in hours or days."""
    FAILED = "failed"
    """The customer was done, and the bank refused later."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageState:
    """What is shown, and where the customer may go from here."""

    shown: Shown
    attempt: int
    """Of the next charge: the page sends it back, so that two tabs cannot charge twice."""
    bank_url: str = ""
    """CHALLENGE: the page of the bank."""
    success_url: str = ""
    error: dict[str, Any] | None = None
    """PAY: why the last attempt failed, as the payment keeps it."""


def state_of(session: CheckoutSession) -> PageState:
    """The state of a session that was read together with its payment or setup intent."""
    subject, shown = session.subject, _shown(session)
    return PageState(
        shown=shown,
        attempt=attempts_of(subject) + 1,
        bank_url=subject.next_action_url if shown == Shown.CHALLENGE else "",
        success_url=success_url_of(session),
        error=_error(subject),
    )


def success_url_of(session: CheckoutSession) -> str:
    """Where the merchant wants the customer after the payment, with the session's id put in."""
    return session.success_url.replace(_PLACE_OF_ID, session.public_id)


def _error(subject: PaymentIntent | SetupIntent) -> dict[str, Any] | None:
    if isinstance(subject, SetupIntent):
        waits = subject.status == SetupStatus.REQUIRES_PAYMENT_METHOD
        return subject.last_setup_error if waits else None
    return subject.last_payment_error if subject.status == IntentStatus.FAILED else None


def _shown(session: CheckoutSession) -> Shown:
    if session.status == CheckoutStatus.EXPIRED:
        return Shown.EXPIRED
    if session.status == CheckoutStatus.COMPLETE:
        return _shown_of_complete(session)
    match session.subject.status:
        case IntentStatus.PROCESSING | SetupStatus.PROCESSING:
            return Shown.CHECKING
        case IntentStatus.REQUIRES_ACTION | SetupStatus.REQUIRES_ACTION:
            return Shown.CHALLENGE
        case _:
            return Shown.EXPIRED if session.expires_at <= now_utc() else Shown.PAY


def _shown_of_complete(session: CheckoutSession) -> Shown:
    match session.bank_decision:
        case BankDecision.AWAITED:
            return Shown.ACCEPTED
        case BankDecision.FAILED:
            return Shown.FAILED
        case _:
            return Shown.SUCCEEDED
