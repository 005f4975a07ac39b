"""Applies late outcomes of refunds: they reached the customer after all, or came back."""

from __future__ import annotations

from ledger import posting_rules as rules
from payments.clock import now_utc
from payments.models import Refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.duplicate_charges import count_returned
from payments.services.outcomes.effects.refunds import emit_refund_updated
from payments.services.outcomes.late.revision import (
    ConflictsWithBooks,
    mark_reversed,
    mark_succeeded,
    open_case,
    reclaim_order,
    set_status_from_books,
)
from payments.states import CaseKind, IntentStatus, OperationStatus


def refund_succeeded_late(change: Change) -> None:
    """Post a refund that had been closed without success."""
    before = change.operation.status
    refund_reinstated(change)
    over_minor = change.intent.amount_over_refunded_minor
    remark = " More went back than is left of the payment." if over_minor else ""
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The refund had been closed as {before} and succeeded after all.{remark}",
    )


def refund_reinstated(change: Change) -> None:
    """Post the refund again."""
    intent, operation, refund = change.intent, change.operation, _refund_of(change)
    if operation.gives_excess_back:
        _excess_went_back(change)
        return
    mark_succeeded(change)
    refund.succeed()
    refund.failure_reason = ""
    change.post(rules.refund_requested, operation.amount)
    intent.amount_refunded_minor += operation.amount_minor
    change.update_over_refund()
    set_status_from_books(change, otherwise=IntentStatus(intent.status))
    change.emit("charge.refunded", "charge")
    emit_refund_updated(change)


def refund_reversed(change: Change) -> None:
    """Reverse a refund that the customer's bank returned.

    A full refund had freed the order. The payment reclaims its order unless another payment has it
    by now; an operator then decides.
    """
    intent, operation, refund = change.intent, change.operation, _refund_of(change)
    mark_reversed(change)
    refund.fail(reason=operation.decline_code or operation.code)
    if operation.gives_excess_back:
        _excess_came_back(change)
    else:
        change.post(rules.refund_failed, operation.amount)
        intent.amount_refunded_minor -= operation.amount_minor
        change.update_over_refund()
        set_status_from_books(change, otherwise=IntentStatus(intent.status))
    remark = reclaim_order(change) if intent.amount_captured_minor else ""
    change.emit("refund.failed", "refund")
    change.emit("charge.updated", "charge")
    emit_refund_updated(change)
    open_case(
        change,
        CaseKind.OUTCOME_REVERSED,
        f"The refund did not reach the customer: the money is with us again.{remark}",
    )


def _excess_went_back(change: Change) -> None:
    operation, charge, refund = change.operation, change.charge, _refund_of(change)
    if charge.excess_returned_minor + operation.amount_minor > charge.amount_minor:
        raise ConflictsWithBooks("the provider gave more back than it had taken in excess")
    mark_succeeded(change)
    refund.succeed()
    refund.failure_reason = ""
    change.post(rules.excess_refund_requested, operation.amount)
    count_returned(change, operation.amount)
    change.emit("charge.refunded", "charge")
    emit_refund_updated(change)


def _excess_came_back(change: Change) -> None:
    """Count the refund as not returned; the sweep of reversals gives the money back again."""
    charge = change.charge
    change.post(rules.excess_refund_failed, change.operation.amount)
    charge.excess_returned_minor -= change.operation.amount_minor
    if charge.status == OperationStatus.EXCESS:
        charge.reversal_due_at = now_utc()


def _refund_of(change: Change) -> Refund:
    assert change.refund is not None, "a refund operation has its refund"
    return change.refund
