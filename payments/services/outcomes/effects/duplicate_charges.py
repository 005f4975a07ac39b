"""Giving a charge back that was one too many: its void or refund, apart from the payment's own.

Nothing here touches the intent's status or counters. What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from ledger import posting_rules as rules
from ledger.money import Money
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.holds import note_other_amount
from payments.services.outcomes.effects.refunds import emit_refund_updated
from payments.states import OperationStatus


def void_succeeded(change: Change) -> None:
    """The second hold is let go, or what was left of it: the rest was captured without us."""
    operation = change.operation
    note_other_amount(change, operation.amount)
    operation.succeed()
    let_go = let_go_of(change)
    if let_go:
        change.post(rules.excess_released, let_go)
    went_back(change, let_go)
    change.emit("charge.refunded", "charge")


def refund_succeeded(change: Change) -> None:
    """The second payment went back to the customer."""
    operation = change.operation
    assert change.refund is not None, "a refund operation has its refund"
    if operation.status != OperationStatus.PENDING:
        change.post(rules.excess_refund_requested, operation.amount)
    operation.succeed()
    change.refund.succeed()
    went_back(change, operation.amount)
    change.emit("charge.refunded", "charge")
    emit_refund_updated(change)


def refund_pending(change: Change) -> None:
    """Accepted; the PSP will say later."""
    change.operation.await_psp()
    change.post(rules.excess_refund_requested, change.operation.amount)
    emit_refund_updated(change)


def void_pending(change: Change) -> None:
    """Accepted; the PSP will say later."""
    change.operation.await_psp()


def declined(change: Change) -> None:
    """Refused: the sweep tries again, and a person has the case."""
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
    """Never reached the PSP: the sweep tries again."""
    change.operation.drop()
    if change.refund is not None:
        change.refund.cancel()
        emit_refund_updated(change)


def doubted(change: Change) -> None:
    """Nobody knows; recovery finds out."""
    if change.operation.status != OperationStatus.UNKNOWN:
        change.operation.doubt()


def let_go_of(change: Change) -> Money:
    """What a void let go of the hold that it was about; all of it unless the PSP says less."""
    let_go, asked = change.result.amount, change.operation.amount
    return asked if let_go is None else min(let_go, asked)


def went_back(change: Change, amount: Money) -> None:
    """Count what went back of a charge too many; the sweep ends when nothing is left."""
    charge = change.charge
    charge.excess_returned_minor += amount.minor
    if charge.excess_returned_minor >= charge.excess_minor:
        charge.reverse_at = None
