"""Books captures, voids and increments that succeeded or failed late, or came from the dashboard.

A void books nothing here: what it released follows from what the PSP still holds (`hold`).
"""

from __future__ import annotations

from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment


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
