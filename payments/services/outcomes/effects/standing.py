"""Where a payment stands after a change: what several kinds of operation share.

What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from typing import Any

from ledger.money import Money
from payments.models import Operation
from payments.services.outcomes.change import Change
from payments.services.outcomes.standings import become_captured
from payments.states import IntentStatus, OperationStatus


def held(change: Change) -> Money:
    intent = change.intent
    return Money(intent.amount_authorized_minor - intent.amount_captured_minor, intent.currency)


def note_psp_words(change: Change) -> None:
    """Keep what the PSP said about itself: ids and reasons."""
    operation, result = change.operation, change.result
    operation.psp_id = result.psp_id or operation.psp_id
    operation.psp_payment_id = result.psp_payment_id or operation.psp_payment_id
    operation.detail = result.detail[:500] or operation.detail
    holds = operation.is_charge and operation.status != OperationStatus.EXCESS
    if holds and operation.psp_payment_id and operation.id == change.intent.latest_charge_id:
        change.intent.psp_reference = operation.psp_payment_id


def as_the_charge_stands(change: Change) -> None:
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
    elif held(change):
        intent.authorize()
        change.tell_if_answered("payment_intent.amount_capturable_updated")
    else:
        become_captured(change)
        change.tell("payment_intent.succeeded", "intent")


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
