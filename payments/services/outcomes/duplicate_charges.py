"""Computes how much of a duplicate charge is still held, or taken and not given back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from payments.models import Operation
from payments.states import OperationStatus
from psp_adapters.contract.operations import OperationKind

GIVE_BACK_ACTOR: Final = "job:late-success"
"""The sweep that gives back duplicate charges, and late ones that a merchant does not keep."""


@dataclass(frozen=True, slots=True)
class ExcessLeft:
    """In minor units of the charge's currency."""

    held_minor: int
    """Held in excess, and not released yet."""
    taken_minor: int
    """Captured in excess, and not refunded yet; a refund under way counts as left."""


def excess_left(charge: Operation, operations: Iterable[Operation]) -> ExcessLeft:
    """What is left of one charge; `operations` are those of the charge or of its payment."""
    left_minor = charge.excess_minor - charge.excess_returned_minor
    if charge.capture_now or not (charge.excess_minor or charge.excess_returned_minor):
        return ExcessLeft(held_minor=0, taken_minor=left_minor)
    taken_minor = 0
    for operation in operations:
        if operation.charge_id != charge.id or operation.status != OperationStatus.SUCCEEDED:
            continue
        if operation.kind == OperationKind.CAPTURE:  # Made at the PSP: we never capture one.
            taken_minor += operation.amount_minor
        elif operation.kind == OperationKind.REFUND and operation.gives_excess_back:
            taken_minor -= operation.amount_minor
    return ExcessLeft(held_minor=left_minor - taken_minor, taken_minor=taken_minor)
