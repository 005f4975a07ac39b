"""Applies one difference between a PSP's snapshot and our rows: status, postings, events, cases.

Each operation books its own amount and nothing else. What the hold is after all of them, and so the
status of the payment, follows from the snapshot (`hold`, `intent_state`).
"""

from __future__ import annotations

from typing import Final

from payments.clock import now_utc
from payments.selectors.disputes import charged_back_of
from payments.services.cases.opening import case_of_disputed_refund
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.refunds import emit_refund_updated
from payments.services.outcomes.late_and_external import changes_of_hold, charges, refunds
from payments.services.outcomes.late_and_external.differences import Difference
from payments.services.outcomes.late_and_external.external_operations import (
    insert_external_operation,
    insert_refund,
)
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.services.outcomes.result_checks import Revision
from payments.services.psp_gateway import references
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import PspOperation

_REVERSED: Final = {
    OperationKind.CAPTURE: "The capture was accepted, and failed later.",
    OperationKind.VOID: "The void failed later.",
    OperationKind.INCREMENT: "The provider reversed an increment of the hold.",
    OperationKind.REFUND: "The refund did not reach the customer: the money is with us again.",
}


def apply_difference(payment: LockedPayment, difference: Difference) -> None:
    """Apply one difference in memory; an external operation is inserted first."""
    shown, operation, revision = difference.shown, difference.operation, difference.revision
    is_new = operation is None
    if operation is None:
        if _must_wait(payment, shown):
            return
        operation, refund = insert_external_operation(payment, shown)
    else:
        refund = payment.refund_of(operation)
    is_new_refund = is_new
    if operation.kind == OperationKind.REFUND and refund is None:
        # It was replaced, and its refund is the replacement's: the customer gets both.
        refund, is_new_refund = insert_refund(payment, operation), True
    before = operation.status
    change = payment.change_of(operation, _result_of(payment, shown), refund=refund)
    if is_new_refund and refund is not None:
        change.emit("refund.created", "refund")
    if operation.is_charge:
        charges.apply_to_charge(payment, change, revision)
    else:
        _apply(payment, change, revision, before)
    _note_ids(change)
    operation.revisions += revision is not None
    if is_new:
        _open_cases_of_external(payment, change, shown)
    elif refund is not None:
        emit_refund_updated(change)
    if not operation.is_open:
        operation.closed_at = operation.closed_at or now_utc()
        operation.next_check_at = None


def _must_wait(payment: LockedPayment, shown: PspOperation) -> bool:
    """True for a pending external refund of a disputed charge: it is booked once it is made."""
    pending = shown.outcome is Outcome.PENDING
    return pending and bool(charged_back_of(payment.charge).amount)


def _result_of(payment: LockedPayment, shown: PspOperation) -> PspResult:
    seen = payment.seen
    return PspResult(
        outcome=shown.outcome,
        psp_id=shown.psp_id,
        psp_payment_id=seen.psp_payment_id,
        amount=shown.amount,
        code=shown.code,
        decline_code=shown.decline_code,
        message=shown.message,
        expires_at=seen.expires_at,
        held=seen.held,
        available_at_once=seen.available_at_once,
        network_transaction_id=shown.network_transaction_id,
        stored_token=shown.stored_token,
        mandate_reference=shown.mandate_reference,
    )


def _note_ids(change: Change) -> None:
    operation, result = change.operation, change.result
    operation.psp_id = result.psp_id or operation.psp_id
    operation.psp_payment_id = result.psp_payment_id or operation.psp_payment_id


def _apply(payment: LockedPayment, change: Change, revision: Revision | None, before: str) -> None:
    """Apply a result of a capture, void, increment or refund."""
    outcome = change.result.outcome
    if outcome is Outcome.SUCCEEDED:
        _succeed(payment, change, revision, before)
    elif outcome is Outcome.DECLINED:
        _fail(payment, change, revision, before)
    elif outcome is Outcome.PENDING:
        change.operation.await_psp()
        if change.refund is not None:
            refunds.refund_pending(payment, change)


def _succeed(
    payment: LockedPayment, change: Change, revision: Revision | None, before: str
) -> None:
    operation = change.operation
    operation.succeed()
    operation.code = operation.decline_code = operation.message = ""
    kind = OperationKind(operation.kind)
    if kind is OperationKind.CAPTURE:
        reinstated = revision is Revision.REINSTATED
        changes_of_hold.capture_succeeded(payment, change, reinstated=reinstated)
    elif kind is OperationKind.INCREMENT:
        changes_of_hold.increment_succeeded(payment, change)
    elif kind is OperationKind.VOID:
        changes_of_hold.void_succeeded(payment, change)
    else:
        was_pending = before == OperationStatus.PENDING
        refunds.refund_succeeded(payment, change, was_pending=was_pending)
    if revision is Revision.LATE_SUCCESS:
        summary = f"The {kind} had been closed as {before} and succeeded after all."
        if payment.was_replaced(operation):
            summary += " It was sent again meanwhile: the PSP may have made it twice."
        payment.open_case(change, CaseKind.LATE_SUCCESS, summary)


def _fail(payment: LockedPayment, change: Change, revision: Revision | None, before: str) -> None:
    operation, result = change.operation, change.result
    if revision is Revision.REVERSED:
        operation.reverse()
    else:
        operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider refused this operation.")[:500]
    if change.refund is not None:
        was_booked = before in (OperationStatus.SUCCEEDED, OperationStatus.PENDING)
        refunds.refund_failed(payment, change, was_booked=was_booked)
    elif revision is Revision.REVERSED:
        changes_of_hold.change_reversed(payment, change)
    if revision is Revision.REVERSED:
        change.emit("charge.updated", "charge")
        summary = _REVERSED[OperationKind(operation.kind)]
        payment.open_case(change, CaseKind.OUTCOME_REVERSED, summary)


def _open_cases_of_external(payment: LockedPayment, change: Change, shown: PspOperation) -> None:
    """Open the cases that an external operation needs beside its booking."""
    kind, charge = OperationKind(change.operation.kind), payment.charge
    summaries = []
    if references.operation_id_of(shown.reference) is not None:
        summaries.append(
            f"the provider shows {kind} of {shown.amount} under our reference {shown.reference}, "
            "which we do not know, or know as another operation"
        )
    if kind is OperationKind.CAPTURE and payment.is_duplicate:
        summaries.append(f"{shown.amount} captured of a duplicate charge")
    refunded = kind is OperationKind.REFUND and shown.outcome is Outcome.SUCCEEDED
    if refunded and charge.status == OperationStatus.REVERSED:
        summaries.append(f"{shown.amount} refunded of a charge that the provider has reversed")
    for summary in summaries:
        payment.open_case(change, CaseKind.EXTERNAL_OPERATION, summary, amount=shown.amount)
    charged_back = charged_back_of(charge)
    if refunded and charged_back.amount and not payment.is_duplicate:
        summary = f"{shown.amount} was refunded at the provider, and a bank has charged back."
        change.cases.append(case_of_disputed_refund(payment.intent, charged_back, summary))
