"""Classifies a PSP's result for a closed operation: does it agree, or how does it revise it?"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from payments.models import Operation
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import Outcome


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
