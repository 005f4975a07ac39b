"""Applies outcomes of a capture, increment or void while it is open."""

from __future__ import annotations

from ledger import posting_rules as rules
from ledger.selectors import bookings_of
from payments.clock import now_utc
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import become_captured, last_payment_error
from payments.services.outcomes.payment_state import EXPIRED_REASON
from payments.states import IntentStatus, OperationStatus


def capture_succeeded(change: Change) -> None:
    change.operation.succeed()
    change.post_capture(change.operation.amount)
    change.emit("charge.captured", "charge")
    if change.operation.final or not change.intent.held:
        change.post(rules.released, change.intent.held)
        become_captured(change)
    else:
        change.intent.authorize()
        change.emit_status("payment_intent.amount_capturable_updated")


def change_declined(change: Change) -> None:
    """A capture, void or increment that the PSP refused: nothing changed."""
    operation, result = change.operation, change.result
    operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider refused this operation.")[:500]
    restore_status_of_charge(change)


def change_pending(change: Change) -> None:
    change.operation.await_psp()
    change.emit_status("payment_intent.processing")


def change_not_sent(change: Change) -> None:
    change.operation.drop()
    restore_status_of_charge(change)


def increment_succeeded(change: Change) -> None:
    change.operation.succeed()
    change.post(rules.authorization_incremented, change.operation.amount)
    change.intent.amount_minor += change.operation.amount_minor
    change.intent.authorize()
    change.emit("charge.updated", "charge")
    change.emit_status("payment_intent.amount_capturable_updated")


def void_succeeded(change: Change) -> None:
    """Release everything that our books hold; a challenge may end so that another charge begins."""
    intent, charge = change.intent, change.charge
    change.operation.succeed()
    intent.next_action_url = ""
    if charge.status in (OperationStatus.REQUIRES_ACTION, OperationStatus.PENDING):
        charge.withdraw()  # The void released no money (`result_checks`): it was never authorized.
        charge.closed_at = now_utc()
        charge.next_check_at = None
    if change.operation.ends_challenge and charge.status != OperationStatus.SUCCEEDED:
        charge.guard_order = None
        intent.unstart()
        change.emit("charge.updated", "charge")
        return
    change.post(rules.voided, change.intent.held)
    change.emit("charge.updated", "charge")
    if intent.amount_captured_minor:
        become_captured(change)
        return
    _become_canceled(change, reason=change.operation.cancellation_reason)


def restore_status_of_charge(change: Change) -> None:
    """Derive the intent's status from amounts and charge after a change without effect.

    The amounts come first: another charge may hold the payment by now. If the request was answered
    `processing`, an event reports the new status.
    """
    intent, charge = change.intent, change.charge
    if intent.status != IntentStatus.PROCESSING:
        return  # The result of a pending charge came first and moved the intent on.
    if charge.status == OperationStatus.REQUIRES_ACTION:
        intent.await_customer(redirect_url=charge.redirect_url)
        change.emit_if_answered("payment_intent.requires_action")
    elif charge.status == OperationStatus.PENDING:
        return  # The charge itself is pending: the intent stays in processing.
    elif intent.held:
        intent.authorize()
        change.emit_if_answered("payment_intent.amount_capturable_updated")
    elif intent.amount_captured_minor:
        change.emit("charge.updated", "charge")
        become_captured(change)
    elif charge.status != OperationStatus.SUCCEEDED:
        intent.fail()
        intent.last_payment_error = last_payment_error(
            charge, code=charge.code or "card_declined", message=charge.message
        )
        intent.payment_method_id = None
        change.emit_status("payment_intent.payment_failed")
    else:
        reason = _why_nothing_is_held(change)
        change.emit("charge.expired" if reason == EXPIRED_REASON else "charge.updated", "charge")
        _become_canceled(change, reason=reason)


def _become_canceled(change: Change, *, reason: str) -> None:
    """Cancel a payment of which nothing is held or captured any more; its order is free."""
    intent = change.intent
    change.charge.guard_order = None
    intent.cancel(at=now_utc(), reason=reason)
    change.publish("canceled")


def _why_nothing_is_held(change: Change) -> str:
    """The books know whether the hold expired while the operation was under way."""
    expired = any(each.posting.rule == "expired" for each in bookings_of(change.intent.id))
    return EXPIRED_REASON if expired else ""
