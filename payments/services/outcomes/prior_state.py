"""What the one door must know before it hears a late word: the operation's books, and its rivals.

Reads only, with the intent and the operation locked. What may not live here: what a word causes.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.money import Money
from ledger.selectors import Booking, bookings_of, payment_vectors
from payments.models import Merchant, Operation, PaymentIntent
from payments.states import BLOCKING_CHARGE
from psp_adapters.contract.operations import OperationKind


def source_of(operation: Operation) -> str:
    """The source type of what is booked for an operation: each turn of a PSP has its own."""
    return f"operation/{operation.turns}" if operation.turns else "operation"


def read_prior_state(merchant: Merchant, intent: PaymentIntent, operation: Operation) -> PriorState:
    """What is booked, what is held, and who else holds the payment or its order."""
    bookings = bookings_of(payment_id=intent.id, source_id=operation.id)
    last_turn = source_of(operation)
    vectors = {vector.currency: vector for vector in payment_vectors([intent.id])}
    vector = vectors.get(operation.currency)
    taken_by = _order_taken_by(merchant, intent, operation)
    return PriorState(
        active_bookings=[booking for booking in bookings if not booking.reversed_by],
        reversed_bookings=[booking for booking in bookings if booking.reversed_by == last_turn],
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
    """The payment that occupies the operation's order, if it is another one than its own.

    Another charge may take the order after this was read; the unique index refuses then, and the
    word is heard again.
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
    """What a late word finds in the books and around the payment."""

    active_bookings: list[Booking]
    """Booked for the operation, and not reversed."""
    reversed_bookings: list[Booking]
    """Reversed when it was last taken back."""
    held: Money
    """Of the whole payment, without excess, as booked."""
    blocking_charge: str
    """What holds the payment or its order instead of this charge, in words; empty: nothing."""
    order_taken_by: str
    """The payment that has the order now, if it is another one."""
