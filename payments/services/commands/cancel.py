"""Cancel a payment: at once if nothing is at a PSP, else by voiding what is held there."""

from __future__ import annotations

from uuid import UUID

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.exceptions import UnexpectedState
from payments.models import Operation, PaymentIntent
from payments.objects.payment_intent import payment_intent_object
from payments.services.callers.caller import Answer, Caller, Renderer, Subject
from payments.services.commands.capture import write_change
from payments.services.commands.run import Ground, locked_intent, move
from payments.services.operations.creation import new_operation, require_no_open_change
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.change import INTENT_FIELDS
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

_AT_ONCE = frozenset({IntentStatus.INITIATED, IntentStatus.FAILED})
_BY_VOID = frozenset({IntentStatus.AUTHORIZED, IntentStatus.REQUIRES_ACTION})


def cancel_payment(
    *, caller: Caller, renderer: Renderer, intent_id: UUID, reason: str = ""
) -> Answer:
    """Cancel an intent and release what is held; what was already captured stays captured.

    Refuses with UnexpectedState and OperationUnderWay (repeat later).
    """

    def begin(ground: Ground) -> Operation | Answer:
        intent = locked_intent(caller, intent_id)
        require_no_open_change(intent)
        if intent.status in _AT_ONCE and not intent.published_status:
            return _cancel_at_once(ground, intent, reason)
        if intent.status not in _BY_VOID:
            status = payment_intent_object(intent)["status"]
            raise UnexpectedState(
                f"You cannot cancel this PaymentIntent because it has a status of {status}. Refund "
                "it if money was captured.",
                intent=intent,
            )
        held_minor = intent.amount_authorized_minor - intent.amount_captured_minor
        operation = new_operation(
            kind=OperationKind.VOID,
            intent=intent,
            amount_minor=held_minor,
            caller=caller,
            operation_id=ground.operation_id,
            idempotency_id=ground.idempotency_id,
        )
        operation.cancellation_reason = reason
        return write_change(intent, operation, None, caller)

    return move(caller=caller, renderer=renderer, begin=begin)


def _cancel_at_once(ground: Ground, intent: PaymentIntent, reason: str) -> Answer:
    intent.cancel(at=now_utc(), reason=reason)
    intent.published_status = "canceled"
    intent.updated_at = now_utc()
    fact = EventDraft("payment_intent.canceled", payment_intent_object(intent))
    events = events_of(intent, [fact], ground.caller)
    batch = Batch().update(intent, INTENT_FIELDS).insert(*events)
    return ground.answer(batch, Subject(intent=intent))
