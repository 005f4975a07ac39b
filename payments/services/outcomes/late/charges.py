"""Applies late outcomes of a charge: late success, reversal, reinstatement.

A charge is recorded as a duplicate (EXCESS) if another one holds the payment or its order. It is
booked apart, and always given back.
"""

from __future__ import annotations

from ledger import posting_rules as rules
from payments.clock import now_utc
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import last_payment_error
from payments.services.outcomes.late.revision import (
    ConflictsWithBooks,
    NoEffect,
    forget_reason,
    mark_reversed,
    mark_succeeded,
    open_case,
    prior_state_of,
    reclaim_order,
    require_no_open_operation,
    set_status_from_books,
)
from payments.states import CaseKind, IntentStatus, LateSuccessPolicy, OperationStatus


def charge_succeeded_late(change: Change) -> None:
    """Record the success; the merchant's policy decides whether the money goes back."""
    operation, before = change.operation, change.operation.status
    if prior_state_of(change).blocking_charge:
        _exceed(change)
        return
    require_no_open_operation(change)
    mark_succeeded(change)
    reverse = change.merchant.late_success_policy == LateSuccessPolicy.REVERSE
    _book_afresh(change, fee=not reverse)
    _hold_payment(change)
    change.emit("charge.succeeded", "charge")
    change.update_over_refund()
    set_status_from_books(change, otherwise=IntentStatus.FAILED, emits=not reverse)
    if reverse:
        operation.reversal_due_at = now_utc()
    what_follows = "It is being given back." if reverse else "It is kept, by the merchant's policy."
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The charge had been closed as {before} and succeeded after all. {what_follows}",
    )


def charge_reinstated(change: Change) -> None:
    """Post again what the reversal took out of the books."""
    prior = prior_state_of(change)
    if prior.blocking_charge:
        _exceed(change)
        return
    require_no_open_operation(change)
    mark_succeeded(change)
    if any(booking.posting.rule.startswith("excess_") for booking in prior.reversed_bookings):
        _book_afresh(change)
    else:
        for booking in prior.reversed_bookings:
            change.post_again(booking.posting)
    _hold_payment(change)
    change.emit("charge.succeeded", "charge")
    change.update_over_refund()
    set_status_from_books(change, otherwise=IntentStatus.FAILED)


def charge_reversed(change: Change) -> None:
    """Reverse every booking of the charge: nothing of it is held or taken any more."""
    intent, operation, prior = change.intent, change.operation, prior_state_of(change)
    if operation.status == OperationStatus.EXCESS:
        _excess_taken_back(change)
        return
    if not operation.capture_now:
        if intent.amount_captured_minor:
            raise ConflictsWithBooks(
                "the provider undid an authorization of which money was captured"
            )
        if not prior.held:
            raise NoEffect
    require_no_open_operation(change)
    mark_reversed(change)
    for booking in prior.active_bookings:
        change.reverse(booking)
    change.post(rules.released, change.held_after())
    operation.guard_order = operation.reversal_due_at = None
    intent.last_payment_error = last_payment_error(
        operation, code=operation.code, message=operation.message
    )
    change.emit("charge.failed", "charge")
    change.update_over_refund()
    set_status_from_books(change, otherwise=IntentStatus.FAILED)
    remark = ""
    if intent.amount_over_refunded_minor:
        remark = " More went back to the customer than is left with us."
    open_case(change, CaseKind.OUTCOME_REVERSED, f"The provider reversed the whole charge.{remark}")


def _book_afresh(change: Change, *, fee: bool = True) -> None:
    operation = change.operation
    change.post(rules.authorized, operation.amount)
    if operation.capture_now:
        change.post_capture(operation.amount, fee=fee)


def _hold_payment(change: Change) -> None:
    """Make this charge the one that holds the payment."""
    intent, operation = change.intent, change.operation
    intent.latest_charge_id = operation.id
    intent.psp_reference = operation.psp_payment_id
    intent.payment_method_id = operation.payment_method_id
    intent.last_payment_error = None
    intent.next_action_url = ""
    intent.authorization_expires_at = change.result.expires_at
    reclaim_order(change)


def _exceed(change: Change) -> None:
    """Record a duplicate charge: booked apart, shown as its own charge, and given back."""
    intent, operation, before = change.intent, change.operation, change.operation.status
    operation.exceed()
    forget_reason(change)
    operation.guard_order = None
    operation.excess_minor = operation.amount_minor
    if operation.currency == intent.currency:
        intent.amount_excess_minor += operation.amount_minor
    change.post(rules.excess_authorized, operation.amount)
    if operation.capture_now:
        change.post(rules.excess_capture_memo, operation.amount)
        change.post(rules.excess_captured, operation.amount)
    operation.reversal_due_at = now_utc()
    change.emit("charge.succeeded", "charge")
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The charge had been closed as {before} and succeeded after all, although "
        f"{prior_state_of(change).blocking_charge}. It is being given back.",
    )


def _excess_taken_back(change: Change) -> None:
    intent, operation = change.intent, change.operation
    if not operation.capture_now and operation.balance_transaction_id is not None:
        raise ConflictsWithBooks("the provider undid an authorization of which money was captured")
    if not operation.capture_now and operation.excess_returned_minor:
        raise NoEffect  # It was released before.
    mark_reversed(change)
    for booking in prior_state_of(change).active_bookings:
        change.reverse(booking)
    if operation.currency == intent.currency:
        intent.amount_excess_minor -= operation.excess_minor
    operation.excess_minor = 0
    operation.reversal_due_at = None
    change.emit("charge.failed", "charge")
    open_case(change, CaseKind.OUTCOME_REVERSED, "The provider reversed a duplicate charge.")
