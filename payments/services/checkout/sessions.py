"""Creates checkout sessions, each with its payment, and expires them (mode `payment`).

The payment is made with the session, not by the first visit of its page: so a session always has
exactly one, the merchant can name it from the first second, and every guard of payments holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.amounts import check_amount_limits
from payments.clock import now_utc
from payments.exceptions import InvalidParameter, UnexpectedState
from payments.models import CheckoutSession, Operation, PaymentIntent, SetupIntent
from payments.objects.payment_intent import payment_intent_object
from payments.public_ids import created_at_of
from payments.selectors.checkout import sessions
from payments.selectors.scope import CHECKOUT_SESSION, refuse_missing
from payments.services.callers.caller import Subject
from payments.services.commands import IntentDetails
from payments.services.commands.cancel import cancel_locked
from payments.services.commands.create_and_confirm import new_intent
from payments.services.commands.run import command
from payments.services.commands.transaction import CommandTx
from payments.services.outbox.events import EventDraft, events_of
from payments.states import CheckoutStatus

LIFE_LEAST: Final = timedelta(minutes=30)
LIFE_MOST: Final = timedelta(hours=24)
_TOLERANCE: Final = timedelta(minutes=1)
"""A client's clock may differ, and its request takes a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of what is bought."""

    name: str
    unit_amount: Money
    quantity: int = 1
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def total_minor(self) -> int:
        return self.unit_amount.minor * self.quantity

    def stored(self) -> dict[str, Any]:
        """As the session keeps it."""
        return {
            "name": self.name,
            "description": self.description,
            "unit_amount": self.unit_amount.minor,
            "quantity": self.quantity,
            "metadata": self.metadata,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything of a session that is not about money."""

    success_url: str = ""
    cancel_url: str = ""
    customer_email: str = ""
    client_reference_id: str = ""
    locale: str = "auto"
    submit_type: str = "auto"
    metadata: dict[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None
    payment_link_id: UUID | None = None


def total_of(lines: Sequence[Line]) -> Money:
    """What all lines cost together; raises AmountRefused outside the currency's limits."""
    total = Money(sum(line.total_minor for line in lines), lines[0].unit_amount.currency)
    check_amount_limits(total, param="line_items")
    return total


@command(creates_intent=True)
def create_session(
    tx: CommandTx, *, lines: Sequence[Line], details: IntentDetails, page: Page
) -> Subject:
    """Create a session and the payment that its page charges.

    `metadata[order_id]` of the session guards the payment's order as its own would. Raises
    InvalidParameter, AmountRefused and ResourceMissing (customer).
    """
    intent, _ = new_intent(tx, total_of(lines), _with_order(details, page), ())
    session = new_session(intent, page, lines)
    created = EventDraft("payment_intent.created", payment_intent_object(intent))
    events = events_of(intent, [created], tx.caller)
    Batch().insert(intent).insert(session).insert(*events).execute()
    return Subject(intent=intent)


@command
def expire_session(tx: CommandTx, *, session_id: UUID) -> Operation | Subject:
    """End an open session: its payment is canceled, and an open challenge with it.

    Raises UnexpectedState if it is not open, and OperationUnderWay (repeat later).
    """
    intent = tx.lock_intent(_intent_id_of(tx, session_id))
    require_open(CheckoutSession.objects.get(pk=session_id))
    return cancel_locked(tx, intent, "abandoned")


def session_of(subject: PaymentIntent | SetupIntent) -> CheckoutSession:
    """The session of a payment or setup intent that has one, as it now stands."""
    assert subject.checkout_session_id is not None, "it belongs to a session"
    return CheckoutSession.objects.get(pk=subject.checkout_session_id)


def new_session(
    subject: PaymentIntent | SetupIntent, page: Page, lines: Sequence[Line] = ()
) -> CheckoutSession:
    """The session as it is to be inserted; names itself in its new payment or setup intent.

    Raises InvalidParameter (expires_at).
    """
    expires_at, session_id = _expiry(page.expires_at), new_row_id()
    subject.checkout_session_id = session_id
    created_at = created_at_of(session_id)
    return CheckoutSession(
        id=session_id,
        merchant_id=subject.merchant_id,
        livemode=subject.livemode,
        intent_id=subject.id if isinstance(subject, PaymentIntent) else None,
        setup_intent_id=subject.id if isinstance(subject, SetupIntent) else None,
        payment_link_id=page.payment_link_id,
        token=secrets.token_urlsafe(24),
        line_items=[line.stored() for line in lines],
        success_url=page.success_url,
        cancel_url=page.cancel_url,
        customer_email=page.customer_email,
        client_reference_id=page.client_reference_id,
        locale=page.locale,
        submit_type=page.submit_type,
        metadata=page.metadata,
        expires_at=expires_at,
        next_expiry_at=expires_at,
        created_at=created_at,
        updated_at=created_at,
    )


def require_open(session: CheckoutSession) -> None:
    """Refuse to end what has ended; raises UnexpectedState."""
    if session.status != CheckoutStatus.OPEN:
        raise UnexpectedState(
            f"Only an open Checkout Session can be expired. This one is {session.status}.",
            code="checkout_session_unexpected_state",
        )


def _intent_id_of(tx: CommandTx, session_id: UUID) -> UUID:
    found = sessions(tx.caller.scope).filter(pk=session_id).values_list("intent_id", flat=True)
    intent_id: UUID | None = found.first()
    if intent_id is None:
        public_id = public_ids.encode(public_ids.CHECKOUT_SESSION, session_id)
        refuse_missing(CHECKOUT_SESSION, public_id)
    return intent_id


def _with_order(details: IntentDetails, page: Page) -> IntentDetails:
    """The payment's details with the order of the session, unless they name one themselves.

    A payment link is paid many times: its metadata guards no order.
    """
    order_id = page.metadata.get("order_id", "")
    given = details.metadata or {}
    if not order_id or "order_id" in given or page.payment_link_id is not None:
        return details
    return replace(details, metadata={**given, "order_id": order_id})


def _expiry(asked: datetime | None) -> datetime:
    now = now_utc()
    if asked is None:
        return now + LIFE_MOST
    if not now + LIFE_LEAST - _TOLERANCE <= asked <= now + LIFE_MOST + _TOLERANCE:
        raise InvalidParameter(
            "expires_at must be between 30 minutes and 24 hours from now.", param="expires_at"
        )
    return asked
