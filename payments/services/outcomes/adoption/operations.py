"""Applies what differs about one capture, void, increment or refund: status, postings, events.

Each books its own amount and nothing else. What the hold is after all of them, and so the status of
the payment, follows from the PSP's snapshot (`hold`, `intent_state`).
"""

from __future__ import annotations

from typing import Final

from payments.clock import now_utc
from payments.selectors.disputes import charged_back_of
from payments.services.cases.opening import case_of_disputed_refund
from payments.services.outcomes.adoption import charges
from payments.services.outcomes.adoption.differences import Difference
from payments.services.outcomes.adoption.external import insert_external_operation
from payments.services.outcomes.adoption.locked_payment import LockedPayment
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.refunds import emit_refund_updated
from payments.services.outcomes.revision import Revision
from payments.services.psp_gateway import references
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult
from psp_adapters.contract.payments import PspOperation

_NAMES: Final = {
    OperationKind.CAPTURE: "capture",
    OperationKind.VOID: "void",
    OperationKind.INCREMENT: "increment",
    OperationKind.REFUND: "refund",
}
_REVERSED: Final = {
    OperationKind.CAPTURE: "The capture was accepted, and failed later.",
    OperationKind.VOID: "The void failed later.",
    OperationKind.INCREMENT: "The provider reversed an increment of the hold.",
    OperationKind.REFUND: "The refund did not reach the customer: the money is with us again.",
}


def apply(payment: LockedPayment, difference: Difference) -> None:
    """Apply one difference in memory; an external operation is written down first."""
    act, operation, revision = difference.act, difference.operation, difference.revision
    if operation is None:
        if _must_wait(payment, act):
            return
        operation, refund = insert_external_operation(payment, act)
    else:
        is_refund = operation.kind == OperationKind.REFUND
        refund = payment.refunds(operation) if is_refund else None
    before = operation.status
    change = payment.change_of(operation, _result_of(payment, act), refund=refund)
    _note_ids(change, act)
    if difference.operation is None and refund is not None:
        change.emit("refund.created", "refund")
    if operation.is_charge:
        charges.apply(payment, change, revision)
    elif act.outcome is Outcome.SUCCEEDED:
        _succeed(payment, change, revision)
    elif act.outcome is Outcome.DECLINED:
        _fail(payment, change)
    elif act.outcome is Outcome.PENDING:
        _await_psp(payment, change)
    if revision is not None:
        operation.revisions += 1
    if revision is Revision.LATE_SUCCESS and not operation.is_charge:
        name = _NAMES[OperationKind(operation.kind)]
        summary = f"The {name} had been closed as {before} and succeeded after all."
        payment.open_case(change, CaseKind.LATE_SUCCESS, summary)
    if difference.operation is None:
        _note_external(payment, change, act)
    elif refund is not None:
        emit_refund_updated(change)
    if not operation.is_open:
        operation.closed_at = operation.closed_at or now_utc()
        operation.next_check_at = None


def _must_wait(payment: LockedPayment, act: PspOperation) -> bool:
    """True for a pending external refund of a disputed charge: it is booked once it is made."""
    pending = act.outcome is Outcome.PENDING
    return pending and bool(charged_back_of(payment.charge).amount)


def _result_of(payment: LockedPayment, act: PspOperation) -> PspResult:
    return PspResult(
        outcome=act.outcome,
        psp_id=act.psp_id,
        psp_payment_id=payment.seen.psp_payment_id,
        amount=act.amount,
        code=act.code,
        decline_code=act.decline_code,
        message=act.message,
        expires_at=payment.seen.expires_at,
        held=payment.seen.held,
        available_at_once=payment.seen.available_at_once,
    )


def _note_ids(change: Change, act: PspOperation) -> None:
    operation = change.operation
    operation.psp_id = act.psp_id or operation.psp_id
    operation.psp_payment_id = change.result.psp_payment_id or operation.psp_payment_id


