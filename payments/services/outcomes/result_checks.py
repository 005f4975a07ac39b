"""Judges a result before it is recorded: does it agree with ours, revise it, fit the books?"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ledger.money import Money
from payments.models import Operation, PaymentIntent
from payments.states import OPERATION_OPEN
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult


class Revision(StrEnum):
    """How a late outcome differs from the result that closed the operation."""

    LATE_SUCCESS = "late_success"
    """Closed without success, and succeeded after all."""
    REVERSED = "reversed"
    """Closed with success, and reversed by the PSP."""
    REINSTATED = "reinstated"
    """Reversed, and succeeded again."""


_REVISIONS: Final[dict[tuple[Outcome, str], Revision]] = {
    (Outcome.SUCCEEDED, O.DECLINED): Revision.LATE_SUCCESS,
    (Outcome.SUCCEEDED, O.NOT_SENT): Revision.LATE_SUCCESS,
    (Outcome.SUCCEEDED, O.CANCELED): Revision.LATE_SUCCESS,
    (Outcome.SUCCEEDED, O.REVERSED): Revision.REINSTATED,
    (Outcome.DECLINED, O.SUCCEEDED): Revision.REVERSED,
    (Outcome.DECLINED, O.EXCESS): Revision.REVERSED,
}
# The statuses in which an operation may be if the PSP reports this outcome.
_AGREES: Final = {
    Outcome.PENDING: frozenset({O.PENDING}),
    Outcome.REQUIRES_ACTION: frozenset({O.REQUIRES_ACTION}),
    Outcome.SUCCEEDED: frozenset({O.SUCCEEDED, O.EXCESS}),
    Outcome.DECLINED: frozenset({O.DECLINED, O.CANCELED, O.NOT_SENT, O.REVERSED}),
}


def agrees(operation: Operation, outcome: Outcome) -> bool:
    """Is the operation already in a status that this outcome leads to?"""
    return operation.status in _AGREES.get(outcome, ())


def revision_of(status: str, outcome: Outcome) -> Revision | None:
    """How an outcome revises a closed operation; None if it does not."""
    return _REVISIONS.get((outcome, status))


def why_amounts_do_not_fit(
    operation: Operation, charge: Operation, intent: PaymentIntent, result: PspResult
) -> str:
    """Why a successful change or refund cannot be booked alone; empty if it can.

    Then an operation of which we have not heard moved money before it, or its charge counts for the
    payment no longer, and the snapshot of the whole payment decides. A charge begins the payment,
    and a refund leaves the hold alone.
    """
    kind = OperationKind(operation.kind)
    if result.outcome is not Outcome.SUCCEEDED or kind is OperationKind.AUTHORIZE:
        return ""
    if not _has_its_role(operation, charge, intent):
        return f"a {kind} of a charge that is {charge.status} here by now"
    if kind is OperationKind.REFUND:
        return ""
    if charge.status in OPERATION_OPEN and result.amount:
        return f"the provider released {result.amount} of a charge that is {charge.status} here"
    held_minor = operation.amount_minor if operation.gives_excess_back else intent.amount_held_minor
    left_minor = held_minor - operation.amount_minor
    if kind is OperationKind.CAPTURE and left_minor < 0:
        return f"captured {operation.amount}, of {Money(held_minor, operation.currency)} held"
    if kind is OperationKind.VOID and result.amount not in (None, _money(held_minor, charge)):
        return f"the provider released {result.amount}, our books held {_money(held_minor, charge)}"
    after_minor = {
        OperationKind.CAPTURE: 0 if operation.final else left_minor,
        OperationKind.INCREMENT: held_minor + operation.amount_minor,
        OperationKind.VOID: 0,
    }[kind]
    if result.held not in (None, _money(after_minor, charge)):
        return f"the provider holds {result.held}, our books {_money(after_minor, charge)}"
    return ""


def _has_its_role(operation: Operation, charge: Operation, intent: PaymentIntent) -> bool:
    """Is the charge still what it was when this was sent: the payment's own, or a duplicate?

    Else the intent's amounts may be those of another charge. A challenge that failed under its void
    never held anything.
    """
    if operation.gives_excess_back:
        return bool(charge.status == O.EXCESS)
    if charge.status in (O.DECLINED, O.CANCELED, O.NOT_SENT):
        return not intent.amount_held_minor
    return charge.is_open or bool(charge.status == O.SUCCEEDED)


def holds_otherwise(charge: Operation, result: PspResult) -> bool:
    """Did the PSP hold more or less than a charge that just succeeded asked for?

    Then an operation of which we have not heard followed it, and the payment must be looked up.
    """
    expected = Money.zero(charge.currency) if charge.capture_now else charge.amount
    return charge.status == O.SUCCEEDED and result.held not in (None, expected)


def _money(minor: int, charge: Operation) -> Money:
    return Money(minor, charge.currency)
