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
from payments.services.outcomes.late_and_external.differences import (
    Comparison,
    Difference,
    Objection,
)
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.payments import PspOperation, PspOperationKind

ACTOR: Final = "psp:dashboard"


def object_to_ids_of_others(charge: Operation, found: Comparison) -> None:
    """Object to each difference whose PSP id is that of another charge's operation."""
    ids = {each.shown.psp_id for each in found.differences if _brings_an_id(each)}
    if not ids:
        return
    rows = Operation.objects.filter(psp_account_id=charge.psp_account_id, psp_id__in=ids)
    known = {(row.kind, row.psp_id): row.public_id for row in rows}
    for each in list(found.differences):
        other = known.get((each.shown.kind.value, each.shown.psp_id))
        if other is None or not _brings_an_id(each):
            continue
        why = f"the provider shows {each.shown.kind} of {each.shown.amount}, which is {other}"
        found.differences.remove(each)
        found.objections.append(Objection(each.operation or charge, why))


def _brings_an_id(difference: Difference) -> bool:
    return difference.operation is None or difference.operation.psp_id != difference.shown.psp_id


def insert_external_operation(
    payment: LockedPayment, shown: PspOperation
) -> tuple[Operation, Refund | None]:
    """Insert the row of an external operation, and its refund."""
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
        psp_key=external_operation_key(shown.kind.value, shown.psp_id),
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
