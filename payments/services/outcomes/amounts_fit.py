"""Checks whether the amounts of a PSP's result are those that our books expect after it."""

from __future__ import annotations

from ledger.money import Money
from payments.models import Operation, PaymentIntent
from payments.states import OPERATION_OPEN
from psp_adapters.contract.operations import OperationKind, Outcome, PspResult


def why_amounts_do_not_fit(
    operation: Operation, charge: Operation, intent: PaymentIntent, result: PspResult
) -> str:
    """Why a successful change of the hold cannot be booked alone; empty if it can.

    Then an operation of which we have not heard moved money before it, and the snapshot of the
    whole payment decides. A charge begins the payment, and a refund leaves the hold alone.
    """
    kind = OperationKind(operation.kind)
    if result.outcome is not Outcome.SUCCEEDED:
        return ""
    if kind in (OperationKind.AUTHORIZE, OperationKind.REFUND):
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


def _money(minor: int, charge: Operation) -> Money:
    return Money(minor, charge.currency)
