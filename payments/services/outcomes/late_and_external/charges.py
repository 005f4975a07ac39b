"""Applies what differs about a charge: a late success, a reversal, a reinstatement.

A charge is recorded as a duplicate (EXCESS) if it cannot count for its payment: another charge
does, its order is taken, or the payment asks for another amount by now (`blocking_charges`). It is
booked apart, and always given back.
"""

from __future__ import annotations

from payments.clock import now_utc
from payments.services.outcomes.blocking_charges import blocking_charge
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import last_payment_error
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.services.outcomes.late_and_external.refunds import book_refunds_anew
from payments.services.outcomes.result_checks import Revision
from payments.states import CaseKind, LateSuccessPolicy
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspOperationKind


def apply_to_charge(payment: LockedPayment, change: Change, revision: Revision | None) -> None:
    """Apply a late outcome of a charge; its first one is recorded by `outcomes.recording`."""
    if revision is Revision.REVERSED:
        _reverse(payment, change)
    elif revision is not None:
        _succeed(payment, change, revision)


def _succeed(payment: LockedPayment, change: Change, revision: Revision) -> None:
    operation, before = change.operation, change.operation.status
    blocking = blocking_charge(payment.merchant, payment.intent, operation)
    payment.is_duplicate = bool(blocking)
    book_refunds_anew(payment)
    late = revision is Revision.LATE_SUCCESS
    payment.quiet = late and not blocking and _is_given_back(payment)
    if blocking:
        operation.exceed()
        operation.guard_order = None
    else:
        operation.succeed()
        operation.excess_minor = operation.excess_returned_minor = 0
        _make_current_charge(change)
        _claim_order(payment)
    operation.code = operation.decline_code = operation.message = ""
    change.post(payment.rules.authorized, operation.amount)
    if operation.capture_now:
        payment.book_capture(change, reinstated=not late)
    change.emit("charge.succeeded", "charge")
    if blocking or payment.quiet:
        operation.reversal_due_at = now_utc()
    if late or blocking:
        what_follows = _what_follows(blocking, given_back=payment.quiet)
        summary = f"The charge had been closed as {before} and succeeded after all{what_follows}"
        payment.open_case(change, CaseKind.LATE_SUCCESS, summary)


def _is_given_back(payment: LockedPayment) -> bool:
    """By the merchant's policy; a hold that was captured in the PSP's dashboard is kept."""
    if payment.merchant.late_success_policy != LateSuccessPolicy.REVERSE:
        return False
    return payment.charge.capture_now or not any(
        shown.kind is PspOperationKind.CAPTURE and shown.outcome is Outcome.SUCCEEDED
        for shown in payment.seen.operations
    )


def _what_follows(blocking: str, *, given_back: bool) -> str:
    if blocking:
        return f", although {blocking}. It is being given back."
    return ". It is being given back." if given_back else ". It is kept."


def _make_current_charge(change: Change) -> None:
    """Make this charge the one that holds the payment."""
    intent, operation = change.intent, change.operation
    intent.name_charge(
        operation.id,
        psp_account_id=operation.psp_account_id,
        psp_reference=operation.psp_payment_id,
    )
    intent.payment_method_id = operation.payment_method_id
    intent.last_payment_error = None
    intent.next_action_url = ""
    intent.authorization_expires_at = change.result.expires_at


def _claim_order(payment: LockedPayment) -> None:
    """Occupy the order of a charge that counts.

    It was free when `blocking_charge` read it. If another charge took it since then, the unique
    index refuses this write, and the next look-up finds a duplicate charge.
    """
    charge = payment.charge
    charge.guards_order = bool(payment.merchant.order_guard and charge.order_id)
    charge.guard_order = charge.order_id if charge.guards_order else None


def _reverse(payment: LockedPayment, change: Change) -> None:
    """Reverse every booking of the charge: it holds and took no money any more."""
    operation, result = change.operation, change.result
    operation.reverse()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider reversed this charge.")[:500]
    for booking in payment.books.active(operation):
        change.reverse(booking)
    operation.guard_order = operation.reversal_due_at = None
    change.emit("charge.failed", "charge")
    if payment.is_duplicate:
        summary = "The provider reversed a duplicate charge."
    else:
        payment.intent.last_payment_error = last_payment_error(
            operation, code=operation.code, message=operation.message
        )
        summary = "The provider reversed the whole charge."
    payment.open_case(change, CaseKind.OUTCOME_REVERSED, summary)
