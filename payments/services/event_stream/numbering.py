"""Assigns each event its permanent number on the stream, in PostgreSQL.

Redis is rewritten from these numbers whenever it lost them, so no numbered event is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.models import Event

BATCH: Final = 500
"""Events per transaction."""
_NUMBERING_LOCK: Final = 7_263_001
"""Key of the advisory lock under which numbers are assigned; used for nothing else."""

# The aggregates of the oldest events, then all of theirs by sequence: a prefix of each aggregate,
# whatever clocks made the ids. Earlier events of an aggregate are committed first, so none is
# missed. It may wait for the fan-out, which locks rows of the same table and never waits.
_PENDING: Final = """
    SELECT event_id, aggregateid, fanned_out_at IS NOT NULL
      FROM payments_dispatch
     WHERE streamed_at IS NULL AND aggregateid = ANY (ARRAY(
           SELECT aggregateid FROM payments_dispatch WHERE streamed_at IS NULL
            ORDER BY event_id LIMIT %s))
     ORDER BY seq, event_id LIMIT %s
       FOR UPDATE"""
_NUMBER: Final = """
    WITH given AS (
         SELECT event_id, fanned_out, place
           FROM unnest(%s::uuid[], %s::bool[]) WITH ORDINALITY AS g (event_id, fanned_out, place)),
         done AS (
         DELETE FROM payments_dispatch d USING given g
          WHERE d.event_id = g.event_id AND g.fanned_out),
         streamed AS (
         UPDATE payments_dispatch d SET streamed_at = now() FROM given g
          WHERE d.event_id = g.event_id AND NOT g.fanned_out)
    INSERT INTO payments_stream_entry (number, event_id)
    SELECT (SELECT coalesce(max(number), 0) FROM payments_stream_entry) + place, event_id
      FROM given"""
_PRUNE: Final = """
    DELETE FROM payments_stream_entry WHERE number IN (
           SELECT number FROM payments_stream_entry WHERE number <= %s ORDER BY number LIMIT %s)
       AND number < (SELECT max(number) FROM payments_stream_entry)"""
_PRUNED_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its number on the stream."""

    number: int
    event: Event


def assign_numbers() -> int:
    """Number the oldest unnumbered events, in order per aggregate; returns how many.

    Several may run at once: one assigns numbers, the others return 0. The dispatch row of an event
    is deleted here, unless the event is still to be fanned out.
    """
    with transaction.atomic(durable=True):
        if not execute("SELECT pg_try_advisory_xact_lock(%s)", [_NUMBERING_LOCK])[0][0]:
            return 0
        rows = execute(_PENDING, [BATCH, BATCH])
        if rows:
            fanned_out = {event_id: is_fanned_out for event_id, _, is_fanned_out in rows}
            ordered = _in_order(rows)
            execute(_NUMBER, [ordered, [fanned_out[each] for each in ordered]])
    return len(rows)


def numbered_after(number: int, *, limit: int) -> list[Numbered]:
    """The next events of the stream, at most `limit`, by their numbers."""
    sql = (
        f"SELECT s.number, {columns_of(Event, 'e')} FROM payments_stream_entry s "
        f"JOIN {table_of(Event)} e ON e.id = s.event_id "
        "WHERE s.number > %s ORDER BY s.number LIMIT %s"
    )
    return [Numbered(row[0], instance_of(Event, row[1:])) for row in execute(sql, [number, limit])]


def prune(up_to: int) -> None:
    """Delete entries up to a number that every group has consumed; the newest entry stays.

    The newest says which number comes next.
    """
    execute(_PRUNE, [up_to, _PRUNED_AT_ONCE])


def _in_order(rows: list[tuple[Any, ...]]) -> list[UUID]:
    """Sorted by the time in their ids, but never before an earlier event of the same aggregate."""
    newest: dict[UUID, UUID] = {}
    keyed = []
    for place, (event_id, aggregate_id, _) in enumerate(rows):
        newest[aggregate_id] = max(event_id, newest.get(aggregate_id, event_id))
        keyed.append((newest[aggregate_id], place, event_id))
    return [event_id for _, _, event_id in sorted(keyed)]
