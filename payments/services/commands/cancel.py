"""Cancels a payment: at once if nothing is at a PSP, else by voiding the authorization."""

from __future__ import annotations

from uuid import UUID

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.exceptions import UnexpectedState
from payments.models import Operation, PaymentIntent
from payments.objects.payment_intent import payment_intent_object
from payments.services.callers.caller import Caller, Subject
from payments.services.commands.run import command
from payments.services.commands.transaction import CommandTx
from payments.services.operations.creation import require_no_open_change
from payments.services.outbox.events import EventDraft, events_of
from payments.services.outcomes.change import INTENT_FIELDS
from payments.services.outcomes.checkout_sessions import drafts_of_session
from payments.states import IntentStatus
from psp_adapters.contract.operations import OperationKind

_AT_ONCE = frozenset({IntentStatus.INITIATED, IntentStatus.FAILED})
_BY_VOID = frozenset({IntentStatus.AUTHORIZED, IntentStatus.REQUIRES_ACTION})


@command
def cancel_payment(tx: CommandTx, *, intent_id: UUID, reason: str = "") -> Operation | Subject:
    """Cancel an intent and release what is held; what was already captured stays captured.

    Raises UnexpectedState, and OperationUnderWay (repeat later).
    """
    return cancel_locked(tx, tx.lock_intent(intent_id), reason)


def cancel_locked(tx: CommandTx, intent: PaymentIntent, reason: str) -> Operation | Subject:
    """Cancel an intent that this transaction has locked; as `cancel_payment`."""
    require_no_open_change(intent)
    if intent.status in _AT_ONCE and not intent.published_status:
        return _cancel_at_once(intent, reason, tx.caller)
    if intent.status not in _BY_VOID:
        status = payment_intent_object(intent)["status"]
        raise UnexpectedState(
            f"You cannot cancel this PaymentIntent because it has a status of {status}. Refund "
            "it if money was captured.",
            intent=intent,
        )
    operation = tx.new_operation(OperationKind.VOID, intent, intent.held)
    operation.cancellation_reason = reason
    intent.start()
    return tx.write(intent, operation, ("status",))


def _cancel_at_once(intent: PaymentIntent, reason: str, caller: Caller) -> Subject:
    intent.cancel(at=now_utc(), reason=reason)
    intent.published_status = "canceled"
    intent.updated_at = now_utc()
    draft = EventDraft("payment_intent.canceled", payment_intent_object(intent))
    events = events_of(intent, [draft, *drafts_of_session(intent)], caller)
    Batch().update(intent, INTENT_FIELDS).insert(*events).execute()
    return Subject(intent=intent)
