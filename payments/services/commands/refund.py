"""Refunds captured money, never more than was captured; cancels refunds that were not sent."""

from __future__ import annotations

from uuid import UUID

from ledger.database.statements import Batch
from ledger.money import Money
from payments import public_ids
from payments.amounts import check_divisibility
from payments.clock import now_utc
from payments.exceptions import (
    AmountRefused,
    ChargeRefused,
    InvalidParameter,
    ResourceMissing,
)
from payments.metadata import merged_metadata
from payments.models import Operation, PaymentIntent, Refund
from payments.objects.refund import refund_object
from payments.selectors.disputes import refundable_of
from payments.services.callers.caller import Caller, Subject
from payments.services.commands.answer_dispute import refuse_or_flag_disputed
from payments.services.commands.approved import refunds as refund_approvals
from payments.services.commands.run import command
from payments.services.commands.transaction import CommandTx
from payments.services.outbox.events import EventDraft, events_of, previous_attributes
from payments.services.outcomes.change import INTENT_FIELDS
from payments.services.outcomes.effects.refunds import new_refund
from payments.services.outcomes.locking import LockedRows, lock_rows
from payments.services.outcomes.recording import withdraw_unsent
from payments.states import IntentStatus, OperationStatus, RefundStatus
from psp_adapters.contract.operations import OperationKind


@command
def refund_payment(
    tx: CommandTx,
    *,
    intent_id: UUID | None = None,
    charge_id: UUID | None = None,
    amount_minor: int | None = None,
    reason: str = "",
    metadata: dict[str, str] | None = None,
) -> Operation | Subject:
    """Send captured money back: all that is left and not charged back, or `amount_minor`.

    The amount is reserved on the intent before anything is sent, so refunds that race can never
    exceed the capture (PostgreSQL checks it too). Over the merchant's limit it waits for approval,
    and nothing is sent before. Raises ChargeRefused, AmountRefused, ResourceMissing and
    InvalidParameter.
    """
    of_charge = _intent_id_of(tx.caller, intent_id, charge_id)
    intent = tx.lock_intent(of_charge, param="payment_intent")
    amount = _refundable_amount(intent, amount_minor)
    refuse_or_flag_disputed(intent, amount, tx.caller)
    assert intent.latest_charge_id is not None, "captured money came from a charge"
    if refund_approvals.is_needed(intent, amount, tx.caller):
        return refund_approvals.write_waiting_refund(
            intent, amount, tx.caller, reason=reason, metadata=metadata
        )
    operation = tx.new_operation(OperationKind.REFUND, intent, amount)
    refund = new_refund(
        operation, charge_id=intent.latest_charge_id, reason=reason, metadata=metadata
    )
    intent.amount_refund_pending_minor += amount.minor
    intent.updated_at = now_utc()
    created = EventDraft("refund.created", refund_object(refund, intent, operation))
    events = events_of(intent, [created], tx.caller)
    batch = Batch().update(intent, INTENT_FIELDS).insert(operation).insert(refund)
    batch.insert(*events).execute()
    return operation


@command
def update_refund(tx: CommandTx, *, refund_id: UUID, metadata: dict[str, str] | None) -> Subject:
    """Change a refund's metadata; nothing else of a refund can be changed."""
    caller = tx.caller
    found = _refund_of(caller, refund_id)
    intent = tx.lock_intent(found.intent_id)
    refund = Refund.objects.select_for_update().get(pk=refund_id)
    operation = None if refund.operation_id is None else _operation_of(refund)
    before = refund_object(refund, intent, operation)
    if metadata is not None:
        refund.metadata = merged_metadata(refund.metadata, metadata)
    refund.updated_at = now_utc()
    batch = Batch().update(refund, ("metadata", "updated_at"))
    shown = refund_object(refund, intent, operation)
    previous = previous_attributes(before, shown)
    if previous:
        drafts = [
            EventDraft(name, shown, previous)
            for name in ("refund.updated", "charge.refund.updated")
        ]
        events = events_of(intent, drafts, caller)
        batch.update(intent, ("event_seq", "updated_at")).insert(*events)
    batch.execute()
    return Subject(intent=intent, operation=operation, refund=refund)


@command
def cancel_refund(tx: CommandTx, *, refund_id: UUID) -> Subject:
    """Cancel a refund that was accepted and certainly has not been sent to the PSP.

    Such a refund waits for approval, or to be sent again after a request that never arrived. Its
    amount can be refunded anew. Raises ChargeRefused if it may have reached the PSP, and
    ResourceMissing.
    """
    found = _refund_of(tx.caller, refund_id)
    if found.operation_id is None:
        withdrawn = _withdraw_waiting(tx, found)
        if withdrawn is not None:
            return withdrawn
        found = _refund_of(tx.caller, refund_id)
    operation = _operation_of(found)
    locked = lock_rows(operation)
    refund = Refund.objects.select_for_update().get(pk=refund_id)
    if refund.operation_id != operation.id:  # Replaced before the payment was locked.
        locked = lock_rows(_operation_of(refund))
    why_not = _why_not_canceled(refund, locked)
    if why_not:
        raise _not_cancelable(refund, why_not)
    withdraw_unsent(locked, refund, tx.caller, detail=f"canceled by {tx.caller.actor}")
    return Subject(intent=locked.intent, operation=locked.operation, refund=refund)


