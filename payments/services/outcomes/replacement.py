"""Replaces an operation that never reached the PSP, so that what was accepted is carried out.

The replacement is a new operation with a key of its own: the PSP refuses the old one (fence). A
charge is not replaced: its customer may be gone, so it ends as failed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.conf import settings

from ledger.database.statements import Batch
from payments import public_ids
from payments.clock import now_utc
from payments.models import DisputedRefundPolicy, IdempotencyKey, Operation
from payments.public_ids import created_at_of
from payments.selectors.disputes import charged_back_of
from payments.services.cases.opening import case_about_operation
from payments.services.jobs import wakeups
from payments.services.jobs.backoff import next_attempt
from payments.services.outcomes.change import OPERATION_FIELDS, Change
from payments.services.psp_gateway.references import reference_of
from payments.states import OPERATION_OPEN, CaseKind, OperationStatus
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

    The void or refund of a duplicate charge is begun again by the sweep of reversals.
    """
    gives_back = operation.gives_excess_back
    return not (operation.is_charge or operation.is_external or gives_back)


def replace_or_open_case(change: Change, key: IdempotencyKey | None) -> bool:
    """Replace the operation of a NOT_SENT result; False, with a case, if it must end unmade.

    All of it is written here. The merchant sees no difference: payment and refund stay as they
    are. An unanswered key is
    answered from the replacement. A void of a hold that is gone ends without a case.
    """
    operation = change.operation
    if operation.kind == OperationKind.VOID and not _is_anything_to_void(change):
        return False
    why_not = _why_not(change)
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


def is_too_old(operation: Operation) -> bool:
    """True once it was requested so long ago that it is not sent (again)."""
    within = timedelta(hours=settings.CARRY_OUT_WITHIN_HOURS)
    return now_utc() - (operation.requested_at or operation.created_at) >= within


def _why_not(change: Change) -> str:
    """Why it may not be sent again, by the guards of its command; empty if it may."""
    intent, operation, charge = change.intent, change.operation, change.charge
    kind = OperationKind(operation.kind)
    if is_too_old(operation):
        return f"it was tried for {settings.CARRY_OUT_WITHIN_HOURS} hours"
    if kind is OperationKind.REFUND:
        return _why_not_refund(change)
    if kind is OperationKind.VOID:
        return ""
    if charge.status != OperationStatus.SUCCEEDED or not intent.held:
        return "nothing is held any more"
    if kind is OperationKind.CAPTURE and operation.amount > intent.held:
        return f"{intent.held} is held by now"
    return ""


def _is_anything_to_void(change: Change) -> bool:
    return bool(change.intent.held) or change.charge.status in OPERATION_OPEN


def _why_not_refund(change: Change) -> str:
    intent, merchant = change.intent, change.merchant
    returned_minor = intent.amount_refunded_minor + intent.amount_refund_pending_minor
    if returned_minor > intent.amount_captured_minor:
        return "less is captured by now"
    # Its own amount is reserved: what remains must be what banks charged back, at least.
    charged_back = charged_back_of(change.charge).amount
    flags = merchant.disputed_refund_policy == DisputedRefundPolicy.FLAG
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


def is_not_sent(change: Change) -> bool:
    """True if the result says that the PSP never got a replaceable operation."""
    return change.result.outcome is Outcome.NOT_SENT and is_replaceable(change.operation)
