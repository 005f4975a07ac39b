"""Reads what a late outcome finds: the operation's bookings, the hold, and blocking charges."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.money import Money
from ledger.selectors import Booking, bookings_of, payment_vectors
from payments.models import Merchant, Operation, PaymentIntent
from payments.states import BLOCKING_CHARGE
from psp_adapters.contract.operations import OperationKind


def source_of(operation: Operation) -> str:
    """The source type of an operation's postings: each revision has one of its own."""
    return f"operation/{operation.revisions}" if operation.revisions else "operation"


def read_prior_state(merchant: Merchant, intent: PaymentIntent, operation: Operation) -> PriorState:
    """Read it with intent and operation locked."""
    bookings = bookings_of(payment_id=intent.id, source_id=operation.id)
    last_revision = source_of(operation)
    vectors = {vector.currency: vector for vector in payment_vectors([intent.id])}
    vector = vectors.get(operation.currency)
    taken_by = _order_taken_by(merchant, intent, operation)
    return PriorState(
        active_bookings=[booking for booking in bookings if not booking.reversed_by],
        reversed_bookings=[booking for booking in bookings if booking.reversed_by == last_revision],
        held=vector.held if vector is not None else Money.zero(operation.currency),
        blocking_charge=_blocking_charge(intent, operation, taken_by)
        if operation.is_charge
        else "",
        order_taken_by=taken_by,
    )


def _blocking_charge(intent: PaymentIntent, operation: Operation, taken_by: str) -> str:
    other = (
        intent.operations.filter(
            kind=OperationKind.AUTHORIZE.value, status__in=sorted(BLOCKING_CHARGE)
        )
        .exclude(pk=operation.pk)
        .first()
    )
    if other is not None:
        return f"{other.public_id} holds the payment"
    if taken_by:
        return f"{taken_by} holds its order"
    if operation.amount != intent.amount:
        return f"the payment asks for {intent.amount} by now"
    return ""


def _order_taken_by(merchant: Merchant, intent: PaymentIntent, operation: Operation) -> str:
    """The public id of another payment that occupies the operation's order; empty if there is none.

    Another charge may take the order after this was read. The unique index then refuses the write,
    and the result is recorded at the next look-up.
    """
    if not (merchant.order_guard and operation.order_id):
        return ""
    holder = (
        Operation.objects.filter(
            merchant_id=operation.merchant_id,
            livemode=operation.livemode,
            guard_order=operation.order_id,
        )
        .exclude(intent_id=intent.id)
        .select_related("intent")
        .first()
    )
    return holder.intent.public_id if holder is not None else ""


@dataclass(slots=True, kw_only=True)
class PriorState:
    """What is booked for an operation, and what blocks its charge from holding the payment."""

    active_bookings: list[Booking]
    """Bookings of the operation that were not reversed."""
    reversed_bookings: list[Booking]
    """Bookings that its last revision reversed."""
    held: Money
    """What the books hold for the whole payment, without excess."""
    blocking_charge: str
    """A sentence that says what blocks this charge; empty if nothing does."""
    order_taken_by: str
    """The public id of another payment that occupies the order now; empty if there is none."""
