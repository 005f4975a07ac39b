"""Stores an operation in transaction 1, before it is sent."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from ledger.database.instances import new_instance
from payments.exceptions import ChargeRefused, OperationUnderWay, PendingAtBank
from payments.models import Operation, PaymentIntent
from payments.public_ids import created_at_of
from payments.services.callers.caller import Caller
from payments.services.idempotency import keys
from payments.services.psp_gateway import references
from payments.states import OPERATION_OPEN, IntentStatus, OperationStatus
from psp_adapters.contract.operations import OperationKind

_NAMES: Final = {
    OperationKind.AUTHORIZE: "charge",
    OperationKind.INCREMENT: "increment",
    OperationKind.CAPTURE: "capture",
    OperationKind.VOID: "cancellation",
}


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
    lease_until = keys.new_lease()
    return new_instance(
        Operation,
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


def require_current(intent: PaymentIntent, charge_id: UUID | None) -> None:
    """Refuse a command that names a charge which another one has replaced; None names none."""
    if charge_id not in (None, intent.latest_charge_id):
        raise ChargeRefused(
            f"This charge failed, and {intent.public_id} was charged again: use its latest_charge.",
            code="charge_not_current",
        )


def require_no_operation_under_way(intent: PaymentIntent) -> None:
    """Refuse while a charge, capture, void or increment is at the PSP.

    Raises PendingAtBank if the PSP has it and the bank decides later, else OperationUnderWay: it is
    on its way, or its outcome is unknown, and either ends soon.
    """
    if intent.status == IntentStatus.PROCESSING:
        _refuse_if_pending(intent)
        raise OperationUnderWay(
            f"Another operation of {intent.public_id} is being processed by the payment provider. "
            "Please try the same request again shortly."
        )


def _refuse_if_pending(intent: PaymentIntent) -> None:
    under_way = intent.operations.exclude(kind=OperationKind.REFUND).filter(
        status__in=OPERATION_OPEN
    )
    found = list(under_way.order_by("id").values_list("kind", "status"))
    if not found or any(status != OperationStatus.PENDING for _, status in found):
        return
    what = _NAMES[OperationKind(found[0][0])]
    raise PendingAtBank(
        f"This PaymentIntent has a status of processing: its {what} is pending at the customer's "
        "bank, which may take days. Wait for the event that says how it ended, such as "
        "payment_intent.succeeded or payment_intent.payment_failed.",
        intent=intent,
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
