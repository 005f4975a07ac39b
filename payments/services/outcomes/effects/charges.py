"""Applies outcomes of a charge while it is open: hold, sale, decline, the customer's challenge.

Also sets the intent's status once money was captured or refunded.
"""

from __future__ import annotations

from typing import Any

from ledger import posting_rules as rules
from payments.models import Operation
from payments.services.outcomes.change import Change
from payments.states import OPERATION_OPEN, IntentStatus, OperationStatus
from psp_adapters.contract.operations import REQUEST_REFUSED, OperationKind


def charge_succeeded(change: Change) -> None:
    intent, operation = change.intent, change.operation
    void_decides = _void_is_under_way(change)
    operation.succeed()
    intent.next_action_url = ""
    intent.last_payment_error = None
    intent.authorization_expires_at = change.result.expires_at
    change.post(rules.authorized, operation.amount)
    change.emit("charge.succeeded", "charge")
    if operation.capture_now:
        change.post_capture(operation.amount)
    if void_decides:
        return
    change.keeps_method = bool(operation.save_for)
    if operation.capture_now:
        become_captured(change)
    else:
        intent.authorize()
        change.emit("payment_intent.amount_capturable_updated", "intent")


def charge_declined(change: Change) -> None:
    result, operation = change.result, change.operation
    void_decides = _void_is_under_way(change)
    operation.decline()
    operation.code = result.code or "card_declined"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The payment was declined.")[:500]
    if void_decides:
        operation.guard_order = None
        change.emit("charge.failed", "charge")
        return
    _charge_failed(change, code=operation.code, message=operation.message)


def charge_requires_action(change: Change) -> None:
    was_pending = change.operation.status == OperationStatus.PENDING
    change.operation.await_customer()
    change.operation.redirect_url = change.result.redirect_url
    if was_pending and _is_void_open(change):
        return  # Its outcome decides what becomes of the payment.
    change.intent.await_customer(redirect_url=change.result.redirect_url)
    change.emit("payment_intent.requires_action", "intent")


def charge_pending(change: Change) -> None:
    # From REQUIRES_ACTION (the customer came back, the bank takes its time) the intent moves on.
    if change.intent.status != IntentStatus.PROCESSING:
        change.intent.start()
        change.intent.next_action_url = ""
    change.operation.await_psp()
    change.emit("charge.pending", "charge")
    change.emit("payment_intent.processing", "intent")


def charge_not_sent(change: Change) -> None:
    """The charge never reached the PSP. If the answer was `processing`, it now counts as failed."""
    operation = change.operation
    operation.drop()
    if change.answered:
        operation.code = "processing_error"
        operation.message = "The payment did not reach the provider. It can be tried again."
        _charge_failed(change, code=operation.code, message=operation.message)
        return
    operation.guard_order = None
    _uncharge(change)


def become_captured(change: Change) -> None:
    """Set the intent to captured, or to what refunds made meanwhile say, and publish that."""
    intent = change.intent
    intent.capture()
    change.publish("succeeded")
    if intent.amount_refunded_minor:
        change.intent_passes_through.append(IntentStatus(intent.status))
        show_refunded(change)


def show_refunded(change: Change) -> None:
    """Set a captured intent to refunded, in part or in full, by its amounts."""
    intent = change.intent
    in_full = intent.amount_refunded_minor >= intent.amount_captured_minor
    if in_full and intent.status != IntentStatus.REFUNDED:
        intent.refund_in_full()
        change.charge.guard_order = None
    elif not in_full and intent.status != IntentStatus.PARTIALLY_REFUNDED:
        intent.refund_in_part()


def last_payment_error(charge: Operation, *, code: str, message: str) -> dict[str, Any]:
    """What the intent shows as `last_payment_error` for a charge that failed."""
    type_ = "invalid_request_error" if code == REQUEST_REFUSED else "card_error"
    error: dict[str, Any] = {"type": type_, "code": code, "message": message}
    if charge.decline_code:
        error["decline_code"] = charge.decline_code
    error["charge"] = charge.public_id
    if charge.payment_method_id:
        error["payment_method_id"] = str(charge.payment_method_id)
        error["payment_method_details"] = charge.payment_method_details
    return error


def _charge_failed(change: Change, *, code: str, message: str) -> None:
    intent = change.intent
    change.operation.guard_order = None
    intent.fail()
    intent.next_action_url = ""
    intent.last_payment_error = last_payment_error(change.operation, code=code, message=message)
    intent.payment_method_id = None
    change.emit("charge.failed", "charge")
    change.emit("payment_intent.payment_failed", "intent")


def _uncharge(change: Change) -> None:
    """Return the intent to its status before a charge that never reached the PSP."""
    if change.operation.status_before == IntentStatus.FAILED:
        change.intent.fail()
    else:
        change.intent.unstart()


def _is_void_open(change: Change) -> bool:
    voids = Operation.objects.filter(intent_id=change.intent.id, kind=OperationKind.VOID.value)
    return voids.filter(status__in=sorted(OPERATION_OPEN)).exists()


def _void_is_under_way(change: Change) -> bool:
    """True while a void is in progress on a charge that waits for the customer."""
    waits = change.operation.status == OperationStatus.REQUIRES_ACTION
    return bool(waits and change.intent.status == IntentStatus.PROCESSING)
