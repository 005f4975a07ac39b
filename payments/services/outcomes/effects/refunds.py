"""Makes a refund, and applies outcomes while its operation is open."""

from __future__ import annotations

from uuid import UUID

from ledger import posting_rules as rules
from ledger.database.row_ids import new_row_id
from ledger.money import Money
from payments.metadata import merged_metadata
from payments.models import Operation, PaymentIntent, Refund
from payments.public_ids import created_at_of
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import show_refunded
from payments.states import OperationStatus


def new_refund(
    operation: Operation,
    *,
    charge_id: UUID,
    reason: str = "",
    metadata: dict[str, str] | None = None,
) -> Refund:
    """The unsaved refund that an operation makes, ours or an external one."""
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    return Refund(
        id=identifier,
        merchant_id=operation.merchant_id,
        livemode=operation.livemode,
        intent_id=operation.intent_id,
        operation_id=operation.id,
        charge_id=charge_id,
        amount_minor=operation.amount_minor,
        currency=operation.currency,
        reason=reason,
        metadata=merged_metadata({}, metadata or {}),
        created_at=created_at,
        updated_at=created_at,
    )


def new_waiting_refund(
    intent: PaymentIntent,
    amount: Money,
    *,
    charge_id: UUID,
    reason: str = "",
    metadata: dict[str, str] | None = None,
) -> Refund:
    """The unsaved refund that waits for approval: it has no operation yet."""
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    return Refund(
        id=identifier,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        charge_id=charge_id,
        amount_minor=amount.minor,
        currency=amount.currency,
        reason=reason,
        metadata=merged_metadata({}, metadata or {}),
        created_at=created_at,
        updated_at=created_at,
    )


def refund_succeeded(change: Change) -> None:
    intent, operation, refund = change.intent, change.operation, change.refund
    assert refund is not None, "a refund operation has its refund"
    if operation.status != OperationStatus.PENDING:
        change.post(rules.refund_requested, operation.amount)
    operation.succeed()
    refund.succeed()
    intent.amount_refund_pending_minor -= operation.amount_minor
    intent.amount_refunded_minor += operation.amount_minor
    if intent.is_captured:
        show_refunded(change)
    change.emit("charge.refunded", "charge")
    emit_refund_updated(change)


def refund_pending(change: Change) -> None:
    change.operation.await_psp()
    change.post(rules.refund_requested, change.operation.amount)
    emit_refund_updated(change)


def refund_declined(change: Change) -> None:
    operation, refund = change.operation, change.refund
    assert refund is not None, "a refund operation has its refund"
    if operation.status == OperationStatus.PENDING:
        change.post(rules.refund_failed, operation.amount)
    operation.decline()
    operation.code = change.result.code
    operation.message = change.result.message[:500]
    refund.fail(reason=change.result.decline_code or change.result.code or "unknown")
    change.intent.amount_refund_pending_minor -= operation.amount_minor
    change.emit("refund.failed", "refund")
    emit_refund_updated(change)


def refund_not_sent(change: Change) -> None:
    assert change.refund is not None, "a refund operation has its refund"
    change.operation.drop()
    change.refund.cancel()
    change.intent.amount_refund_pending_minor -= change.operation.amount_minor
    emit_refund_updated(change)


def emit_refund_updated(change: Change) -> None:
    """Emit the update of the refund under both of its event types."""
    change.emit("refund.updated", "refund")
    change.emit("charge.refund.updated", "refund")
