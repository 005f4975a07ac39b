"""Applies late outcomes of captures, voids and increments."""

from __future__ import annotations

from typing import Final

from ledger import posting_rules as rules
from ledger.money import Money
from payments.clock import now_utc
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.charges import last_payment_error
from payments.services.outcomes.late import duplicate_charges
from payments.services.outcomes.late.revision import (
    ConflictsWithBooks,
    NoEffect,
    mark_reversed,
    mark_succeeded,
    open_case,
    prior_state_of,
    reclaim_order,
    require_no_open_operation,
    set_status_from_books,
)
from payments.states import CaseKind, IntentStatus, OperationStatus

_MONEY_RULES: Final = ("captured", "platform_fee")
"""Rules of a capture that move money; its others are about the hold."""


# --- captures --------------------------------------------------------------------------------


def capture_succeeded_late(change: Change) -> None:
    """Post a capture that had been closed without success."""
    operation, before = change.operation, change.operation.status
    if change.charge.status == OperationStatus.EXCESS:
        raise ConflictsWithBooks("we never asked to capture a duplicate charge")
    require_no_open_operation(change)
    mark_succeeded(change)
    reopened = _reopen_released_part(change)
    over = _hold_enough(change)
    change.post_capture(operation.amount)
    remark = _after_capture(change)
    if reopened:
        remark += f" By our books {reopened} of it had been released."
    if over:
        remark += f" The provider took {over} more than it held for us."
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The capture had been closed as {before} and succeeded after all.{remark}",
    )


def capture_reinstated(change: Change) -> None:
    """Post the money of the capture again, and its memo if the hold had been reopened."""
    prior = prior_state_of(change)
    if change.charge.status == OperationStatus.EXCESS:
        duplicate_charges.capture_reinstated(change)
        return
    require_no_open_operation(change)
    mark_succeeded(change)
    memo_is_booked = any(
        booking.posting.rule == "capture_memo" for booking in prior.active_bookings
    )
    if not memo_is_booked:
        _hold_enough(change)
    for booking in prior.reversed_bookings:
        rule = booking.posting.rule
        if rule in _MONEY_RULES or (rule == "capture_memo" and not memo_is_booked):
            change.post_again(booking.posting)
    remark = _after_capture(change)
    if remark:
        open_case(change, CaseKind.LATE_SUCCESS, f"A capture that had failed went through.{remark}")


def capture_reversed(change: Change) -> None:
    """Reverse the capture; the hold is reopened only if the PSP still holds the money."""
    intent, operation, prior = change.intent, change.operation, prior_state_of(change)
    if change.charge.status == OperationStatus.EXCESS:
        duplicate_charges.capture_reversed(change)
        return
    require_no_open_operation(change)
    hold_is_open = _hold_is_still_open(change)
    mark_reversed(change)
    for booking in prior.active_bookings:
        if hold_is_open or booking.posting.rule in _MONEY_RULES:
            change.reverse(booking)
    if hold_is_open:
        intent.amount_excess_minor -= operation.excess_minor
        operation.excess_minor = 0
    else:
        change.post(rules.released, change.held_after())
    change.update_over_refund()
    if not (intent.amount_captured_minor or change.held_after()):
        change.charge.guard_order = None
        intent.last_payment_error = last_payment_error(
            change.charge, code=operation.code, message=operation.message
        )
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=IntentStatus.FAILED)
    remark = "The hold is open again." if hold_is_open else "Nothing is held any more."
    open_case(
        change, CaseKind.OUTCOME_REVERSED, f"The capture was accepted, and failed later. {remark}"
    )


def _reopen_released_part(change: Change) -> Money:
    """Reopen the released part: the PSP had captured it before it released the rest."""
    intent, operation = change.intent, change.operation
    if intent.status != IntentStatus.CANCELED:
        return Money.zero(operation.currency)
    authorized = Money(intent.amount_authorized_minor, intent.currency)
    released = min(operation.amount, authorized)
    if released:
        change.post(rules.hold_reopened, released)
    return released


def _hold_enough(change: Change) -> Money:
    """Book as held what was captured beyond the hold; returns how much that is."""
    intent, operation = change.intent, change.operation
    over_minor = max(0, operation.amount_minor - change.held_after().minor)
    over = Money(over_minor, operation.currency)
    if over:
        change.post(rules.authorization_incremented, over)
        intent.amount_excess_minor += over_minor
        operation.excess_minor = over_minor
    return over


def _after_capture(change: Change) -> str:
    if change.operation.final:
        change.post(rules.released, change.held_after())
    change.update_over_refund()
    remark = reclaim_order(change)
    change.emit("charge.captured", "charge")
    set_status_from_books(change, otherwise=IntentStatus.FAILED)
    return remark


