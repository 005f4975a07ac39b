"""Refunds over the limit of their merchant: written as pending, sent once a second person approves.

The refund's amount is reserved on the intent from the start. Lock order: intent, refund, request.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from ledger import posting_rules as rules
from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.clock import now_utc
from payments.exceptions import ChargeRefused
from payments.models import (
    Approval,
    ApprovalCommand,
    Operation,
    PaymentIntent,
    Refund,
    books_of,
)
from payments.objects.refund import refund_object
from payments.services import callers
from payments.services.approvals.requests import (
    Applied,
    ApprovableCommand,
    Draft,
    request_approval,
    void,
)
from payments.services.callers.caller import Caller, CommandRequest, Subject
from payments.services.operations.creation import new_operation
from payments.services.operations.execution import execute_accepted
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes.change import INTENT_FIELDS
from payments.services.outcomes.effects.refunds import new_waiting_refund
from payments.services.outcomes.replacement import why_not_refund
from payments.services.psp_gateway.accounts import psp_account_of
from psp_adapters.contract.operations import OperationKind

WAITS: Final = "Waits for approval"
NOT_APPROVED: Final = "Not approved"
_UPDATED: Final = ("refund.updated", "charge.refund.updated")
_COUNTERS: Final = (
    *("amount_refund_pending_minor", "amount_over_refunded_minor", "amount_excess_minor"),
    *("event_seq", "updated_at"),
)


def is_needed(intent: PaymentIntent, amount: Money, caller: Caller) -> bool:
    """Does a second person decide on this refund? PostgreSQL holds it too.

    What counts is all that goes back of the payment, so that a large refund cannot be made of small
    ones. A late success is given back without.
    """
    returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    returned = Money(returned_minor + amount.minor, intent.currency)
    is_job = caller.actor.startswith("job:")
    return not is_job and caller.merchant.needs_approval_to_refund(returned)


def write_waiting_refund(
    intent: PaymentIntent,
    amount: Money,
    caller: Caller,
    *,
    reason: str,
    metadata: dict[str, str] | None,
) -> Subject:
    """Write a refund that waits for approval, with the request; the intent must be locked."""
    assert intent.latest_charge_id is not None, "captured money came from a charge"
    refund = new_waiting_refund(
        intent, amount, charge_id=intent.latest_charge_id, reason=reason, metadata=metadata
    )
    refund.description = WAITS
    approval = request_approval(_draft(intent, refund, amount, caller))
    refund.approval_id = approval.id
    intent.amount_refund_pending_minor += amount.minor
    intent.updated_at = now_utc()
    created = EventDraft("refund.created", refund_object(refund, intent, None))
    events = events_of(intent, [created], caller)
    Batch().update(intent, INTENT_FIELDS).insert(refund).insert(*events).execute()
    return Subject(intent=intent, refund=refund)


def withdraw(intent: PaymentIntent, refund: Refund, caller: Caller) -> None:
    """Cancel a refund that waits for approval, for its merchant; both rows must be locked."""
    assert refund.approval_id is not None, "a refund that waits has its request"
    approval = Approval.objects.select_for_update().get(pk=refund.approval_id)
    void(approval, actor=caller.actor, why="the merchant canceled the refund")
    _end(intent, refund, caller, description="")


def _draft(intent: PaymentIntent, refund: Refund, amount: Money, caller: Caller) -> Draft:
    account = psp_account_of(intent.psp_account_id)
    parties = rules.Parties(
        psp_account=account.code, merchant=books_of(intent.merchant_id, livemode=intent.livemode)
    )
    limit = Money(caller.merchant.refund_approval_limits[intent.currency], intent.currency)
    returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    returned = Money(returned_minor, intent.currency)
    why = f"A refund of {amount}, after {returned} of {intent.public_id}; the limit is {limit}."
    return Draft(
        command=ApprovalCommand.REFUND_PAYMENT,
        subject=refund.public_id,
        livemode=intent.livemode,
        requester=caller.actor,
        reason=f"{why} Reason: {refund.reason}." if refund.reason else why,
        parameters={
            "payment_intent": intent.public_id,
            "charge": public_ids.encode(public_ids.CHARGE, refund.charge_id),
            "amount_minor": amount.minor,
            "reason": refund.reason or None,
        },
        postings=[rules.refund_requested(parties, amount)],
        amount=amount,
        merchant=caller.merchant,
        psp_account=intent.psp_account,
        intent_id=intent.id,
        request_id=caller.request_id,
    )


def _lock(approval: Approval) -> None:
    assert approval.intent_id is not None, "a refund is of a payment"
    PaymentIntent.objects.select_for_update().get(pk=approval.intent_id)
    Refund.objects.select_for_update().get(approval_id=approval.id)


def _apply(approval: Approval, actor: str) -> Applied:
    """Write the operation of the refund, and tell the merchant that it is processed."""
    intent, refund = _rows_of(approval)
    charge = Operation.objects.get(pk=refund.charge_id)
    why_not = why_not_refund(intent, charge)
    if refund.charge_id != intent.latest_charge_id:
        why_not = "another charge of the payment counts by now"
    if why_not:
        raise ChargeRefused(f"The refund cannot be made any more: {why_not}.")
    caller = callers.for_intent(intent, actor)
    operation = new_operation(
        kind=OperationKind.REFUND,
        intent=intent,
        amount_minor=refund.amount_minor,
        caller=caller,
        operation_id=new_row_id(),
        idempotency_id=None,
    )
    before = refund_object(refund, intent, None)
    refund.operation_id, refund.description = operation.id, ""
    Batch().insert(operation).execute()  # PostgreSQL compares it with the refund.
    batch = Batch().update(refund, ("operation", "description", "updated_at"))
    _tell(batch, intent, refund, operation, before, caller)
    return Applied(
        operation.public_id,
        after_commit=partial(execute_accepted, operation, CommandRequest(caller)),
    )


def _give_up(approval: Approval, actor: str) -> None:
    intent, refund = _rows_of(approval)
    _end(intent, refund, callers.for_intent(intent, actor), description=NOT_APPROVED)


def _end(intent: PaymentIntent, refund: Refund, caller: Caller, *, description: str) -> None:
    """End the refund as canceled, and release its amount."""
    before = refund_object(refund, intent, None)
    refund.cancel()
    refund.description = description
    intent.amount_refund_pending_minor -= refund.amount_minor
    _update_over_refund(intent)
    batch = Batch().update(refund, ("status", "description", "updated_at"))
    _tell(batch, intent, refund, None, before, caller)


def _update_over_refund(intent: PaymentIntent) -> None:
    """What exceeds the captured amount is less by the refund that is not made."""
    returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    over_minor = max(0, returned_minor - intent.amount_captured_minor)
    intent.amount_excess_minor += over_minor - intent.amount_over_refunded_minor
    intent.amount_over_refunded_minor = over_minor


def _tell(
    batch: Batch,
    intent: PaymentIntent,
    refund: Refund,
    operation: Operation | None,
    before: dict[str, object],
    caller: Caller,
) -> None:
    """Write the batch with the update of the refund under both of its event types."""
    intent.updated_at = refund.updated_at = now_utc()
    shown = refund_object(refund, intent, operation)
    previous = previous_attributes(before, shown)
    events = events_of(intent, [EventDraft(name, shown, previous) for name in _UPDATED], caller)
    batch.update(intent, _COUNTERS).insert(*events).execute()


def _rows_of(approval: Approval) -> tuple[PaymentIntent, Refund]:
    """The payment and its refund, which are locked."""
    refund = Refund.objects.get(approval_id=approval.id)
    return PaymentIntent.objects.get(pk=refund.intent_id), refund


REFUND: Final = ApprovableCommand(lock=_lock, apply=_apply, give_up=_give_up)
