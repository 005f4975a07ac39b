"""Sets the intent's counters, status and order guard from the amounts after an adoption."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from payments.clock import now_utc
from payments.models import Operation
from payments.services.outcomes.blocking_charges import order_taken_by
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import last_payment_error
from payments.services.outcomes.late_and_external.hold import hold_expired
from payments.services.outcomes.late_and_external.locked_payment import LockedPayment
from payments.services.outcomes.payment_state import (
    EXPIRED_REASON,
    asked_to_hold_minor,
    excess_minor,
    own_operations,
    refund_sums,
    status_by_amounts,
    status_under_way,
    statuses_with_nothing_left,
    waiting_refunds_minor,
)
from payments.states import INTENT_CAPTURED, INTENT_TRANSITIONS
from payments.states import IntentStatus as S
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import OperationKind, Outcome

_EVENTS: Final = {
    S.AUTHORIZED: "payment_intent.amount_capturable_updated",
    S.FAILED: "payment_intent.payment_failed",
}
_DETOURS: Final = ((), (S.CAPTURED,), (S.PROCESSING,), (S.PROCESSING, S.CAPTURED))


def set_counters(payment: LockedPayment) -> None:
    """Set what postings do not move: the amount asked for, refunds by status, and the excess."""
    intent = payment.intent
    if payment.is_duplicate:
        _set_counters_of_duplicate(payment)
    else:
        _set_amount(payment)
    sums = refund_sums(own_operations(payment.operations), intent.currency)
    reserved_minor = sums.reserved_minor + waiting_refunds_minor([intent.id]).get(intent.id, 0)
    intent.amount_refunded_minor = sums.refunded_minor
    intent.amount_refund_pending_minor = reserved_minor
    returned_minor = sums.refunded_minor + reserved_minor
    intent.amount_over_refunded_minor = max(0, returned_minor - intent.amount_captured_minor)
    intent.amount_excess_minor = excess_minor(
        payment.operations,
        intent.currency,
        authorized_minor=intent.amount_authorized_minor,
        over_refunded_minor=intent.amount_over_refunded_minor,
    )


def _set_amount(payment: LockedPayment) -> None:
    """The payment asks for what its latest charge was about, with every increment of it.

    An increment of an earlier charge, which the PSP reversed, says nothing of the present one. A
    charge that never held anything leaves the amount to the merchant.
    """
    intent, charge = payment.intent, payment.charge
    if charge.id != intent.latest_charge_id or charge.status not in (O.SUCCEEDED, O.REVERSED):
        return
    increments = (
        o
        for o in payment.operations
        if o.charge_id == charge.id and o.kind == OperationKind.INCREMENT
    )
    raised_minor = asked_to_hold_minor(increments, charge.currency)
    intent.amount_minor = charge.amount_minor + raised_minor


def _set_counters_of_duplicate(payment: LockedPayment) -> None:
    """Count what the duplicate charge took and what of it went back; the sweep returns the rest."""
    charge, vector = payment.charge, payment.vector
    on_its_way_minor = sum(
        o.amount_minor
        for o in payment.operations
        if o.charge_id == charge.id and o.kind == OperationKind.REFUND and o.status == O.PENDING
    )
    kept_minor = vector.held_minor + vector.captured_minor
    went_back_minor = vector.refunded_minor - on_its_way_minor
    charge.excess_minor = vector.authorized_minor
    charge.excess_returned_minor = vector.authorized_minor - kept_minor + went_back_minor
    if charge.status != O.EXCESS or charge.excess_returned_minor >= charge.excess_minor:
        charge.reversal_due_at = None
    else:
        charge.reversal_due_at = now_utc()


def set_status(payment: LockedPayment, change: Change, *, held_before_minor: int) -> None:
    """Move the intent to the status that its amounts say, and emit what the merchant may see.

    A status that was published as final stays published: the merchant then sees charge and amounts.
    """
    intent = payment.intent
    target = _target(payment)
    same = target == intent.status
    if same and (target is not S.AUTHORIZED or intent.amount_held_minor == held_before_minor):
        return
    if not same:
        _move_to(payment, target)
    if target in INTENT_CAPTURED:
        _publish(payment, change, "succeeded", "payment_intent.succeeded")
    elif target is S.CANCELED:
        _publish(payment, change, "canceled", "payment_intent.canceled")
    elif not intent.published_status and not payment.quiet and target in _EVENTS:
        change.emit(_EVENTS[target], "intent")


def set_order_guard(payment: LockedPayment) -> None:
    """Let the charge that counts occupy its order while money of the payment is held or kept.

    It is free otherwise. The snapshot may be that of an earlier charge, which the PSP reversed:
    what is refunded of that counts for the payment too.
    """
    intent, charge = payment.intent, payment.charge
    if payment.is_duplicate or charge.is_open:
        return
    if charge.status != O.SUCCEEDED:
        charge.guard_order = None
    counting = payment.counting_charge
    if counting is not None:
        kept = intent.amount_captured_minor > intent.amount_refunded_minor
        _guard_order_of(payment, counting, pays=kept or bool(intent.amount_held_minor))


def _guard_order_of(payment: LockedPayment, charge: Operation, *, pays: bool) -> None:
    if not pays:
        charge.guard_order = None
    if charge.guard_order or not pays:
        return
    charge.guards_order = bool(payment.merchant.order_guard and charge.order_id)
    if not charge.guards_order:
        return
    taken_by = order_taken_by(payment.merchant, payment.intent, charge)
    if taken_by:
        charge.guards_order = False
        payment.remarks.append(
            f"{taken_by} holds its order meanwhile: the customer may have paid twice."
        )
    else:
        charge.guard_order = charge.order_id


def _target(payment: LockedPayment) -> S:
    intent = payment.intent
    under_way = status_under_way(own_operations(payment.operations))
    if under_way is not None:
        return under_way
    by_amounts = status_by_amounts(
        held_minor=intent.amount_held_minor,
        captured_minor=intent.amount_captured_minor,
        refunded_minor=intent.amount_refunded_minor,
    )
    return by_amounts or _with_nothing_left(payment)


def _with_nothing_left(payment: LockedPayment) -> S:
    """The status of a payment of which nothing is held or captured any more."""
    status, charge = S(payment.intent.status), payment.charge
    own = own_operations(payment.operations)
    allowed = statuses_with_nothing_left(own, latest_charge_id=payment.intent.latest_charge_id)
    if status in allowed:
        return status
    took = status in INTENT_CAPTURED or charge.status != O.SUCCEEDED
    first = S.CANCELED if status is S.AUTHORIZED and not took else S.FAILED
    return first if first in allowed else S.CANCELED


def _publish(payment: LockedPayment, change: Change, status: str, event: str) -> None:
    if payment.intent.published_status:
        return
    payment.intent.published_status = status
    if status == "canceled" or not payment.quiet:
        change.emit(event, "intent")


def _move_to(payment: LockedPayment, target: S) -> None:
    """Take legal transitions only, and keep each one for PostgreSQL to check."""
    intent = payment.intent
    steps: dict[S, Callable[[], None]] = {
        S.PROCESSING: intent.start,
        S.REQUIRES_ACTION: lambda: intent.await_customer(redirect_url=payment.charge.redirect_url),
        S.AUTHORIZED: intent.authorize,
        S.CAPTURED: intent.capture,
        S.PARTIALLY_REFUNDED: intent.refund_in_part,
        S.REFUNDED: intent.refund_in_full,
        S.FAILED: lambda: _fail(payment),
        S.CANCELED: lambda: intent.cancel(at=now_utc(), reason=_reason(payment)),
    }
    way = next((way for way in _DETOURS if _is_legal((S(intent.status), *way, target))), None)
    assert way is not None, f"no way leads from {intent.status} to {target}"
    for stop in way:
        steps[stop]()
        payment.changes[0].intent_passes_through.append(stop)
    steps[target]()


def _is_legal(way: tuple[S, ...]) -> bool:
    return all(after in INTENT_TRANSITIONS[before] for before, after in pairwise(way))


def _reason(payment: LockedPayment) -> str:
    """The `cancellation_reason`: that of our void, or expired; empty if voided in the dashboard."""
    for change in reversed(payment.changes):
        voided = change.operation.kind == OperationKind.VOID
        if voided and change.result.outcome is Outcome.SUCCEEDED:
            return change.operation.cancellation_reason
    return EXPIRED_REASON if hold_expired(payment) else ""


def _fail(payment: LockedPayment) -> None:
    """Fail with the reason of the operation that was reversed last."""
    payment.intent.fail()
    for change in reversed(payment.changes):
        operation = change.operation
        if operation.status in (O.REVERSED, O.DECLINED):
            payment.intent.last_payment_error = last_payment_error(
                payment.charge, code=operation.code, message=operation.message
            )
            return
