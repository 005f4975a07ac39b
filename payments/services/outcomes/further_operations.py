"""Records what a PSP has beside an operation under the same reference: it acted twice for one key.

A further charge gets a row of its own, closed without success. Its payment is then synced like any
that succeeded late: booked apart, and given back. A further change or refund is an external
operation of the same payment, which the next sync finds.
"""

from __future__ import annotations

from typing import Final

from ledger.database.row_ids import new_row_id
from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.models import Operation
from payments.models.operation import external_operation_key
from payments.public_ids import created_at_of
from payments.services.cases.opening import case_about_operation, open_case
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import Outcome, PspResult

SECOND_CHARGE_ACTOR: Final = "psp:second-charge"


def record_further_operations(operation: Operation, charge: Operation, result: PspResult) -> None:
    """Have each further operation of a result synced, with a case for each further charge.

    The rows must be locked, and written as they are. One that is known already changes nothing.
    """
    moved = [each for each in result.also_found if each.outcome is not Outcome.DECLINED]
    if not moved:
        return
    if not operation.is_charge:
        Operation.objects.filter(pk=charge.pk).update(next_check_at=now_utc())
        return
    known = set(
        Operation.objects.filter(psp_account_id=operation.psp_account_id, kind=operation.kind)
        .filter(psp_id__in=[each.psp_id for each in moved])
        .values_list("psp_id", flat=True)
    )
    for each in moved:
        if each.psp_id and each.psp_id not in known | {result.psp_id}:
            _insert_further_charge(operation, each)


def _insert_further_charge(operation: Operation, found: PspResult) -> None:
    identifier = new_row_id()
    created_at = created_at_of(identifier)
    amount = found.amount or operation.amount
    further = Operation(
        id=identifier,
        merchant_id=operation.merchant_id,
        livemode=operation.livemode,
        intent_id=operation.intent_id,
        psp_account_id=operation.psp_account_id,
        kind=operation.kind,
        status=OperationStatus.DECLINED,
        amount_minor=amount.minor,
        currency=amount.currency,
        psp_key=external_operation_key(operation.kind, found.psp_id),
        psp_id=found.psp_id,
        psp_payment_id=found.psp_payment_id,
        order_id=operation.order_id,
        payment_method_id=operation.payment_method_id,
        payment_method_details=operation.payment_method_details,
        capture_now=operation.capture_now,
        detail=f"the provider made a second charge for {operation.public_id}",
        actor=SECOND_CHARGE_ACTOR,
        lease_until=created_at,
        next_check_at=created_at,
        created_at=created_at,
        closed_at=created_at,
    )
    Batch().insert(further).execute()
    summary = f"The provider made a second charge of {amount} for {operation.public_id}."
    open_case(case_about_operation(CaseKind.EXTERNAL_OPERATION, further, summary))
