"""Books captures, voids and increments that succeeded or failed late, or came from the dashboard.

A void books nothing here: what it released follows from what the PSP still holds (`hold`).
"""

from __future__ import annotations

from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from psp_adapters.contract.operations import OperationKind


def capture_succeeded(payment: LockedPayment, change: Change, *, reinstated: bool) -> None:
    """The PSP took the amount."""
    payment.book_capture(change, reinstated=reinstated)
    change.emit("charge.captured", "charge")


def increment_succeeded(payment: LockedPayment, change: Change) -> None:
    """The PSP holds more; the payment asks for that much more."""
    change.post(payment.rules.incremented, change.operation.amount)
    if not payment.is_duplicate:
        payment.intent.amount_minor += change.operation.amount_minor
    change.emit("charge.updated", "charge")


def void_succeeded(payment: LockedPayment, change: Change) -> None:
    """The PSP released the hold."""
    change.emit("charge.refunded" if payment.is_duplicate else "charge.updated", "charge")


def change_reversed(payment: LockedPayment, change: Change) -> None:
    """The PSP reversed a capture, void or increment: reverse what is booked of it."""
    operation = change.operation
    for booking in payment.books.active(operation):
        change.reverse(booking)
    if operation.kind == OperationKind.INCREMENT and not payment.is_duplicate:
        payment.intent.amount_minor -= operation.amount_minor
