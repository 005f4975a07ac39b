"""Applies external operations on a duplicate charge, and the expiry of its hold: booked apart.

Nothing here touches the intent's status or counters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from ledger import posting_rules as rules
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Operation
from payments.services.cases.opening import case_about_operation
from payments.services.outcomes.change import Change
from payments.services.outcomes.duplicate_charges import ExcessLeft, excess_left
from payments.states import CaseKind, OperationStatus
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.payments import PspOperation, PspOperationKind


def objection_to(act: PspOperation, charge: Operation, operations: Sequence[Operation]) -> str:
    """Why an operation on a duplicate charge cannot be booked; empty if it can."""
    if act.kind is PspOperationKind.REFUND:
        on_its_way_minor = sum(
            each.amount_minor
            for each in operations
            if each.charge_id == charge.id and each.status == OperationStatus.PENDING
        )
        room_minor = charge.amount_minor - charge.excess_returned_minor - on_its_way_minor
    elif act.kind is PspOperationKind.CAPTURE and charge.status == OperationStatus.EXCESS:
        # The PSP may have captured before what our books show as released.
        room_minor = charge.excess_minor - _captured_minor(charge, operations)
    elif act.kind in (PspOperationKind.VOID, PspOperationKind.EXPIRE):
        return ""
    else:
        return f"the provider shows {act.kind} of {act.amount} of a duplicate charge"
    if act.amount.minor <= room_minor:
        return ""
    room = Money(room_minor, charge.currency)
    return f"the provider shows {act.kind} of {act.amount}, and the duplicate charge had {room}"


def apply_to_duplicate_charge(
    change: Change, act: PspOperation, operations: Sequence[Operation]
) -> None:
    """Apply an external operation to which there is no objection.

    `operations` are those of the payment before it. The sweep of reversals gives back what is left.
    """
    left = excess_left(change.charge, operations)
    _APPLY[act.kind](change, act, left)
    operation, charge = change.operation, change.charge
    if operation is not charge and operation.status != OperationStatus.PENDING:
        _close(operation)
    if charge.excess_returned_minor >= charge.excess_minor:
        charge.reversal_due_at = None


def increments_left(charge: Operation, operations: Sequence[Operation]) -> list[Operation]:
    """Increments held in excess that were not released yet."""
    return [
        each
        for each in operations
        if each.kind == OperationKind.INCREMENT
        and each.charge_id == charge.id
        and each.excess_returned_minor < each.excess_minor
    ]


def release_increments(change: Change, act: PspOperation, increments: Sequence[Operation]) -> None:
    """Release increments held in excess; the caller writes their rows."""
    held = Money.zero(change.charge.currency)
    for increment in increments:
        left_minor = increment.excess_minor - increment.excess_returned_minor
        change.post(rules.excess_released, Money(left_minor, increment.currency))
        increment.excess_returned_minor = increment.excess_minor
        held += Money(left_minor, increment.currency)
    if change.operation is not change.charge:
        change.operation.succeed()
        _close(change.operation)
    _note_other_amount(change, act, held)
    change.emit("charge.updated", "charge")


def _captured_minor(charge: Operation, operations: Sequence[Operation]) -> int:
    return sum(
        each.amount_minor
        for each in operations
        if each.charge_id == charge.id
        and each.kind == OperationKind.CAPTURE
        and each.status == OperationStatus.SUCCEEDED
    )


def _capture(change: Change, act: PspOperation, left: ExcessLeft) -> None:
    """Book a capture of the duplicate hold; reopen what our books had released of it."""
    charge = change.charge
    change.operation.succeed()
    reopened_minor = max(0, act.amount.minor - left.held_minor)
    if reopened_minor:
        change.post(rules.excess_authorized, Money(reopened_minor, charge.currency))
        charge.excess_returned_minor -= reopened_minor
    change.post(rules.excess_capture_memo, act.amount)
    change.post(rules.excess_captured, act.amount)
    rest_minor = left.held_minor + reopened_minor - act.amount.minor
    if act.final and rest_minor:
        change.post(rules.excess_released, Money(rest_minor, charge.currency))
        charge.excess_returned_minor += rest_minor
    charge.reversal_due_at = now_utc()
    change.emit("charge.captured", "charge")
    _open_case(change, f"{act.amount} captured of a duplicate charge", act.amount)


def _void(change: Change, act: PspOperation, left: ExcessLeft) -> None:
    change.operation.excess_minor = change.operation.amount_minor
    change.operation.succeed()
    _release(change, act, left)
    change.emit("charge.refunded", "charge")


def _expire(change: Change, act: PspOperation, left: ExcessLeft) -> None:
    _release(change, act, left)
    change.emit("charge.expired", "charge")


def _release(change: Change, act: PspOperation, left: ExcessLeft) -> None:
    """Release all of the duplicate hold."""
    held = Money(left.held_minor, change.charge.currency)
    if held:
        change.post(rules.excess_released, held)
        change.charge.excess_returned_minor += held.minor
    _note_other_amount(change, act, held)


def _note_other_amount(change: Change, act: PspOperation, held: Money) -> None:
    if act.amount != held:
        summary = (
            f"the provider released {act.amount}, our books held {held} of the duplicate charge"
        )
        _open_case(change, summary, act.amount)


def _close(operation: Operation) -> None:
    operation.closed_at = now_utc()
    operation.next_check_at = None


def _refund(change: Change, act: PspOperation, left: ExcessLeft) -> None:
    operation, refund = change.operation, change.refund
    assert refund is not None, "a refund is written down with its row"
    operation.excess_minor = operation.amount_minor
    change.post(rules.excess_refund_requested, act.amount)
    change.emit("refund.created", "refund")
    if act.outcome is Outcome.PENDING:
        operation.await_psp()
        return
    operation.succeed()
    refund.succeed()
    change.charge.excess_returned_minor += operation.amount_minor
    change.emit("charge.refunded", "charge")
    if change.charge.status == OperationStatus.REVERSED:
        summary = f"{act.amount} refunded of a charge that the provider has reversed"
        _open_case(change, summary, act.amount)


def _open_case(change: Change, summary: str, amount: Money) -> None:
    change.cases.append(
        case_about_operation(CaseKind.EXTERNAL_OPERATION, change.operation, summary, amount=amount)
    )


_APPLY: Final[dict[PspOperationKind, Callable[[Change, PspOperation, ExcessLeft], None]]] = {
    PspOperationKind.CAPTURE: _capture,
    PspOperationKind.VOID: _void,
    PspOperationKind.REFUND: _refund,
    PspOperationKind.EXPIRE: _expire,
}