def _withdraw_waiting(tx: CommandTx, found: Refund) -> Subject | None:
    """Cancel a refund that waits for approval; None if it was approved before it was locked."""
    intent = tx.lock_intent(found.intent_id)
    refund = Refund.objects.select_for_update().get(pk=found.pk)
    if refund.operation_id is not None:
        return None
    if not refund.waits_for_approval:
        raise _not_cancelable(refund, f"it is {refund.status} already.")
    refund_approvals.withdraw(intent, refund, tx.caller)
    return Subject(intent=intent, refund=refund)


def _operation_of(refund: Refund) -> Operation:
    assert refund.operation_id is not None, "it does not wait for approval"
    return Operation.objects.get(pk=refund.operation_id)


def _not_cancelable(refund: Refund, why_not: str) -> ChargeRefused:
    return ChargeRefused(
        f"The refund {refund.public_id} cannot be canceled: {why_not}",
        param="id",
        code="refund_not_cancelable",
    )


def _why_not_canceled(refund: Refund, locked: LockedRows) -> str:
    if refund.status != RefundStatus.PENDING:
        return f"it is {refund.status} already."
    if locked.operation.status == OperationStatus.PENDING:
        return (
            "the payment provider has accepted it, and cannot stop it. Wait for refund.updated or "
            "refund.failed."
        )
    if not locked.operation.awaits_first_sending:
        return (
            "it is on its way to the payment provider, which may have carried it out. Wait for "
            "refund.updated or refund.failed."
        )
    if locked.operation.actor.startswith("job:"):
        return "the platform returns a payment with it that succeeded after it had ended."
    if locked.key is not None and locked.key.answer_status is None:
        return (
            "the request that created it has no answer yet. Repeat that request with its "
            "Idempotency-Key first: it would make another refund later."
        )
    return ""


def _refund_of(caller: Caller, refund_id: UUID) -> Refund:
    found = Refund.objects.filter(
        pk=refund_id, merchant_id=caller.merchant.id, livemode=caller.livemode
    ).first()
    if found is None:
        public_id = public_ids.encode(public_ids.REFUND, refund_id)
        raise ResourceMissing(f"No such refund: '{public_id}'", param="id")
    return found


def _intent_id_of(caller: Caller, intent_id: UUID | None, charge_id: UUID | None) -> UUID:
    if charge_id is None:
        if intent_id is None:
            raise InvalidParameter(
                "Pass payment_intent or charge to say what is to be refunded.",
                param="payment_intent",
                code="parameter_missing",
            )
        return intent_id
    charge = Operation.objects.filter(
        pk=charge_id,
        merchant_id=caller.merchant.id,
        livemode=caller.livemode,
        kind=OperationKind.AUTHORIZE,
    ).first()
    if charge is None or intent_id not in (None, charge.intent_id):
        public_id = public_ids.encode(public_ids.CHARGE, charge_id)
        raise ResourceMissing(f"No such charge: '{public_id}'", param="charge")
    if charge.id != PaymentIntent.objects.get(pk=charge.intent_id).latest_charge_id:
        raise ChargeRefused(
            f"The charge {charge.public_id} failed and cannot be refunded.",
            param="charge",
            code="charge_not_refundable",
        )
    return charge.intent_id


def _refundable_amount(intent: PaymentIntent, amount_minor: int | None) -> Money:
    if not intent.amount_captured_minor:
        remedy = "Cancel it to release an authorization."
        if intent.status == IntentStatus.PROCESSING:
            remedy = "It is processing: wait for the event that says how that ended."
        raise ChargeRefused(
            f"Nothing was captured of {intent.public_id}, so nothing can be refunded. {remedy}",
            code="charge_not_refundable",
        )
    left = intent.unrefunded
    if not left:
        raise ChargeRefused(
            f"The captured amount of {intent.public_id} has already been refunded, or is on its "
            "way back.",
            code="charge_already_refunded",
        )
    if amount_minor is None:
        return refundable_of(intent) or left
    amount = Money(amount_minor, intent.currency)
    if amount not in (left, refundable_of(intent)):
        check_divisibility(amount)
    if amount > left:
        raise AmountRefused(
            f"Refund amount ({amount}) is greater than the unrefunded amount ({left}).",
            param="amount",
        )
    return amount
