"""Late words on what was done to the hold of a charge too many: its voids, and captures of it.

Nothing here touches the intent's status or counters. What may not live here: SQL, PSPs, rendering.
"""

from __future__ import annotations

from ledger import posting_rules as rules
from ledger.posting_rules import Posting
from payments.clock import now_utc
from payments.services.outcomes.change import Change
from payments.services.outcomes.effects.duplicate_charges import let_go_of, went_back
from payments.services.outcomes.late.revision import (
    ConflictsWithBooks,
    open_case,
    prior_state_of,
    succeed,
    take_back,
)
from payments.states import CaseKind, OperationStatus


def let_go(change: Change) -> None:
    """The second hold was let go although we had believed that it was not."""
    amount, charge = let_go_of(change), change.charge
    if charge.excess_returned_minor + amount.minor > charge.amount_minor:
        raise ConflictsWithBooks("the provider let more go than it had held in excess")
    succeed(change)
    if amount:
        change.post(rules.excess_released, amount)
    went_back(change, amount)
    change.emit("charge.refunded", "charge")


def held_again(change: Change) -> None:
    """The second hold that we had let go is there again: to be let go once more."""
    take_back(change)
    _undo(change)
    _give_back_what_is_left(change)
    change.emit("charge.updated", "charge")


def capture_reversed(change: Change) -> None:
    """A capture of a charge too many failed: it is held again, and let go by the sweep."""
    returned_minor = sum(
        _returned_minor(each.posting) for each in prior_state_of(change).active_bookings
    )
    if change.charge.excess_returned_minor != returned_minor:
        raise ConflictsWithBooks("some of what was captured in excess went back already")
    take_back(change)
    _undo(change)
    _give_back_what_is_left(change)
    change.emit("charge.updated", "charge")
    open_case(change, CaseKind.TAKEN_BACK, "The capture of a charge too many failed later.")


def capture_reinstated(change: Change) -> None:
    """It was captured all the same."""
    if change.charge.excess_returned_minor:
        raise ConflictsWithBooks("what was captured in excess was let go already")
    succeed(change)
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
    """How much of the hold a posting lets go; negative where it is held after all."""
    amount_minor = posting.lines[0].amount.minor
    signs = {"excess_released": 1, "excess_authorized": -1}
    return signs.get(posting.rule, 0) * amount_minor


def _give_back_what_is_left(change: Change) -> None:
    charge = change.charge
    if charge.status != OperationStatus.EXCESS:
        return
    is_left = charge.excess_returned_minor < charge.excess_minor
    charge.reverse_at = now_utc() if is_left else None