def _hold_is_still_open(change: Change) -> bool:
    """True if the PSP holds all that is then uncaptured: by its statement, else by the expiry."""
    intent, operation = change.intent, change.operation
    captured_minor = intent.amount_captured_minor - operation.amount_minor
    open_minor = intent.amount_authorized_minor - captured_minor - operation.excess_minor
    if change.result.held is not None:
        return change.result.held.minor >= open_minor
    expires_at = intent.authorization_expires_at
    return expires_at is not None and expires_at > now_utc()


# --- voids -----------------------------------------------------------------------------------


def void_succeeded_late(change: Change) -> None:
    """Post a void that had been closed without success."""
    before = change.operation.status
    void_reinstated(change)
    if change.operation.gives_excess_back:
        return
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The void had been closed as {before} and succeeded after all.",
    )


def void_reinstated(change: Change) -> None:
    """Release the hold again."""
    intent, charge = change.intent, change.charge
    if change.operation.gives_excess_back:
        duplicate_charges.void_succeeded(change)
        return
    require_no_open_operation(change)
    mark_succeeded(change)
    change.post(rules.voided, prior_state_of(change).held)
    if not intent.amount_captured_minor:
        charge.guard_order = None
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=IntentStatus.CANCELED)


def void_reversed(change: Change) -> None:
    """Reopen the hold that the void had released."""
    if change.operation.gives_excess_back:
        duplicate_charges.void_reversed(change)
        return
    require_no_open_operation(change)
    status_before = IntentStatus(change.intent.status)
    mark_reversed(change)
    for booking in prior_state_of(change).active_bookings:
        if booking.posting.rule == "voided":
            change.reverse(booking)
    remark = reclaim_order(change) if change.held_after() else ""
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=status_before)
    open_case(
        change,
        CaseKind.OUTCOME_REVERSED,
        f"The void failed later: the money is held again.{remark}",
    )


# --- increments ------------------------------------------------------------------------------


def increment_succeeded_late(change: Change) -> None:
    """Post an increment that had been closed without success."""
    before = change.operation.status
    if not _hold_is_open(change):
        _increment_after_the_hold(change)
        return
    increment_reinstated(change)
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all.",
    )


def increment_reinstated(change: Change) -> None:
    """Post the increment again."""
    intent, operation = change.intent, change.operation
    if not _hold_is_open(change):
        _increment_after_the_hold(change)
        return
    mark_succeeded(change)
    change.post(rules.authorization_incremented, operation.amount)
    intent.amount_minor += operation.amount_minor
    set_status_from_books(change, otherwise=IntentStatus.FAILED)
    change.emit("charge.updated", "charge")


def increment_reversed(change: Change) -> None:
    """Reverse the increment: less is held than the PSP had said."""
    intent, operation, prior = change.intent, change.operation, prior_state_of(change)
    require_no_open_operation(change)
    went_with_the_hold = any(
        booking.posting.rule == "released" for booking in prior.active_bookings
    )
    counts = not (operation.excess_minor or went_with_the_hold)
    if counts and prior.held < operation.amount:
        raise ConflictsWithBooks(
            "the provider holds less than what was captured or released already"
        )
    if operation.excess_returned_minor:
        raise NoEffect  # It was released.
    status_before = IntentStatus(intent.status)
    mark_reversed(change)
    for booking in prior.active_bookings:
        change.reverse(booking)
    if operation.excess_minor:
        intent.amount_excess_minor -= operation.excess_minor
        operation.excess_minor = 0
    elif counts:
        intent.amount_minor -= operation.amount_minor
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=status_before)
    open_case(change, CaseKind.OUTCOME_REVERSED, "The provider reversed an increment of the hold.")


def _hold_is_open(change: Change) -> bool:
    charge_holds = change.charge.status == OperationStatus.SUCCEEDED
    return bool(charge_holds and change.intent.status == IntentStatus.AUTHORIZED)


def _increment_after_the_hold(change: Change) -> None:
    """Book an increment that came after the hold: released with it, or held in excess."""
    operation, before = change.operation, change.operation.status
    require_no_open_operation(change)
    if not _is_gone(change):
        _increment_in_excess(change, before)
        return
    mark_succeeded(change)
    change.post(rules.authorization_incremented, operation.amount)
    change.post(rules.released, operation.amount)
    change.emit("charge.updated", "charge")
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all; it was released with "
        "the rest of the hold.",
    )


def _is_gone(change: Change) -> bool:
    """True if the PSP holds nothing; where it does not say, if the payment was canceled."""
    if change.charge.status != OperationStatus.SUCCEEDED:
        return False
    if change.result.held is not None:
        return not change.result.held
    return bool(change.intent.status == IntentStatus.CANCELED)


def _increment_in_excess(change: Change, before: str) -> None:
    """Book an increment in excess: the payment's own hold is used up or released."""
    intent, operation = change.intent, change.operation
    mark_succeeded(change)
    operation.excess_minor = operation.amount_minor
    intent.amount_excess_minor += operation.amount_minor
    change.post(rules.excess_authorized, operation.amount)
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all, when nothing was held "
        "any more. Have the provider release it.",
    )
