"""Consumes events for a group: the effect of each exactly once, its failures counted.

The effects and the record of them are one transaction, so a second delivery does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import transaction

from ledger.database.statements import execute
from payments.models import ConsumedEvent, Event, FailedEvent
from payments.services.event_stream.message import Message, cloud_event_of, message_of

Effect = Callable[[Message], None]
"""What a group does with an event, inside a transaction: it writes to PostgreSQL only."""
EffectOfMany = Callable[[Sequence[Message]], None]
"""The same for the events of one transaction, in their order, where that takes fewer statements."""

FAILURES_MAX: Final = 5
"""After so many failures an event is a dead letter, for an operator."""
KEPT_FOR: Final = timedelta(days=30)
"""Longer than the age of any backup from which Redis may be restored."""
_PURGED_PER_CALL: Final = 10_000

_NOTE: Final = """
    WITH fresh AS (
         INSERT INTO payments_consumed_event ("group", event_id, type, consumed_at)
         SELECT %s, event_id, type, now()
           FROM unnest(%s::uuid[], %s::text[]) AS given (event_id, type)
         ON CONFLICT DO NOTHING RETURNING event_id),
         succeeded AS (
         DELETE FROM payments_failed_event f USING fresh
          WHERE f."group" = %s AND f.event_id = fresh.event_id)
    SELECT event_id FROM fresh"""
_FAILED: Final = """
    INSERT INTO payments_failed_event AS f
           ("group", event_id, type, failures, last_error, first_failed_at, failed_at, dead_at)
    VALUES (%s, %s, %s, 1, %s, now(), now(), CASE WHEN %s THEN now() END)
    ON CONFLICT ("group", event_id) DO UPDATE
       SET failures = f.failures + 1, last_error = excluded.last_error, failed_at = now(),
           dead_at = CASE WHEN excluded.dead_at IS NOT NULL OR f.failures + 1 >= %s
                          THEN coalesce(f.dead_at, now()) ELSE f.dead_at END
    RETURNING dead_at IS NOT NULL"""


def consume_once(group: str, message: Message, effect: Effect) -> bool:
    """Run the effect and record it; returns False if the group had consumed the event before."""
    return consume_together(group, [message], lambda fresh: effect(fresh[0])) == 1


def consume_together(group: str, messages: Sequence[Message], effect: EffectOfMany) -> int:
    """Run the effect of those that the group had not consumed before; returns how many.

    One transaction: what the effect raises leaves nothing of any of them.
    """
    event_ids, types = [m.event_id for m in messages], [m.type for m in messages]
    with transaction.atomic(durable=True):
        noted = {row[0] for row in execute(_NOTE, [group, event_ids, types, group])}
        # By id: the same event may be there twice.
        fresh = {m.event_id: m for m in messages if m.event_id in noted}
        if fresh:
            effect(list(fresh.values()))
    return len(fresh)


def note_failure(group: str, message: Message, error: str, *, dead: bool = False) -> bool:
    """Count a failure; returns True if the event is now a dead letter."""
    params = [group, message.event_id, message.type, error[:500], dead, FAILURES_MAX]
    return bool(execute(_FAILED, params)[0][0])


def dead_letters(group: str) -> list[FailedEvent]:
    """The group's dead letters, oldest first."""
    return list(FailedEvent.objects.filter(group=group, dead_at__isnull=False).order_by("id"))


def replay(group: str, failed: FailedEvent, effect: Effect) -> str:
    """Consume a dead letter again, from the outbox; returns the error, empty if it succeeded."""
    event = Event.objects.get(pk=failed.event_id)
    message = message_of(0, cloud_event_of(event))
    try:
        consume_once(group, message, effect)
    except Exception as error:  # noqa: BLE001  (any error of an effect is stored with the event)
        note_failure(group, message, f"{type(error).__name__}: {error}", dead=True)
        return f"{type(error).__name__}: {error}"
    # Also if a late delivery consumed it meanwhile: then there is nothing left to replay.
    FailedEvent.objects.filter(pk=failed.pk).delete()
    return ""


def purge_consumed() -> int:
    """Purge the oldest records of consumed events, in one bounded batch; returns how many."""
    oldest = ConsumedEvent.objects.order_by("id").values("id")[:_PURGED_PER_CALL]
    before = datetime.now(UTC) - KEPT_FOR
    count, _ = ConsumedEvent.objects.filter(id__in=oldest, consumed_at__lt=before).delete()
    return count
