"""Applies the first outcome of the void or refund that gives a duplicate charge back.

Nothing here touches the intent's status or counters.
"""

from __future__ import annotations

from ledger import posting_rules as rules
from ledger.money import Money
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.refunds import emit_refund_updated
from payments.states import OperationStatus


def void_succeeded(change: Change) -> None:
    """The duplicate hold was released."""
    operation = change.operation
    operation.succeed()
    change.post(rules.excess_released, operation.amount)
    _count_returned(change, operation.amount)
    change.emit("charge.refunded", "charge")


def refund_succeeded(change: Change) -> None:
    """The duplicate charge was refunded to the customer."""
    operation = change.operation
    assert change.refund is not None, "a refund operation has its refund"
    if operation.status != OperationStatus.PENDING:
        change.post(rules.excess_refund_requested, operation.amount)
    operation.succeed()
    change.refund.succeed()
    _count_returned(change, operation.amount)
    change.emit("charge.refunded", "charge")
    emit_refund_updated(change)


def refund_pending(change: Change) -> None:
    """The PSP accepted it, and reports the outcome later."""
    change.operation.await_psp()
    change.post(rules.excess_refund_requested, change.operation.amount)
    emit_refund_updated(change)


def void_pending(change: Change) -> None:
    """The PSP accepted it, and reports the outcome later."""
    change.operation.await_psp()


def declined(change: Change) -> None:
    """The PSP refused: the sweep of reversals tries again, and an operator has the case."""
    operation, result = change.operation, change.result
    if operation.status == OperationStatus.PENDING and change.refund is not None:
        change.post(rules.excess_refund_failed, operation.amount)
    operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = result.message[:500]
    if change.refund is not None:
        change.refund.fail(reason=result.decline_code or result.code or "unknown")
        change.emit("refund.failed", "refund")
        emit_refund_updated(change)


def not_sent(change: Change) -> None:
    """It never reached the PSP: the sweep of reversals tries again."""
    change.operation.drop()
    if change.refund is not None:
        change.refund.cancel()
        emit_refund_updated(change)


def outcome_unknown(change: Change) -> None:
    """The outcome is unknown; recovery finds out."""
    if change.operation.status != OperationStatus.UNKNOWN:
        change.operation.mark_unknown()


def _count_returned(change: Change, amount: Money) -> None:
    """Count what went back of a duplicate charge; nothing is due once all of it did."""
    charge = change.charge
    charge.excess_returned_minor += amount.minor
    if charge.excess_returned_minor >= charge.excess_minor:
        charge.reversal_due_at = None
