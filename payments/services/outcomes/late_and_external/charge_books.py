"""Reads what is booked for a charge and its operations, and sums it up.

The sums are what was authorized, is held, was captured and was refunded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from ledger.posting_rules import REVERSAL_PREFIX, Posting
from ledger.selectors import Booking, bookings_of
from payments.models import Operation
from payments.services.outcomes import bookings

HOLD_SOURCE = "hold"
"""Source type, with a number, of postings that bring a charge's hold to what the PSP shows."""


@dataclass(slots=True)
class ChargeVector:
    """What one charge holds, took and gave back, in minor units: the balance of its accounts."""

    authorized_minor: int = 0
    held_minor: int = 0
    captured_minor: int = 0
    refunded_minor: int = 0
    """Pending refunds included."""

    def add(
        self,
        postings: Iterable[Posting],
        effects: Mapping[str, Mapping[str, int]] = bookings.VECTOR,
    ) -> None:
        """Count postings by these rules; a reversal counts against the rule that it reverses."""
        for posting in postings:
            rule, sign = posting.rule, 1
            if rule.startswith(REVERSAL_PREFIX):
                rule, sign = rule.removeprefix(REVERSAL_PREFIX), -1
            for name, effect in effects.get(rule, {}).items():
                added_minor = sign * effect * posting.lines[0].amount.minor
                setattr(self, f"{name}_minor", getattr(self, f"{name}_minor") + added_minor)


class ChargeBooks:
    """The bookings of one charge and its operations, as they were before an adoption."""

    def __init__(self, charge: Operation, operations: Iterable[Operation]) -> None:
        """Read them; the intent must be locked."""
        of_charge = {o.id for o in operations if o.charge_id == charge.id} | {charge.id}
        self._by_operation: dict[UUID, list[Booking]] = defaultdict(list)
        for booking in bookings_of(charge.intent_id):
            if booking.source_id in of_charge:
                self._by_operation[booking.source_id].append(booking)
        self._charge = charge

    def active(self, operation: Operation) -> list[Booking]:
        """The operation's own bookings that were not reversed."""
        return [each for each in self._own(operation) if not each.reversed_by]

    def last_reversed(self, operation: Operation, rule: str) -> Booking | None:
        """The newest booking of the operation by this rule that was reversed."""
        found = [e for e in self._own(operation) if e.reversed_by and e.posting.rule == rule]
        return found[-1] if found else None

    def is_duplicate(self) -> bool:
        """True if the charge was booked as a duplicate last."""
        own = self._own(self._charge)
        return bool(own) and own[-1].posting.rule.startswith("excess_")

    def holds_beyond_request(self) -> list[Booking]:
        """Active bookings of what the PSP captured or held beyond what was asked."""
        rules = ("authorization_incremented", "excess_authorized")
        return [
            each
            for each in self._hold_bookings()
            if each.posting.rule in rules and not each.reversed_by
        ]

    def next_hold_source(self) -> str:
        """The source type of the next posting that brings the hold to what the PSP shows."""
        return f"{HOLD_SOURCE}/{self.holds_adjusted() + 1}"

    def holds_adjusted(self) -> int:
        """How often the hold was brought to what the PSP shows, by no operation."""
        taken = {each.source_type for each in self._hold_bookings()}
        taken |= {each.reversed_by for each in self._hold_bookings()}
        number = 0
        while f"{HOLD_SOURCE}/{number + 1}" in taken:
            number += 1
        return number

    def vector(self, effects: Mapping[str, Mapping[str, int]] = bookings.VECTOR) -> ChargeVector:
        """What the charge's bookings by these rules add up to."""
        vector = ChargeVector()
        for of_operation in self._by_operation.values():
            vector.add((e.posting for e in of_operation if not e.reversed_by), effects)
        return vector

    def _own(self, operation: Operation) -> list[Booking]:
        rows = self._by_operation[operation.id]
        return [each for each in rows if not each.source_type.startswith(HOLD_SOURCE)]

    def _hold_bookings(self) -> list[Booking]:
        rows = self._by_operation[self._charge.id]
        return [each for each in rows if each.source_type.startswith(HOLD_SOURCE)]
