"""Cuts the books into slices, so that a statement of a verification reads a bounded number of rows.

A slice is a range of ids. Together the slices are the whole: entries whose ledger transaction is
missing are in one of them too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final
from uuid import UUID

from ledger.database import statements

BEFORE_EVERY_ID: Final = UUID(int=0)
_LAST_ID: Final = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows with an id above `after`, up to and including `last`; without both, all rows."""

    after: UUID = BEFORE_EVERY_ID
    last: UUID = _LAST_ID

    @property
    def ids(self) -> list[UUID]:
        """Both ends, as parameters of a statement."""
        return [self.after, self.last]

    @property
    def row_numbers(self) -> list[int]:
        """Both ends, if the ids are numbers."""
        return [min(each.int, 2**63 - 1) for each in self.ids]

    @property
    def is_last(self) -> bool:
        return self.last == _LAST_ID


EVERYTHING: Final = Slice()


class Cut(Enum):
    """What is cut by its ids; each with the statement that reads the ids in their order."""

    TRANSACTIONS = "SELECT id FROM ledger_transaction WHERE id > %s ORDER BY id"
    PAYMENTS = "SELECT payment_id FROM ledger_transaction WHERE payment_id > %s ORDER BY payment_id"
    DISPUTES = (
        "SELECT source_id FROM ledger_transaction WHERE source_type = 'dispute' "
        "AND source_id > %s ORDER BY source_id"
    )
    ACCOUNTS = "SELECT id FROM ledger_account WHERE id > %s ORDER BY id"
    SNAPSHOTS = "SELECT id FROM ledger_balance_snapshot WHERE id > %s ORDER BY id"
    NOTHING = ""

    def next_slice(self, after: UUID) -> Slice:
        """The slice that begins after this id."""
        if self is Cut.NOTHING:
            return EVERYTHING
        begin = after.int if self is Cut.SNAPSHOTS else after
        found = statements.execute(f"{self.value} OFFSET %s LIMIT 1", [begin, _ROWS[self] - 1])
        if not found:
            return Slice(after)
        last = found[0][0]
        return Slice(after, UUID(int=last) if isinstance(last, int) else last)

    def slices(self) -> Iterator[Slice]:
        """All of them, in order."""
        part = self.next_slice(BEFORE_EVERY_ID)
        yield part
        while not part.is_last:
            part = self.next_slice(part.last)
            yield part


_ROWS: Final = {
    Cut.TRANSACTIONS: 5_000,
    Cut.PAYMENTS: 5_000,
    Cut.DISPUTES: 1_000,
    Cut.ACCOUNTS: 1_000,
    Cut.SNAPSHOTS: 20,  # Each adds up to as many entries as `services.take_snapshot` lets it.
}
"""In a slice; a payment is in one slice with all of its transactions."""
