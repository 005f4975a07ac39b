"""Consumes events for a group: the effect of each exactly once, its failures counted.

An effect and the group's record that it consumed the event are one transaction, so a second
delivery does nothing. That record is a set of numbers in the group's one row. Its lock is taken by
the last statement, so effects of two consumers run side by side; one that comes second is rolled
back. An entry counts only if PostgreSQL gave its number to its event; another one was left in Redis
by a lost database, and the publisher rewrites the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django.db import transaction
from django.db.models import F

from ledger.database.statements import execute
from payments.clock import now_utc
from payments.models import Event, FailedEvent
from payments.services.event_stream.message import Message, cloud_event_of, message_of

Effect = Callable[[Message], None]
"""What a group does with an event, inside a transaction: it writes to PostgreSQL only."""
EffectOfMany = Callable[[Sequence[Message]], None]
"""The same for the events of one transaction, in their order, where that takes fewer statements."""

FAILURES_MAX: Final = 5
"""After so many failures an event is a dead letter, for an operator."""

# One row for each number that was added now; one without a number if there is none.
_CONSUME: Final = """
    WITH given AS (
         SELECT number, event_id FROM unnest(%s::bigint[], %s::uuid[]) AS g (number, event_id)
           JOIN payments_stream_entry USING (number, event_id)),
         moved AS (
         UPDATE payments_stream_group s
            SET consumed = s.consumed + n.numbers, added = n.numbers - s.consumed,
                updated_at = now()
           FROM (SELECT coalesce(range_agg(int8range(number, number, '[]')), '{}') AS numbers
                   FROM given) n
          WHERE s.name = %s RETURNING s.added),
         succeeded AS (
         DELETE FROM payments_failed_event f USING given, moved
          WHERE f."group" = %s AND f.event_id = given.event_id AND given.number <@ moved.added)
    SELECT given.number FROM moved LEFT JOIN given ON given.number <@ moved.added"""
_IS_OVER: Final = """
    SELECT %s::bigint <@ consumed OR NOT EXISTS (
           SELECT FROM payments_stream_entry WHERE number = %s AND event_id = %s)
      FROM payments_stream_group WHERE name = %s"""
_MOVE_PAST: Final = """
    UPDATE payments_stream_group
       SET consumed = consumed + int8multirange(int8range(%s::bigint, %s::bigint, '[]')),
           updated_at = now()
     WHERE name = %s"""
_FAILED: Final = """
    INSERT INTO payments_failed_event AS f
           ("group", event_id, type, failures, last_error, first_failed_at, failed_at, dead_at)
    VALUES (%s, %s, %s, 1, %s, now(), now(), CASE WHEN %s THEN now() END)
    ON CONFLICT ("group", event_id) DO UPDATE
       SET failures = f.failures + 1, last_error = excluded.last_error, failed_at = now(),
           dead_at = CASE WHEN excluded.dead_at IS NOT NULL OR f.failures + 1 >= %s
                          THEN coalesce(f.dead_at, now()) ELSE f.dead_at END
    RETURNING dead_at IS NOT NULL"""


class UnknownGroup(LookupError):
    """A group without a row: the publisher adds it, once it knows the group."""


class _Repeated(Exception):
    """Some of the events had been consumed before; `numbers` are those of the others."""

    def __init__(self, numbers: set[int]) -> None:
        super().__init__(numbers)
        self.numbers = numbers


def consume_once(group: str, message: Message, effect: Effect) -> bool:
    """Run the effect and record it; returns False if the event is not to be consumed (again).

    Raises UnknownGroup.
    """
    if _is_over(group, message):
        return False
    return consume_together(group, [message], lambda fresh: effect(fresh[0])) == 1


def consume_together(group: str, messages: Sequence[Message], effect: EffectOfMany) -> int:
    """Run the effect of those that the group had not consumed before; returns how many.

    One transaction: what the effect raises leaves nothing of any of them. If some had been consumed
    before, it is rolled back and repeated without them. Raises UnknownGroup.
    """
    left = {message.number: message for message in messages}
    while left:
        try:
            with transaction.atomic(durable=True):
                effect(list(left.values()))
                added = _add(group, left)
                if len(added) < len(left):
                    raise _Repeated(added)
        except _Repeated as repeated:
            left = {number: left[number] for number in left if number in repeated.numbers}
        else:
            return len(left)
    return 0


def _add(group: str, messages: Mapping[int, Message]) -> set[int]:
    """Add these numbers to what the group has consumed; returns those that were not in it."""
    event_ids = [message.event_id for message in messages.values()]
    rows = execute(_CONSUME, [list(messages), event_ids, group, group])
    if not rows:
        raise UnknownGroup(group)
    return {number for (number,) in rows if number is not None}


def _is_over(group: str, message: Message, *, locked: str = "") -> bool:
    number = message.number
    rows = execute(_IS_OVER + locked, [number, number, message.event_id, group])
    if not rows:
        raise UnknownGroup(group)
    return bool(rows[0][0])


def note_failure(group: str, message: Message, error: str, *, dead: bool = False) -> bool:
    """Count a failure; returns True if the event is over: a dead letter now, or not to be consumed.

    The group moves past a dead letter: from then on only an operator's replay consumes it.
    """
    with transaction.atomic(durable=True):
        if _is_over(group, message, locked=" FOR UPDATE"):
            return True  # Another consumer consumed it meanwhile.
        params = [group, message.event_id, message.type, error[:500], dead, FAILURES_MAX]
        is_dead = bool(execute(_FAILED, params)[0][0])
        if is_dead:
            execute(_MOVE_PAST, [message.number, message.number, group])
    return is_dead


def dead_letters(group: str) -> list[FailedEvent]:
    """The group's dead letters, oldest first."""
    return list(FailedEvent.objects.filter(group=group, dead_at__isnull=False).order_by("id"))


def replay(failed: FailedEvent, effect: Effect) -> str:
    """Consume a dead letter from the outbox; returns the error, empty if it succeeded.

    Its row is deleted in the same transaction, so it happens once however often it is replayed.
    """
    message = message_of(0, cloud_event_of(Event.objects.get(pk=failed.event_id)))
    own = FailedEvent.objects.filter(pk=failed.pk)
    try:
        with transaction.atomic(durable=True):
            if own.delete()[0]:
                effect(message)
    except Exception as raised:  # noqa: BLE001  (any error of an effect is stored with the event)
        error = f"{type(raised).__name__}: {raised}"[:500]
        own.update(failures=F("failures") + 1, last_error=error, failed_at=now_utc())
        return error
    return ""
