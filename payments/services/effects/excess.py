"""Giving a charge back that was one too many: its void or refund, apart from the payment's own.

Nothing here touches the intent's status or counters. What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from payments.services.changes import Change
from payments.services.effects.held_payments import note_other_amount
from payments.services.effects.refunds import tell_refund
from payments.states import OperationStatus


def void_succeeded(change: Change) -> None:
    """The second hold is let go."""
    note_other_amount(change, change.operation.amount)
    change.operation.succeed()
    change.post_excess_released(change.operation.amount)
    _went_back(change)


def refund_succeeded(change: Change) -> None:
    """The second payment went back to the customer."""
    operation = change.operation
    assert change.refund is not None, "a refund operation has its refund"
    if operation.status != OperationStatus.PENDING:
        change.post_excess_refund_requested(operation.amount)
    operation.succeed()
    change.refund.succeed()
    _went_back(change)
    tell_refund(change)


def refund_pending(change: Change) -> None:
    """Accepted; the PSP will say later."""
    change.operation.await_psp()
    change.post_excess_refund_requested(change.operation.amount)
    tell_refund(change)


def void_pending(change: Change) -> None:
    """Accepted; the PSP will say later."""
    change.operation.await_psp()


def declined(change: Change) -> None:
    """Refused: the sweep tries again, and a person has the case."""
    operation, result = change.operation, change.result
    if operation.status == OperationStatus.PENDING and change.refund is not None:
        change.post_excess_refund_failed(operation.amount)
    operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = result.message[:500]
    if change.refund is not None:
        change.refund.fail(reason=result.decline_code or result.code or "unknown")
        change.tell("refund.failed", "refund")
        tell_refund(change)


def not_sent(change: Change) -> None:
    """Never reached the PSP: the sweep tries again."""
    change.operation.drop()
    if change.refund is not None:
        change.refund.cancel()
        tell_refund(change)


def doubted(change: Change) -> None:
    """Nobody knows; recovery finds out."""
    if change.operation.status != OperationStatus.UNKNOWN:
        change.operation.doubt()


def _went_back(change: Change) -> None:
    change.charge.excess_returned_minor += change.operation.amount_minor
    change.charge.reverse_at = None
    change.tell("charge.refunded", "charge")
