"""Which event is where on the stream: decided here, in PostgreSQL, once and for ever.

What an event's way out (`Dispatch`) waits for is its number; from then on it cannot be lost, since
Redis is written from the numbers, as often as need be. What may not live here: Redis.
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
_ONE_AT_A_TIME: Final = 7_263_001
"""Any number, ours alone: whoever holds this advisory lock gives out numbers."""

_ANYTHING: Final = "SELECT 1 FROM payments_dispatch WHERE streamed_at IS NULL LIMIT 1"
# The aggregates of the oldest events, then all of theirs by sequence: a prefix of each aggregate,
# whatever clocks made the ids. An event's earlier ones are committed before it, so they are seen.
# It waits for the fan-out, which locks rows of the same table and never waits for us.
_WAITING: Final = """
    SELECT event_id, aggregateid, fanned_out_at IS NOT NULL
      FROM payments_dispatch
     WHERE streamed_at IS NULL AND aggregateid = ANY (ARRAY(
           SELECT aggregateid FROM payments_dispatch WHERE streamed_at IS NULL
            ORDER BY event_id LIMIT %s))
     ORDER BY seq, event_id LIMIT %s
       FOR UPDATE"""
_NUMBER: Final = """
    INSERT INTO payments_stream_entry (number, event_id)
    SELECT (SELECT coalesce(max(number), 0) FROM payments_stream_entry) + place, event_id
      FROM unnest(%s::uuid[]) WITH ORDINALITY AS given (event_id, place)"""
_DONE: Final = "DELETE FROM payments_dispatch WHERE event_id = ANY (%s::uuid[])"
_STREAMED: Final = (
    "UPDATE payments_dispatch SET streamed_at = now() WHERE event_id = ANY (%s::uuid[])"
)
_PRUNE: Final = """
    DELETE FROM payments_stream_entry WHERE number IN (
           SELECT number FROM payments_stream_entry WHERE number <= %s ORDER BY number LIMIT %s)
       AND number < (SELECT max(number) FROM payments_stream_entry)"""
_PRUNED_AT_ONCE: Final = 5_000


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event with its place on the stream."""

    number: int
    event: Event


def number_waiting() -> int:
    """Give the events that wait their numbers, in order per aggregate; how many there were.

    Several may run at once: one gives out numbers, the others find nothing or wait their turn. The
    event's way out ends here, unless merchants' endpoints are still to be told.
    """
    if not execute(_ANYTHING):
        return 0
    with transaction.atomic(durable=True):
        if not execute("SELECT pg_try_advisory_xact_lock(%s)", [_ONE_AT_A_TIME])[0][0]:
            return 0
        rows = execute(_WAITING, [BATCH, BATCH])
        execute(_NUMBER, [_in_order(rows)])
        execute(_DONE, [[event_id for event_id, _, fanned_out in rows if fanned_out]])
        execute(_STREAMED, [[event_id for event_id, _, fanned_out in rows if not fanned_out]])
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
    """Forget places that every group is past; the newest stays, it says where numbers go on."""
    execute(_PRUNE, [up_to, _PRUNED_AT_ONCE])


def _in_order(rows: list[tuple[Any, ...]]) -> list[UUID]:
    """By time, as their ids tell it, but never before an earlier event of the same aggregate."""
    newest: dict[UUID, UUID] = {}
    keyed = []
    for place, (event_id, aggregate_id, _) in enumerate(rows):
        newest[aggregate_id] = max(event_id, newest.get(aggregate_id, event_id))
        keyed.append((newest[aggregate_id], place, event_id))
    return [event_id for _, _, event_id in sorted(keyed)]
