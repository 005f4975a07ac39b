"""Applies late outcomes of voids and captures of a duplicate charge.

Nothing here touches the intent's status or counters.
"""

from __future__ import annotations

from ledger import posting_rules as rules
from ledger.posting_rules import Posting
from payments.clock import now_utc
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.duplicate_charges import count_returned, released_by
from payments.services.outcomes.late.revision import (
    ConflictsWithBooks,
    mark_reversed,
    mark_succeeded,
    open_case,
    prior_state_of,
)
from payments.states import CaseKind, OperationStatus


def void_succeeded(change: Change) -> None:
    """The duplicate hold was released, although the void had been closed without success."""
    amount, charge = released_by(change), change.charge
    if charge.excess_returned_minor + amount.minor > charge.amount_minor:
        raise ConflictsWithBooks("the provider released more than it had held in excess")
    mark_succeeded(change)
    if amount:
        change.post(rules.excess_released, amount)
    count_returned(change, amount)
    change.emit("charge.refunded", "charge")


def void_reversed(change: Change) -> None:
    """Reopen the duplicate hold; the sweep of reversals releases it again."""
    mark_reversed(change)
    _undo(change)
    _give_back_what_is_left(change)
    change.emit("charge.updated", "charge")


def capture_reversed(change: Change) -> None:
    """Reverse a capture of a duplicate charge; the sweep of reversals releases the hold."""
    returned_minor = sum(
        _returned_minor(each.posting) for each in prior_state_of(change).active_bookings
    )
    if change.charge.excess_returned_minor != returned_minor:
        raise ConflictsWithBooks("some of what was captured in excess went back already")
    mark_reversed(change)
    _undo(change)
    _give_back_what_is_left(change)
    change.emit("charge.updated", "charge")
    open_case(change, CaseKind.OUTCOME_REVERSED, "The capture of a duplicate charge failed later.")


def capture_reinstated(change: Change) -> None:
    """Post the capture again."""
    if change.charge.excess_returned_minor:
        raise ConflictsWithBooks("what was captured in excess was released already")
    mark_succeeded(change)
    for booking in prior_state_of(change).reversed_bookings:
        change.post_again(booking.posting)
        change.charge.excess_returned_minor += _returned_minor(booking.posting)
    _give_back_what_is_left(change)
    change.emit("charge.captured", "charge")


def _undo(change: Change) -> None:
    for booking in prior_state_of(change).active_bookings:
        change.reverse(booking)
        change.charge.excess_returned_minor -= _returned_minor(booking.posting)


def _returned_minor(posting: Posting) -> int:
    """How much of the hold a posting releases; negative where it reopens it."""
    amount_minor = posting.lines[0].amount.minor
    signs = {"excess_released": 1, "excess_authorized": -1}
    return signs.get(posting.rule, 0) * amount_minor


def _give_back_what_is_left(change: Change) -> None:
    charge = change.charge
    if charge.status != OperationStatus.EXCESS:
        return
    is_left = charge.excess_returned_minor < charge.excess_minor
    charge.reversal_due_at = now_utc() if is_left else None
