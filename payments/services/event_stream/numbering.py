"""Assigns each event its permanent number on the stream, in PostgreSQL.

Redis is rewritten from these numbers whenever it lost them, so no numbered event is lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.models import Event

BATCH: Final = 500
"""Events per transaction."""
_NUMBERING_LOCK: Final = 7_263_001
"""Key of the advisory lock under which numbers are assigned; used for nothing else."""

# The oldest events. Of a longer queue all of their aggregates, by sequence: a prefix of each one,
# whatever clocks made the ids. Earlier events of an aggregate are committed first, so none is
# missed. They are numbered by the time in their ids, but never before an earlier event of the same
# aggregate (PostgreSQL 17 has no max() of UUIDs).
_NUMBER: Final = """
    WITH oldest AS MATERIALIZED (
         SELECT e.id, e.aggregateid, e.seq
           FROM (SELECT event_id FROM payments_unnumbered_event ORDER BY event_id LIMIT %s) u
           JOIN payments_event e ON e.id = u.event_id),
         taken AS (
         SELECT id, aggregateid, seq FROM oldest
          UNION
         SELECT e.id, e.aggregateid, e.seq
           FROM payments_event e JOIN payments_unnumbered_event u ON u.event_id = e.id
          WHERE (SELECT count(*) FROM oldest) = %s
            AND e.aggregateid = ANY (ARRAY(SELECT aggregateid FROM oldest))
          ORDER BY seq, id LIMIT %s),
         ordered AS (
         SELECT id, row_number() OVER (ORDER BY newest, seq, id) AS place
           FROM (SELECT id, seq, max(id::text) OVER (PARTITION BY aggregateid ORDER BY seq)
                                 AS newest
                   FROM taken) t),
         done AS (
         DELETE FROM payments_unnumbered_event u USING ordered o WHERE u.event_id = o.id),
         numbered AS (
         INSERT INTO payments_stream_entry (number, event_id)
         SELECT (SELECT coalesce(max(number), 0) FROM payments_stream_entry) + place, id
           FROM ordered
         RETURNING number, event_id)
    SELECT n.number, {columns} FROM numbered n JOIN payments_event e ON e.id = n.event_id
     ORDER BY n.number"""
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


def assign_numbers() -> list[Numbered]:
    """Number the oldest unnumbered events, in order per aggregate; returns them.

    Several may run at once: one assigns numbers, the others return nothing.
    """
    with transaction.atomic(durable=True):
        # Before the statement that reads the queue, so that it sees what the last one committed.
        if not execute("SELECT pg_try_advisory_xact_lock(%s)", [_NUMBERING_LOCK])[0][0]:
            return []
        sql = _NUMBER.format(columns=columns_of(Event, "e"))
        return _numbered(execute(sql, [BATCH, BATCH, BATCH]))


def numbered_after(number: int, *, limit: int) -> list[Numbered]:
    """The next events of the stream, at most `limit`, by their numbers."""
    sql = (
        f"SELECT s.number, {columns_of(Event, 'e')} FROM payments_stream_entry s "
        f"JOIN {table_of(Event)} e ON e.id = s.event_id "
        "WHERE s.number > %s ORDER BY s.number LIMIT %s"
    )
    return _numbered(execute(sql, [number, limit]))


def prune(up_to: int) -> None:
    """Delete entries up to a number that every group has consumed; the newest entry stays.

    The newest says which number comes next.
    """
    execute(_PRUNE, [up_to, _PRUNED_AT_ONCE])


def _numbered(rows: list[tuple[Any, ...]]) -> list[Numbered]:
    return [Numbered(row[0], instance_of(Event, row[1:])) for row in rows]
