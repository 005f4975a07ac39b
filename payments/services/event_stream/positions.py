"""Stores each group's position in PostgreSQL, from which a lost stream is rewritten.

A position only moves forward. Our own consumers move theirs with the effect of each event; here
follow the groups of other programs, to what they have acknowledged without a gap.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from ledger.database.statements import execute

# A new group begins with the oldest entry that some group has not consumed, or is kept.
_ADD_GROUPS: Final = """
    INSERT INTO payments_stream_group (name, consumed, updated_at)
    SELECT name, int8multirange(int8range(1, coalesce(greatest(
             (SELECT min(number) FROM payments_stream_entry),
             (SELECT min(consumed_to) + 1 FROM payments_stream_group)), 1))), now()
      FROM unnest(%s::text[]) AS given (name)
    ON CONFLICT DO NOTHING"""
_ADVANCE: Final = """
    UPDATE payments_stream_group g
       SET consumed = g.consumed + int8multirange(int8range(1, given.position, '[]')),
           updated_at = now()
      FROM unnest(%s::text[], %s::bigint[]) AS given (name, position)
     WHERE g.name = given.name AND g.consumed_to < given.position"""
_RECORD: Final = """
    SELECT coalesce(min(number), 1), coalesce(max(number), 0),
           (SELECT event_id FROM payments_stream_entry WHERE number = %s),
           (SELECT coalesce(json_object_agg(name, consumed_to), '{}')
              FROM payments_stream_group WHERE name = ANY (%s)),
           EXISTS (SELECT FROM payments_unnumbered_event)
      FROM payments_stream_entry"""


@dataclass(frozen=True, slots=True)
class Record:
    """What PostgreSQL knows of the stream."""

    first: int
    """The oldest number that is kept."""
    last: int
    """The newest number that was assigned; 0 before the first."""
    event_id: UUID | None
    """The event at the requested number; None if it is not kept."""
    consumed_to: Mapping[str, int]
    """By group; without those that were not added yet."""
    has_unnumbered: bool
    """Whether events wait for a number."""

    @property
    def floor(self) -> int:
        """Everything up to here was consumed by every group, and may be deleted."""
        return max(min(self.consumed_to.values()), self.first - 1)


def add_groups(names: Iterable[str]) -> None:
    """Add new groups; existing ones keep their position."""
    execute(_ADD_GROUPS, [list(names)])


def advance(positions: Mapping[str, int]) -> None:
    """Store positions of groups; one that is behind the stored position changes nothing."""
    execute(_ADVANCE, [list(positions), list(positions.values())])


def read_record(names: Iterable[str], *, number: int) -> Record:
    """The stream and these groups as PostgreSQL has them, and the event at `number`.

    Read it after Redis was inspected: numbers are assigned before they reach Redis.
    """
    return Record(*execute(_RECORD, [number, list(names)])[0])
