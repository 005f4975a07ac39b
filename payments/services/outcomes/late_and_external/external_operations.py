"""Inserts a row for each operation made outside our API, in the PSP's dashboard or by an expiry.

A refund also gets its Refund row. They are booked in `application`.
"""

from __future__ import annotations

from typing import Final

from ledger.database.statements import Batch
from payments import public_ids
from payments.models import Operation, Refund
from payments.models.operation import external_operation_key
from payments.public_ids import created_at_of
from payments.services.outcomes.effects.refunds import new_refund
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.payments import PspOperation, PspOperationKind

ACTOR: Final = "psp:dashboard"


def insert_external_operation(
    payment: LockedPayment, shown: PspOperation
) -> tuple[Operation, Refund | None]:
    """Insert the row of an external operation, and its refund.

    Raises IntegrityError for the second one with the same PSP id.
    """
    operation = _operation_of(payment, shown)
    Batch().insert(operation).execute()
    payment.operations.append(operation)
    refund = None
    if shown.kind is PspOperationKind.REFUND:
        refund = insert_refund(payment, operation)
    return operation, refund


def insert_refund(payment: LockedPayment, operation: Operation) -> Refund:
    """Insert the refund of an external operation, or of one that was replaced and yet made."""
    refund = new_refund(operation, charge_id=payment.charge.id)
    Batch().insert(refund).execute()
    return refund


def _operation_of(payment: LockedPayment, shown: PspOperation) -> Operation:
    intent, charge = payment.intent, payment.charge
    identifier = public_ids.new_id()
    created_at = created_at_of(identifier)
    gives_back = shown.kind in (PspOperationKind.VOID, PspOperationKind.REFUND)
    return Operation(
        id=identifier,
        merchant_id=intent.merchant_id,
        livemode=intent.livemode,
        intent_id=intent.id,
        psp_account_id=charge.psp_account_id,
        kind=OperationKind(shown.kind.value).value,
        amount_minor=shown.amount.minor,
        currency=shown.amount.currency,
        psp_key=external_operation_key(shown.psp_id),
        psp_id=shown.psp_id,
        psp_payment_id=charge.psp_payment_id,
        charge_id=charge.id,
        order_id=intent.order_id,
        final=shown.final,
        excess_minor=shown.amount.minor if payment.is_duplicate and gives_back else 0,
        status_before=intent.status,
        detail=f"began at the provider at {shown.at:%Y-%m-%d %H:%M:%S} UTC",
        actor=ACTOR,
        lease_until=created_at,
        next_check_at=created_at,
        created_at=created_at,
    )
