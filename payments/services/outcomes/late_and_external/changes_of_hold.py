"""Books captures, voids and increments that succeeded or failed late, or came from the dashboard.

A void books nothing here: what it released follows from what the PSP still holds (`hold`).
"""

from __future__ import annotations

from payments.services.outcomes import bookings
from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind


def capture_succeeded(payment: LockedPayment, change: Change, *, reinstated: bool) -> None:
    """The PSP took the amount."""
    payment.book_capture(change, reinstated=reinstated)
    change.emit("charge.captured", "charge")


def increment_succeeded(payment: LockedPayment, change: Change) -> None:
    """The PSP holds more."""
    change.post(payment.rules.incremented, change.operation.amount)
    change.emit("charge.updated", "charge")


def void_succeeded(payment: LockedPayment, change: Change) -> None:
    """The PSP released the hold."""
    change.emit("charge.refunded" if payment.is_duplicate else "charge.updated", "charge")


def change_reversed(payment: LockedPayment, change: Change) -> None:
    """The PSP reversed a capture, void or increment: reverse what is booked of it."""
    for booking in payment.books.active(change.operation):
        change.reverse(booking)


def book_changes_anew(payment: LockedPayment) -> None:
    """Have increments and captures follow their charge, as `book_refunds_anew` does for refunds.

    Those of a duplicate charge are booked apart, others are not. Call it after every difference is
    applied: what failed by this snapshot is reversed by then, and is not booked anew.
    """
    other_rules = bookings.OWN if payment.is_duplicate else bookings.EXCESS
    for operation in payment.operations:
        is_change = operation.kind in (OperationKind.INCREMENT, OperationKind.CAPTURE)
        if operation.charge_id != payment.charge.id or not is_change:
            continue
        booked = payment.books.active(operation)
        in_other_role = any(each.posting.rule in other_rules for each in booked)
        if operation.status != OperationStatus.SUCCEEDED or not in_other_role:
            continue
        change = payment.change_before_others(operation, refund=None)
        operation.revisions += 1
        for booking in booked:
            change.reverse(booking)
        if operation.kind == OperationKind.CAPTURE:
            payment.book_capture(change, reinstated=True)
        else:
            change.post(payment.rules.incremented, operation.amount)
