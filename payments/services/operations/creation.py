"""Stores an operation in transaction 1, before it is sent."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from payments.clock import now_utc
from payments.exceptions import OperationUnderWay
from payments.models import Operation, PaymentIntent
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.idempotency import keys
from payments.services.psp_gateway import references
from payments.states import OPERATION_OPEN, IntentStatus
from psp_adapters.contract.operations import OperationKind


def new_operation(
    *,
    kind: OperationKind,
    intent: PaymentIntent,
    amount_minor: int,
    caller: Caller,
    operation_id: UUID,
    idempotency_id: UUID | None,
) -> Operation:
    """An unsaved operation, leased to this process; fields of its kind are added by the command."""
    created_at = created_at_of(operation_id)
    lease_until = now_utc() + timedelta(seconds=keys.LEASE_SECONDS)
    return Operation(
        id=operation_id,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        psp_account_id=intent.psp_account_id,
        kind=kind.value,
        amount_minor=amount_minor,
        currency=intent.currency,
        psp_key=references.reference_of(operation_id),
        psp_payment_id=intent.psp_reference,
        order_id=intent.order_id,
        status_before=intent.status,
        charge_id=None if kind is OperationKind.AUTHORIZE else intent.latest_charge_id,
        actor=caller.actor,
        request_id=caller.request_id,
        idempotency_id=idempotency_id,
        lease_until=lease_until,
        next_check_at=lease_until,
        created_at=created_at,
    )


def require_no_operation_under_way(intent: PaymentIntent) -> None:
    """Refuse with OperationUnderWay while a charge, capture, void or increment is at the PSP."""
    if intent.status == IntentStatus.PROCESSING:
        raise OperationUnderWay(
            f"Another operation of {intent.public_id} is being processed by the payment provider. "
            "Please try the same request again shortly."
        )


def require_no_open_change(intent: PaymentIntent) -> None:
    """Refuse with OperationUnderWay while a capture, void or increment of the intent is open.

    The status alone does not say so: a charge that failed under an open void has moved it on. The
    intent must be locked.
    """
    require_no_operation_under_way(intent)
    changes = intent.operations.exclude(kind__in=[OperationKind.AUTHORIZE, OperationKind.REFUND])
    if changes.filter(status__in=OPERATION_OPEN).exists():
        raise OperationUnderWay(
            f"A change of {intent.public_id} is still open at the payment provider. "
            "Please try the same request again shortly."
        )
