"""Late words on captures, voids and increments.

What may not live here: SQL, PSPs, rendering.
"""

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
    open_case,
    prior_state_of,
    reclaim_order,
    require_quiet,
    set_status_from_books,
    succeed,
    take_back,
)
from payments.states import CaseKind, IntentStatus, OperationStatus

_MONEY_RULES: Final = ("captured", "platform_fee")
"""What a capture moves; the rest of what it books is about the hold."""


# --- captures --------------------------------------------------------------------------------


def capture_succeeded_late(change: Change) -> None:
    """Money was taken although we had believed that it was not."""
    operation, before = change.operation, change.operation.status
    if change.charge.status == OperationStatus.EXCESS:
        raise ConflictsWithBooks("we never asked to capture a charge that was one too many")
    require_quiet(change)
    succeed(change)
    reopened = _hold_again_what_was_let_go(change)
    over = _hold_enough(change)
    change.post_capture(operation.amount)
    remark = _after_capture(change)
    if reopened:
        remark += f" By our books {reopened} of it had been let go."
    if over:
        remark += f" The provider took {over} more than it held for us."
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The capture had been closed as {before} and succeeded after all.{remark}",
    )


def capture_reinstated(change: Change) -> None:
    """Failed, and then done again: the money is booked once more, the hold only if it was back."""
    prior = prior_state_of(change)
    if change.charge.status == OperationStatus.EXCESS:
        duplicate_charges.capture_reinstated(change)
        return
    require_quiet(change)
    succeed(change)
    memo_stands = any(booking.posting.rule == "capture_memo" for booking in prior.active_bookings)
    if not memo_stands:
        _hold_enough(change)
    for booking in prior.reversed_bookings:
        rule = booking.posting.rule
        if rule in _MONEY_RULES or (rule == "capture_memo" and not memo_stands):
            change.post_again(booking.posting)
    remark = _after_capture(change)
    if remark:
        open_case(change, CaseKind.LATE_SUCCESS, f"A capture that had failed went through.{remark}")


def capture_reversed(change: Change) -> None:
    """Accepted, and then failed. The hold is open again only if the PSP still has it."""
    intent, operation, prior = change.intent, change.operation, prior_state_of(change)
    if change.charge.status == OperationStatus.EXCESS:
        duplicate_charges.capture_reversed(change)
        return
    require_quiet(change)
    stands = _hold_stands(change)
    take_back(change)
    for booking in prior.active_bookings:
        if stands or booking.posting.rule in _MONEY_RULES:
            change.reverse(booking)
    if stands:
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
    remark = "The hold stands again." if stands else "Nothing is held any more."
    open_case(change, CaseKind.TAKEN_BACK, f"The capture was accepted, and failed later. {remark}")


def _hold_again_what_was_let_go(change: Change) -> Money:
    """It was captured before the end of the hold, which let go less than our books say."""
    intent, operation = change.intent, change.operation
    if intent.status != IntentStatus.CANCELED:
        return Money.zero(operation.currency)
    authorized = Money(intent.amount_authorized_minor, intent.currency)
    let_go = min(operation.amount, authorized)
    if let_go:
        change.post(rules.hold_reopened, let_go)
    return let_go


def _hold_enough(change: Change) -> Money:
    """Book as held what the PSP takes beyond what it held for us; how much that is."""
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


def _hold_stands(change: Change) -> bool:
    """Does the PSP still hold all that is then not captured? By its word, else by the time."""
    intent, operation = change.intent, change.operation
    captured_minor = intent.amount_captured_minor - operation.amount_minor
    open_minor = intent.amount_authorized_minor - captured_minor - operation.excess_minor
    if change.result.held is not None:
        return change.result.held.minor >= open_minor
    expires_at = intent.authorization_expires_at
    return expires_at is not None and expires_at > now_utc()


# --- voids -----------------------------------------------------------------------------------


def void_succeeded_late(change: Change) -> None:
    """Let go although we had believed that it was not."""
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
    """Let go once more."""
    intent, charge = change.intent, change.charge
    if change.operation.gives_excess_back:
        duplicate_charges.let_go(change)
        return
    require_quiet(change)
    succeed(change)
    change.post(rules.voided, prior_state_of(change).held)
    if not intent.amount_captured_minor:
        charge.guard_order = None
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=IntentStatus.CANCELED)


