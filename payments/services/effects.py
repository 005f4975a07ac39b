"""What each outcome of each kind of operation causes: transitions, amounts, postings, facts.

One function per kind and outcome, and the table that names them all. Only services.outcomes calls
these, with every row locked. What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.money import Money
from payments.models import Operation
from payments.services.changes import Change
from payments.services.events import now_utc
from payments.states import IntentStatus, OperationStatus
from psp_adapters.contract import OperationKind as K
from psp_adapters.contract import Outcome

Effect = Callable[[Change], None]


def _held(change: Change) -> Money:
    intent = change.intent
    return Money(intent.amount_authorized_minor - intent.amount_captured_minor, intent.currency)


def _note_psp_words(change: Change) -> None:
    """Keep what the PSP said about itself: ids and reasons."""
    operation, result = change.operation, change.result
    operation.psp_id = result.psp_id or operation.psp_id
    operation.psp_payment_id = result.psp_payment_id or operation.psp_payment_id
    operation.detail = result.detail[:500] or operation.detail
    if operation.is_charge and operation.psp_payment_id:
        change.intent.psp_reference = operation.psp_payment_id


def _uncharge(change: Change) -> None:
    """A charge that never left: the intent returns to where it was before."""
    if change.operation.status_before == IntentStatus.FAILED:
        change.intent.fail()
    else:
        change.intent.unstart()


def _as_the_charge_stands(change: Change) -> None:
    """A capture, void or increment without effect: the intent stands where its charge stands.

    Whoever was told `processing` is told where it stands now.
    """
    intent, charge = change.intent, change.charge
    if intent.status != IntentStatus.PROCESSING:
        return  # A charge that was pending under this change has spoken, and moved the intent on.
    if charge.status == OperationStatus.REQUIRES_ACTION:
        intent.await_customer(redirect_url=charge.redirect_url)
        change.tell_if_answered("payment_intent.requires_action")
    elif charge.status == OperationStatus.PENDING:
        return  # The bank has yet to speak: the intent is processing because of its charge.
    elif charge.status != OperationStatus.SUCCEEDED:
        intent.fail()
        intent.last_payment_error = last_payment_error(
            charge, code=charge.code or "card_declined", message=charge.message
        )
        intent.payment_method_id = None
        change.tell("payment_intent.payment_failed", "intent")
    elif _held(change):
        intent.authorize()
        change.tell_if_answered("payment_intent.amount_capturable_updated")
    else:
        _become_captured(change)
        change.tell("payment_intent.succeeded", "intent")


def _void_is_under_way(change: Change) -> bool:
    """Only a void takes an intent on while its charge waits for the customer."""
    waits = change.operation.status == OperationStatus.REQUIRES_ACTION
    return bool(waits and change.intent.status == IntentStatus.PROCESSING)


def _become_captured(change: Change) -> None:
    """Captured for good; refunds that went through meanwhile show at once."""
    intent = change.intent
    intent.capture()
    intent.published_status = intent.published_status or "succeeded"
    if intent.amount_refunded_minor:
        change.intent_passes_through.append(IntentStatus(intent.status))
        _show_refunded(change)


def _show_refunded(change: Change) -> None:
    intent = change.intent
    if intent.amount_refunded_minor == intent.amount_captured_minor:
        intent.refund_in_full()
        change.charge.guard_order = None
    elif intent.status != IntentStatus.PARTIALLY_REFUNDED:
        intent.refund_in_part()


def last_payment_error(charge: Operation, *, code: str, message: str) -> dict[str, Any]:
    """What the intent remembers of a charge that failed."""
    error: dict[str, Any] = {"type": "card_error", "code": code, "message": message}
    if charge.decline_code:
        error["decline_code"] = charge.decline_code
    error["charge"] = charge.public_id
    if charge.payment_method_id:
        error["payment_method_id"] = str(charge.payment_method_id)
        error["payment_method_details"] = charge.payment_method_details
    return error


# --- authorize -------------------------------------------------------------------------------


def _authorize_succeeded(change: Change) -> None:
    intent, operation = change.intent, change.operation
    void_decides = _void_is_under_way(change)
    operation.succeed()
    intent.next_action_url = ""
    intent.last_payment_error = None
    intent.authorization_expires_at = change.result.expires_at
    change.post_authorized(operation.amount)
    change.tell("charge.succeeded", "charge")
    if operation.capture_now:
        change.post_captured(operation.amount)
    if void_decides:
        return
    if operation.capture_now:
        _become_captured(change)
        change.tell("payment_intent.succeeded", "intent")
    else:
        intent.authorize()
        change.tell("payment_intent.amount_capturable_updated", "intent")


def _authorize_declined(change: Change) -> None:
    result, operation = change.result, change.operation
    void_decides = _void_is_under_way(change)
    operation.decline()
    operation.code = result.code or "card_declined"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The payment was declined.")[:500]
    if void_decides:
        operation.guard_order = None
        change.tell("charge.failed", "charge")
        return
    _charge_failed(change, code=operation.code, message=operation.message)


def _charge_failed(change: Change, *, code: str, message: str) -> None:
    intent = change.intent
    change.operation.guard_order = None
    intent.fail()
    intent.next_action_url = ""
    intent.last_payment_error = last_payment_error(change.operation, code=code, message=message)
    intent.payment_method_id = None
    change.tell("charge.failed", "charge")
    change.tell("payment_intent.payment_failed", "intent")


def _authorize_requires_action(change: Change) -> None:
    change.operation.await_customer()
    change.operation.redirect_url = change.result.redirect_url
    change.intent.await_customer(redirect_url=change.result.redirect_url)
    change.tell("payment_intent.requires_action", "intent")


def _authorize_pending(change: Change) -> None:
    # From REQUIRES_ACTION (the customer came back, the bank takes its time) the intent moves on.
    if change.intent.status != IntentStatus.PROCESSING:
        change.intent.start()
        change.intent.next_action_url = ""
    change.operation.await_psp()
    change.tell("charge.pending", "charge")
    change.tell("payment_intent.processing", "intent")


def _authorize_not_sent(change: Change) -> None:
    """Never happened and never will. Who was told `processing` must be told that it failed."""
    operation = change.operation
    operation.drop()
    if change.answered:
        operation.code = "processing_error"
        operation.message = "The payment did not reach the provider. It can be tried again."
        _charge_failed(change, code=operation.code, message=operation.message)
        return
    operation.guard_order = None
    _uncharge(change)


# --- capture ---------------------------------------------------------------------------------


def _capture_succeeded(change: Change) -> None:
    change.operation.succeed()
    change.post_captured(change.operation.amount)
    change.tell("charge.captured", "charge")
    if change.operation.final or not _held(change):
        change.post_released(_held(change))
        _become_captured(change)
        change.tell("payment_intent.succeeded", "intent")
    else:
        change.intent.authorize()
        change.tell("payment_intent.amount_capturable_updated", "intent")


def _change_declined(change: Change) -> None:
    """A capture, void or increment that the PSP refused: nothing changed."""
    operation, result = change.operation, change.result
    operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider refused this operation.")[:500]
    _as_the_charge_stands(change)


def _change_pending(change: Change) -> None:
    change.operation.await_psp()
    change.tell("payment_intent.processing", "intent")


def _change_not_sent(change: Change) -> None:
    change.operation.drop()
    _as_the_charge_stands(change)


# --- increment, void -------------------------------------------------------------------------


def _increment_succeeded(change: Change) -> None:
    change.operation.succeed()
    change.post_incremented(change.operation.amount)
    change.intent.amount_minor += change.operation.amount_minor
    change.intent.authorize()
    change.tell("charge.updated", "charge")
    change.tell("payment_intent.amount_capturable_updated", "intent")


def _void_succeeded(change: Change) -> None:
    intent, charge = change.intent, change.charge
    change.operation.succeed()
    intent.next_action_url = ""
    if charge.status in (OperationStatus.REQUIRES_ACTION, OperationStatus.PENDING):
        _close_charge_by_void(change)
    change.post_voided(_held(change))
    if intent.amount_captured_minor:
        _become_captured(change)
        change.tell("payment_intent.succeeded", "intent")
        return
    charge.guard_order = None
    intent.cancel(at=now_utc(), reason=change.operation.cancellation_reason)
    intent.published_status = intent.published_status or "canceled"
    change.tell("charge.updated", "charge")
    change.tell("payment_intent.canceled", "intent")


def _close_charge_by_void(change: Change) -> None:
    """The void came before we knew how the charge ended; what it let go had been authorized."""
    charge, let_go = change.charge, change.result.amount
    if let_go:
        charge.succeed()
        change.post_authorized(let_go)
    else:
        charge.withdraw()
    charge.closed_at = now_utc()
    charge.next_check_at = None


# --- refund ----------------------------------------------------------------------------------


def _refund_succeeded(change: Change) -> None:
    intent, operation, refund = change.intent, change.operation, change.refund
    assert refund is not None, "a refund operation has its refund"
    if operation.status != OperationStatus.PENDING:
        change.post_refund_requested(operation.amount)
    operation.succeed()
    refund.succeed()
    intent.amount_refund_pending_minor -= operation.amount_minor
    intent.amount_refunded_minor += operation.amount_minor
    if intent.is_captured:
        _show_refunded(change)
    change.tell("charge.refunded", "charge")
    _tell_refund(change)


def _refund_pending(change: Change) -> None:
    change.operation.await_psp()
    change.post_refund_requested(change.operation.amount)
    _tell_refund(change)


def _refund_declined(change: Change) -> None:
    operation, refund = change.operation, change.refund
    assert refund is not None, "a refund operation has its refund"
    if operation.status == OperationStatus.PENDING:
        change.post_refund_failed(operation.amount)
    operation.decline()
    operation.code = change.result.code
    operation.message = change.result.message[:500]
    refund.fail(reason=change.result.decline_code or change.result.code or "unknown")
    change.intent.amount_refund_pending_minor -= operation.amount_minor
    change.tell("refund.failed", "refund")
    _tell_refund(change)


def _refund_not_sent(change: Change) -> None:
    assert change.refund is not None, "a refund operation has its refund"
    change.operation.drop()
    change.refund.cancel()
    change.intent.amount_refund_pending_minor -= change.operation.amount_minor
    _tell_refund(change)


def _tell_refund(change: Change) -> None:
    change.tell("refund.updated", "refund")
    change.tell("charge.refund.updated", "refund")


# --- any kind --------------------------------------------------------------------------------


def _doubt(change: Change) -> None:
    if change.operation.status == OperationStatus.UNKNOWN:
        return
    change.operation.doubt()
    if change.operation.kind != K.REFUND:
        change.tell("payment_intent.processing", "intent")


EFFECTS: Final[dict[tuple[K, Outcome], Effect]] = {
    (K.AUTHORIZE, Outcome.SUCCEEDED): _authorize_succeeded,
    (K.AUTHORIZE, Outcome.DECLINED): _authorize_declined,
    (K.AUTHORIZE, Outcome.REQUIRES_ACTION): _authorize_requires_action,
    (K.AUTHORIZE, Outcome.PENDING): _authorize_pending,
    (K.AUTHORIZE, Outcome.NOT_SENT): _authorize_not_sent,
    (K.CAPTURE, Outcome.SUCCEEDED): _capture_succeeded,
    (K.CAPTURE, Outcome.DECLINED): _change_declined,
    (K.CAPTURE, Outcome.PENDING): _change_pending,
    (K.CAPTURE, Outcome.NOT_SENT): _change_not_sent,
    (K.INCREMENT, Outcome.SUCCEEDED): _increment_succeeded,
    (K.INCREMENT, Outcome.DECLINED): _change_declined,
    (K.INCREMENT, Outcome.PENDING): _change_pending,
    (K.INCREMENT, Outcome.NOT_SENT): _change_not_sent,
    (K.VOID, Outcome.SUCCEEDED): _void_succeeded,
    (K.VOID, Outcome.DECLINED): _change_declined,
    (K.VOID, Outcome.PENDING): _change_pending,
    (K.VOID, Outcome.NOT_SENT): _change_not_sent,
    (K.REFUND, Outcome.SUCCEEDED): _refund_succeeded,
    (K.REFUND, Outcome.DECLINED): _refund_declined,
    (K.REFUND, Outcome.PENDING): _refund_pending,
    (K.REFUND, Outcome.NOT_SENT): _refund_not_sent,
    **{(kind, Outcome.UNKNOWN): _doubt for kind in K},
}


def apply_effect(change: Change) -> None:
    """Make the change in memory; raises LookupError for an outcome this kind cannot have."""
    kind = K(change.operation.kind)
    effect = EFFECTS.get((kind, change.result.outcome))
    if effect is None:
        raise LookupError(f"a {kind} has no outcome {change.result.outcome}")
    _note_psp_words(change)
    effect(change)
