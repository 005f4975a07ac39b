"""Replaces an operation that never reached the PSP, so that what was accepted is carried out.

The replacement is a new operation with a key of its own: the PSP refuses the old one (fence). A
charge is not replaced: its customer may be gone, so it ends as failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db import transaction

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.models import (
    DisputedRefundPolicy,
    IdempotencyKey,
    Merchant,
    Operation,
    PaymentIntent,
)
from payments.public_ids import created_at_of
from payments.selectors.disputes import charged_back_of
from payments.services.cases.opening import case_about_operation
from payments.services.jobs import wakeups
from payments.services.jobs.backoff import next_attempt
from payments.services.outcomes.change import OPERATION_FIELDS, Change
from payments.services.outcomes.duplicate_charges import GIVE_BACK_ACTOR
from payments.services.outcomes.locking import lock_rows
from payments.services.psp_gateway.references import reference_of
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome

_COPIED: Final = (
    "merchant_id",
    "livemode",
    "intent_id",
    "psp_account_id",
    "kind",
    "amount_minor",
    "currency",
    "psp_payment_id",
    "charge_id",
    "order_id",
    "purchase_details",
    "final",
    "cancellation_reason",
    "status_before",
    "actor",
    "request_id",
    "idempotency_id",
)
"""What a replacement has in common with the operation that it replaces."""


def is_replaceable(operation: Operation) -> bool:
    """True for a capture, void, increment or refund of ours that a merchant waits for.

    The void or refund of a duplicate charge is begun again by the sweep of reversals, and the void
    of a challenge by the merchant, who was not told that it was accepted.
    """
    begun_again = operation.gives_excess_back or operation.ends_challenge
    return not (operation.is_charge or operation.is_external or begun_again)


def replace_or_open_case(change: Change, key: IdempotencyKey | None) -> bool:
    """Replace the operation of a NOT_SENT result; False, with a case, if it must end unmade.

    All of it is written here. The merchant sees no difference: payment and refund stay as they
    are. An unanswered key is answered from the replacement. A void of a hold that is gone ends
    without a case.
    """
    operation = change.operation
    is_void = operation.kind == OperationKind.VOID
    if is_void and not (change.intent.held or change.charge.is_open):
        return False
    why_not = _why_not(change.intent, operation, change.charge)
    if why_not:
        summary = f"The {operation.kind} was accepted and never reached the provider: {why_not}."
        change.cases.append(case_about_operation(CaseKind.NOT_CARRIED_OUT, operation, summary))
        return False
    replacement = _replacement_of(operation)
    operation.drop()
    operation.detail = change.result.detail[:500] or operation.detail
    operation.closed_at = operation.lease_until = now_utc()
    operation.next_check_at = None
    # One after the other: PostgreSQL allows one open change, and a refund one operation.
    Batch().update(operation, OPERATION_FIELDS).execute()
    Batch().insert(replacement).execute()
    if change.refund is not None:
        change.refund.operation_id = replacement.id
        change.refund.updated_at = now_utc()
        Batch().update(change.refund, ("operation_id", "updated_at")).execute()
    if key is not None:
        key.operation_id = replacement.id
        Batch().update(key, ("operation_id",)).execute()
    wakeups.wake_in(wakeups.RESOLVE_OPERATIONS, seconds=0)
    return True


def begin_sending(operation: Operation) -> str | None:
    """Note that a replacement is being sent, if its guards still allow it; else say why not.

    It may have waited for hours: the hold may be gone by now, a bank may have charged back, or the
    PSP may have made the operation that it replaces. Returns None if another worker has sent it, or
    the merchant has canceled it. So while `resent_at` is NULL no request can be on its way.
    """
    with transaction.atomic(durable=True):
        locked = lock_rows(operation)
        if not (locked.operation.is_open and locked.operation.awaits_first_sending):
            return None
        charge_id = locked.operation.charge_id
        assert charge_id is not None, "a replacement changes or refunds a charge"
        charge = Operation.objects.get(pk=charge_id)
        why_not = _why_not(locked.intent, locked.operation, charge)
        if not why_not:
            operation.resent_at = now_utc()
            Operation.objects.filter(pk=operation.pk).update(resent_at=operation.resent_at)
    return why_not


def _why_not(intent: PaymentIntent, operation: Operation, charge: Operation) -> str:
    """Why it may not be sent again, by the guards of its command; empty if it may."""
    kind = OperationKind(operation.kind)
    within = timedelta(hours=settings.CARRY_OUT_WITHIN_HOURS)
    if now_utc() - (operation.requested_at or operation.created_at) >= within:
        return f"it was tried for {settings.CARRY_OUT_WITHIN_HOURS} hours"
    if was_made_after_all(operation):
        return "the provider has made the operation that it replaces"
    if operation.actor == GIVE_BACK_ACTOR and charge.reversal_due_at is None:
        return "its charge is not to be given back any more"
    if kind is OperationKind.REFUND:
        return why_not_refund(intent, charge)
    if kind is OperationKind.VOID and charge.is_open:
        return ""
    if charge.status != OperationStatus.SUCCEEDED or not intent.held:
        return "nothing is held any more"
    if kind is OperationKind.CAPTURE and operation.amount > intent.held:
        return f"{intent.held} is held by now"
    return ""


def was_made_after_all(operation: Operation) -> bool:
    """Did one of the operations before it in the chain of replacements succeed late?"""
    if operation.replaces_id is None:
        return False
    earlier = Operation.objects.get(pk=operation.replaces_id)
    return earlier.status == OperationStatus.SUCCEEDED or was_made_after_all(earlier)


def why_not_refund(intent: PaymentIntent, charge: Operation) -> str:
    """Why a refund whose amount is reserved may not be sent; empty if it may."""
    if charge.status != OperationStatus.SUCCEEDED:
        return "the provider has reversed its charge"
    returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    if returned_minor > intent.amount_captured_minor:
        return "less is captured by now"
    # Its own amount is reserved: what remains must be what banks charged back, at least.
    charged_back = charged_back_of(charge).amount
    policy = Merchant.objects.values_list("disputed_refund_policy", flat=True)
    flags = policy.get(pk=intent.merchant_id) == DisputedRefundPolicy.FLAG
    if charged_back > intent.unrefunded and not flags:
        return f"a bank has charged back {charged_back}"
    return ""


def _replacement_of(operation: Operation) -> Operation:
    """The unsaved replacement, due at once, later ones after half of the time tried so far."""
    identifier, now = public_ids.new_id(), now_utc()
    requested_at = operation.requested_at or operation.created_at
    is_first = operation.replaces_id is None
    return Operation(
        **{name: getattr(operation, name) for name in _COPIED},
        id=identifier,
        psp_key=reference_of(identifier),
        replaces_id=operation.id,
        requested_at=requested_at,
        lease_until=now,
        next_check_at=now if is_first else next_attempt(now, since=requested_at),
        created_at=created_at_of(identifier),
    )


def never_reached_psp(change: Change) -> bool:
    """True if the result says that the PSP never got the operation, and it is one to replace."""
    return change.result.outcome is Outcome.NOT_SENT and is_replaceable(change.operation)