def void_reversed(change: Change) -> None:
    """The hold that we had let go is there again."""
    if change.operation.gives_excess_back:
        duplicate_charges.held_again(change)
        return
    require_quiet(change)
    standing_status = IntentStatus(change.intent.status)
    take_back(change)
    for booking in prior_state_of(change).active_bookings:
        if booking.posting.rule == "voided":
            change.reverse(booking)
    remark = reclaim_order(change) if change.held_after() else ""
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=standing_status)
    open_case(
        change, CaseKind.TAKEN_BACK, f"The void failed later: the money is held again.{remark}"
    )


# --- increments ------------------------------------------------------------------------------


def increment_succeeded_late(change: Change) -> None:
    """More is held than we had believed."""
    before = change.operation.status
    if not _raises_the_hold(change):
        _increment_after_the_hold(change)
        return
    increment_reinstated(change)
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all.",
    )


def increment_reinstated(change: Change) -> None:
    """More is held, once more."""
    intent, operation = change.intent, change.operation
    if not _raises_the_hold(change):
        _increment_after_the_hold(change)
        return
    succeed(change)
    change.post(rules.authorization_incremented, operation.amount)
    intent.amount_minor += operation.amount_minor
    set_status_from_books(change, otherwise=IntentStatus.FAILED)
    change.emit("charge.updated", "charge")


def increment_reversed(change: Change) -> None:
    """Less is held than the PSP had said."""
    intent, operation, prior = change.intent, change.operation, prior_state_of(change)
    require_quiet(change)
    went_with_the_hold = any(
        booking.posting.rule == "released" for booking in prior.active_bookings
    )
    counts = not (operation.excess_minor or went_with_the_hold)
    if counts and prior.held < operation.amount:
        raise ConflictsWithBooks("the provider holds less than what was captured or let go already")
    if operation.excess_returned_minor:
        raise NoEffect  # It was let go.
    standing_status = IntentStatus(intent.status)
    take_back(change)
    for booking in prior.active_bookings:
        change.reverse(booking)
    if operation.excess_minor:
        intent.amount_excess_minor -= operation.excess_minor
        operation.excess_minor = 0
    elif counts:
        intent.amount_minor -= operation.amount_minor
    change.emit("charge.updated", "charge")
    set_status_from_books(change, otherwise=standing_status)
    open_case(change, CaseKind.TAKEN_BACK, "The provider took an increment of the hold back.")


def _raises_the_hold(change: Change) -> bool:
    stands = change.charge.status == OperationStatus.SUCCEEDED
    return bool(stands and change.intent.status == IntentStatus.AUTHORIZED)


def _increment_after_the_hold(change: Change) -> None:
    """It was there before the hold ended, and went with it; else it is one too many."""
    operation, before = change.operation, change.operation.status
    require_quiet(change)
    if not _is_gone(change):
        _increment_in_excess(change, before)
        return
    succeed(change)
    change.post(rules.authorization_incremented, operation.amount)
    change.post(rules.released, operation.amount)
    change.emit("charge.updated", "charge")
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all; it was let go with "
        "the rest of the hold.",
    )


def _is_gone(change: Change) -> bool:
    """By the PSP's word; where it does not say, a void or an end lets go whatever is held."""
    if change.charge.status != OperationStatus.SUCCEEDED:
        return False
    if change.result.held is not None:
        return not change.result.held
    return bool(change.intent.status == IntentStatus.CANCELED)


def _increment_in_excess(change: Change, before: str) -> None:
    """The PSP holds more for a payment whose hold is used up, or was let go: booked apart."""
    intent, operation = change.intent, change.operation
    succeed(change)
    operation.excess_minor = operation.amount_minor
    intent.amount_excess_minor += operation.amount_minor
    change.post(rules.excess_authorized, operation.amount)
    open_case(
        change,
        CaseKind.LATE_SUCCESS,
        f"The increment had been closed as {before} and succeeded after all, when nothing was held "
        "any more. Have the provider let it go.",
    )
