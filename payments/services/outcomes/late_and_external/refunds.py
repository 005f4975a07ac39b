"""Books refunds that succeeded or failed late, or were made in the PSP's dashboard."""

from __future__ import annotations

from payments.models import Refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.late_and_external.locked_payment import (
    DUPLICATE,
    OWN,
    LockedPayment,
)
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind


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


def book_refunds_anew(payment: LockedPayment) -> None:
    """Have the charge's refunds follow it: a duplicate charge's are booked apart, others are not.

    A charge that was reversed may be reinstated as a duplicate, or no longer as one. Refunds that
    were made before stay made.
    """
    before, after = (OWN, DUPLICATE) if payment.is_duplicate else (DUPLICATE, OWN)
    for operation in payment.operations:
        is_refund = operation.kind == OperationKind.REFUND
        if operation.charge_id != payment.charge.id or not is_refund:
            continue
        if operation.gives_excess_back == payment.is_duplicate:
            continue
        refund = payment.refund_of(operation)
        change = payment.change_before_others(operation, refund=refund)
        operation.excess_minor = operation.amount_minor if payment.is_duplicate else 0
        operation.revisions += 1
        if operation.status in (OperationStatus.SUCCEEDED, OperationStatus.PENDING):
            change.post(before.refund_failed, operation.amount)
            change.post(after.refund_requested, operation.amount)


def _refund_of(change: Change) -> Refund:
    assert change.refund is not None, "a refund operation has its refund"
    return change.refund
