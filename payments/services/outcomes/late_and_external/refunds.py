"""Books refunds that succeeded or failed late, or were made in the PSP's dashboard."""

from __future__ import annotations

from payments.models import Refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment


def refund_succeeded(payment: LockedPayment, change: Change, *, was_pending: bool) -> None:
    """The customer gets the money; of a pending refund it is booked already."""
    refund = _refund_of(change)
    if not was_pending:
        change.post(payment.rules.refund_requested, change.operation.amount)
    refund.succeed()
    refund.failure_reason = ""
    change.emit("charge.refunded", "charge")


def refund_failed(payment: LockedPayment, change: Change, *, was_booked: bool) -> None:
    """The refund did not reach the customer: the money is with us again."""
    if was_booked:
        change.post(payment.rules.refund_failed, change.operation.amount)
    reason = change.operation.decline_code or change.operation.code
    _refund_of(change).fail(reason=reason)
    change.emit("refund.failed", "refund")


def refund_pending(payment: LockedPayment, change: Change) -> None:
    """The PSP accepted the refund, and reports the outcome later."""
    change.post(payment.rules.refund_requested, change.operation.amount)


def _refund_of(change: Change) -> Refund:
    assert change.refund is not None, "a refund operation has its refund"
    return change.refund