def _succeed(payment: LockedPayment, change: Change, revision: Revision | None) -> None:
    operation, kind = change.operation, OperationKind(change.operation.kind)
    was_pending = operation.status == OperationStatus.PENDING
    operation.succeed()
    operation.code = operation.decline_code = operation.message = ""
    if kind is OperationKind.CAPTURE:
        payment.book_capture(change, reinstated=revision is Revision.REINSTATED)
        change.emit("charge.captured", "charge")
    elif kind is OperationKind.INCREMENT:
        change.post(payment.rules.incremented, operation.amount)
        if not payment.is_duplicate:
            payment.intent.amount_minor += operation.amount_minor
        change.emit("charge.updated", "charge")
    elif kind is OperationKind.VOID:
        change.emit("charge.refunded" if payment.is_duplicate else "charge.updated", "charge")
    else:
        _refund_succeeded(payment, change, was_pending=was_pending)


def _refund_succeeded(payment: LockedPayment, change: Change, *, was_pending: bool) -> None:
    refund = change.refund
    assert refund is not None, "a refund operation has its refund"
    if not was_pending:
        change.post(payment.rules.refund_requested, change.operation.amount)
    refund.succeed()
    refund.failure_reason = ""
    change.emit("charge.refunded", "charge")


def _fail(payment: LockedPayment, change: Change) -> None:
    """Undo what is booked of the operation; it failed at once, or after it had succeeded."""
    operation, result = change.operation, change.result
    had_succeeded = operation.status == OperationStatus.SUCCEEDED
    was_pending = operation.status == OperationStatus.PENDING
    if had_succeeded:
        operation.reverse()
    else:
        operation.decline()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider refused this operation.")[:500]
    if change.refund is not None:
        if had_succeeded or was_pending:
            change.post(payment.rules.refund_failed, operation.amount)
        change.refund.fail(reason=operation.decline_code or operation.code)
        change.emit("refund.failed", "refund")
    if not had_succeeded:
        return
    for booking in payment.books.active(operation) if change.refund is None else []:
        change.reverse(booking)
    if operation.kind == OperationKind.INCREMENT and not payment.is_duplicate:
        payment.intent.amount_minor -= operation.amount_minor
    change.emit("charge.updated", "charge")
    summary = _REVERSED[OperationKind(operation.kind)]
    payment.open_case(change, CaseKind.OUTCOME_REVERSED, summary)


def _await_psp(payment: LockedPayment, change: Change) -> None:
    change.operation.await_psp()
    if change.refund is not None:
        change.post(payment.rules.refund_requested, change.operation.amount)


def _note_external(payment: LockedPayment, change: Change, act: PspOperation) -> None:
    """Open the cases that an external operation needs beside its booking."""
    operation, charge = change.operation, payment.charge
    if references.operation_id_of(act.reference) is not None:
        summary = (
            f"the provider shows {act.kind} of {act.amount} under our reference {act.reference}, "
            "which we do not know, or know as another operation"
        )
        payment.open_case(change, CaseKind.EXTERNAL_OPERATION, summary, amount=act.amount)
    if operation.kind == OperationKind.CAPTURE and payment.is_duplicate:
        summary = f"{act.amount} captured of a duplicate charge"
        payment.open_case(change, CaseKind.EXTERNAL_OPERATION, summary, amount=act.amount)
    if operation.kind != OperationKind.REFUND or act.outcome is not Outcome.SUCCEEDED:
        return
    if charge.status == OperationStatus.REVERSED:
        summary = f"{act.amount} refunded of a charge that the provider has reversed"
        payment.open_case(change, CaseKind.EXTERNAL_OPERATION, summary, amount=act.amount)
    charged_back = charged_back_of(charge)
    if charged_back.amount and not payment.is_duplicate:
        summary = f"{act.amount} was refunded at the provider, and a bank has charged back."
        change.cases.append(case_of_disputed_refund(payment.intent, charged_back, summary))
