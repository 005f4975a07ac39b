"""Classifies a late outcome as a revision, and holds what the revisions of all kinds share."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from itertools import pairwise
from typing import Final

from ledger.money import Money
from payments.clock import now_utc
from payments.services.cases.opening import case_about_operation
from payments.services.outcomes.change import Change
from payments.services.outcomes.prior_state import PriorState
from payments.states import INTENT_CAPTURED, INTENT_TRANSITIONS, CaseKind, IntentStatus
from payments.states import OperationStatus as O
from psp_adapters.contract.operations import Outcome

S = IntentStatus


class Revision(StrEnum):
    """How a late outcome differs from the result that closed the operation."""

    LATE_SUCCESS = "late_success"
    """Closed without success, and succeeded after all."""
    REVERSED = "reversed"
    """Closed with success, and undone by the PSP."""
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


class Deferred(Exception):
    """Another operation of the payment is open; the result can be recorded once that is closed.

    Raised before anything was changed.
    """


class ConflictsWithBooks(Exception):
    """The result and our books cannot both be true. Raised before anything was changed."""


class NoEffect(Exception):
    """The result changes nothing: what it reverses is gone already. Raised before any change."""


def revision_of(status: str, outcome: Outcome) -> Revision | None:
    """How an outcome revises a closed operation; None if it does not."""
    return _REVISIONS.get((outcome, status))


def prior_state_of(change: Change) -> PriorState:
    """The prior state of a late outcome."""
    assert change.prior_state is not None, "a late outcome has a prior state"
    return change.prior_state


def require_no_open_operation(change: Change) -> None:
    """Raise Deferred while another operation decides the intent's status."""
    if change.intent.status in (S.PROCESSING, S.REQUIRES_ACTION):
        raise Deferred("another operation of the payment is under way")


def mark_reversed(change: Change) -> None:
    """Mark the operation as reversed by the PSP, with its reason."""
    operation, result = change.operation, change.result
    operation.reverse()
    operation.code = result.code or "processing_error"
    operation.decline_code = result.decline_code
    operation.message = (result.message or "The provider took this back.")[:500]


def mark_succeeded(change: Change) -> None:
    """Mark the operation as succeeded, and drop the reason of its refusal."""
    change.operation.succeed()
    forget_reason(change)


def forget_reason(change: Change) -> None:
    """Drop the code and message of a refusal that is outdated."""
    operation = change.operation
    operation.code = operation.decline_code = operation.message = ""


def reclaim_order(change: Change) -> str:
    """Let the charge occupy its order again, unless another payment has it.

    Returns a remark for the case about that other payment; empty if the order was free.
    """
    charge = change.charge
    if not (change.merchant.order_guard and charge.order_id) or charge.status != O.SUCCEEDED:
        return ""
    taken_by = prior_state_of(change).order_taken_by
    if taken_by:
        return f" {taken_by} holds its order meanwhile: the customer may have paid twice."
    charge.guard_order = charge.order_id
    return ""


def open_case(change: Change, kind: CaseKind, summary: str, *, amount: Money | None = None) -> None:
    """Open a case about the operation, for an operator."""
    change.cases.append(case_about_operation(kind, change.operation, summary, amount=amount))


def set_status_from_books(change: Change, *, otherwise: S, emits: bool = True) -> None:
    """Set the intent's status by its amounts; to `otherwise` if nothing is held or taken.

    Emits an event only while no final status was published, and only if `emits`.
    """
    intent = change.intent
    if intent.status in (S.PROCESSING, S.REQUIRES_ACTION):
        return
    target = _status_by_amounts(change, otherwise)
    if target == intent.status:
        return
    _move_to(change, target)
    if target in INTENT_CAPTURED:
        _publish(change, "succeeded", "payment_intent.succeeded", emits=emits)
    elif target is S.CANCELED:
        _publish(change, "canceled", "payment_intent.canceled", emits=emits)
    elif emits and not intent.published_status:
        change.emit(_EVENTS[target], "intent")


_EVENTS: Final = {
    S.AUTHORIZED: "payment_intent.amount_capturable_updated",
    S.FAILED: "payment_intent.payment_failed",
}


def _publish(change: Change, status: str, event: str, *, emits: bool) -> None:
    if change.intent.published_status:
        return
    change.intent.published_status = status
    if emits:
        change.emit(event, "intent")


def _status_by_amounts(change: Change, otherwise: S) -> S:
    intent = change.intent
    if change.held_after():
        return S.AUTHORIZED
    if not intent.amount_captured_minor:
        return otherwise
    if intent.amount_refunded_minor >= intent.amount_captured_minor:
        change.charge.guard_order = None
        return S.REFUNDED
    return S.PARTIALLY_REFUNDED if intent.amount_refunded_minor else S.CAPTURED


_DETOURS: Final = ((), (S.CAPTURED,), (S.PROCESSING,), (S.PROCESSING, S.CAPTURED))


def _move_to(change: Change, target: S) -> None:
    """Take legal transitions only, and keep each one for PostgreSQL to check."""
    intent = change.intent
    steps: dict[S, Callable[[], None]] = {
        S.PROCESSING: intent.start,
        S.AUTHORIZED: intent.authorize,
        S.CAPTURED: intent.capture,
        S.PARTIALLY_REFUNDED: intent.refund_in_part,
        S.REFUNDED: intent.refund_in_full,
        S.FAILED: intent.fail,
        S.CANCELED: lambda: intent.cancel(
            at=now_utc(), reason=change.operation.cancellation_reason
        ),
    }
    way = next((way for way in _DETOURS if _is_legal((S(intent.status), *way, target))), None)
    assert way is not None, f"no way leads from {intent.status} to {target}"
    for stop in way:
        steps[stop]()
        change.intent_passes_through.append(stop)
    steps[target]()


def _is_legal(way: tuple[S, ...]) -> bool:
    return all(after in INTENT_TRANSITIONS[before] for before, after in pairwise(way))
