"""Runs a consumer of the stream: reads entries, applies their effects once, acknowledges them.

Delivery is at least once: an entry is acknowledged after its effect is committed, and entries of a
dead consumer are claimed by another. New entries are consumed together, in one transaction and with
one acknowledgment; those that failed or come again, one by one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event as StopEvent
from typing import Any, Final

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError, ResponseError

from ledger.database.statements import execute
from payments.services.event_stream.consuming import (
    Effect,
    EffectOfMany,
    UnknownGroup,
    consume_once,
    consume_together,
    note_failure,
)
from payments.services.event_stream.message import Message, Unreadable, message_of
from payments.services.event_stream.redis_stream import RedisStream, entry_id, number_of

logger = logging.getLogger(__name__)

Entry = tuple[str, dict[str, str] | None]
"""Id and fields; no fields if it was deleted from Redis while pending."""

_ENTRIES_PER_READ: Final = 100
_CLAIMED_AT_ONCE: Final = 20
_WAIT_MS: Final = 2_000
"""For new entries. A consumer that is told to stop may wait so long."""
_CLAIM_EVERY_SECONDS: Final = 5.0
_AFTER_FAILURE_SECONDS: Final = 0.5
DELIVERIES_MAX: Final = 20
"""An entry that was delivered more often and never finished probably kills its consumers."""
_CONSUMER_EXPIRES_MS: Final = 24 * 3600 * 1000
_REMOVE_CONSUMERS_EVERY_SECONDS: Final = 60.0


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One consumer of a group; several of a group share its entries."""

    stream: RedisStream
    group: str
    name: str
    """The same after a restart: entries pending under it are finished first, in order."""
    effect: Effect
    effect_of_many: EffectOfMany | None = None
    """In place of `effect` for events that are consumed together."""
    take_over_after_ms: int = 30_000
    """An entry that was not acknowledged for so long is claimed from its consumer and retried."""
    wait_ms: int = _WAIT_MS
    _resumed: bool = field(default=False)
    _claim_at: float = field(default=0.0)
    _remove_consumers_at: float = field(default=0.0)

    def run(self, stop: StopEvent) -> None:
        """Consume until `stop` is set; the entries in progress are finished."""
        while not stop.is_set():
            try:
                self.consume()
            except (RedisError, OperationalError, InterfaceError, UnknownGroup) as error:
                self._log(error)
                self._resumed = False
                connection.close()
                stop.wait(_AFTER_FAILURE_SECONDS)
        self.deregister()

    def consume(self) -> int:
        """Consume entries reclaimed from idle consumers, then new ones; returns how many.

        The first call begins with entries that were pending under this name before a restart.
        """
        self._remove_consumers_periodically()
        if not self._resumed:
            self._consume_pending()
            self._resumed = True
        reclaimed = self._reclaim_periodically()
        for entry in reclaimed:
            # The next one pending after the number before it. None, if another claimed it since.
            for own in self._read(entry_id(number_of(entry) - 1), count=1):
                self._consume_one(own, redelivered=True)
        fresh = self._fresh(wait=not reclaimed)
        self._consume_fresh(fresh)
        return len(reclaimed) + len(fresh)

    def deregister(self) -> None:
        """Remove this consumer from its group, unless it has pending entries."""
        try:
            self.stream.remove_consumers(self.group, name=self.name, idle_ms=_CONSUMER_EXPIRES_MS)
        except RedisError as error:
            self._log(error)

    def _consume_pending(self) -> None:
        """Read one by one: the deliveries of each then tell which of them kills its consumers.

        Not before the database answers: its outage is no failed delivery of an event.
        """
        execute("SELECT 1")
        after = entry_id(0)
        while own := self._read(after, count=1):
            self._consume_one(own[0], redelivered=True)
            after = own[0][0]

    def _reclaim_periodically(self) -> list[str]:
        if time.monotonic() < self._claim_at:
            return []
        claimed = self._reclaim()
        if not claimed:
            wait_seconds = min(_CLAIM_EVERY_SECONDS, self.take_over_after_ms / 2_000)
            self._claim_at = time.monotonic() + wait_seconds
        return claimed

    def _reclaim(self) -> list[str]:
        """Claim entries of idle consumers, which is no delivery yet; returns their ids."""
        answer: Any = self.stream.redis.xautoclaim(
            self.stream.key,
            self.group,
            self.name,
            min_idle_time=self.take_over_after_ms,
            count=_CLAIMED_AT_ONCE,
            justid=True,
        )
        return list(answer)

    def _fresh(self, *, wait: bool) -> list[Entry]:
        return self._read(">", count=_ENTRIES_PER_READ, wait_ms=self.wait_ms if wait else None)

    def _read(self, after: str, *, count: int, wait_ms: int | None = None) -> list[Entry]:
        """New entries (`>`), or this consumer's pending ones after an entry."""
        answer: Any = self.stream.redis.xreadgroup(
            self.group, self.name, {self.stream.key: after}, count=count, block=wait_ms
        )
        return list(answer[0][1]) if answer else []

    def _consume_fresh(self, entries: Sequence[Entry]) -> None:
        """Together; one by one if that fails, so that an event that fails stops no other."""
        if len(entries) > 1 and self._consume_together(entries):
            self._acknowledge(*(entry for entry, _ in entries))
            return
        for each in entries:
            self._consume_one(each, redelivered=False)

    def _consume_together(self, entries: Sequence[Entry]) -> bool:
        messages = [message for each in entries if (message := _readable(each)) is not None]
        try:
            consume_together(self.group, messages, self.effect_of_many or self._each_effect)
        except Exception as error:  # noqa: BLE001  (the cause shows again, one by one)
            logger.info("%s consumes %s events one by one: %s", self.group, len(entries), error)
            return False
        return True

    def _each_effect(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.effect(message)

    def _consume_one(self, entry: Entry, *, redelivered: bool) -> None:
        message = _readable(entry)
        if message is None or self._is_over(message, redelivered=redelivered):
            self._acknowledge(entry[0])

    def _acknowledge(self, *entries: str) -> None:
        self.stream.redis.xack(self.stream.key, self.group, *entries)

    def _is_over(self, message: Message, *, redelivered: bool) -> bool:
        """Apply the effect or dead-letter the event; returns False if it is to be retried."""
        if redelivered and self._deliveries(message) > DELIVERIES_MAX:
            return note_failure(
                self.group, message, f"delivered {DELIVERIES_MAX} times, never finished", dead=True
            )
        try:
            consume_once(self.group, message, self.effect)
        except (OperationalError, InterfaceError, UnknownGroup):
            raise  # The database failed, not the event: it stays pending and is redelivered.
        except Exception as error:
            logger.exception("%s could not consume %s", self.group, message.event_id)
            return note_failure(self.group, message, f"{type(error).__name__}: {error}")
        return True

    def _deliveries(self, message: Message) -> int:
        own = entry_id(message.number)
        found: Any = self.stream.redis.xpending_range(
            self.stream.key, self.group, min=own, max=own, count=1
        )
        return int(found[0]["times_delivered"]) if found else 0

    def _remove_consumers_periodically(self) -> None:
        if time.monotonic() >= self._remove_consumers_at:
            self._remove_consumers_at = time.monotonic() + _REMOVE_CONSUMERS_EVERY_SECONDS
            self.stream.remove_consumers(self.group, name="", idle_ms=_CONSUMER_EXPIRES_MS)

    def _log(self, error: RedisError | DatabaseError | UnknownGroup) -> None:
        no_group = isinstance(error, ResponseError) and "NOGROUP" in str(error)
        if no_group or isinstance(error, UnknownGroup):
            logger.warning("the group does not exist (yet): the publisher creates it")
        else:
            logger.warning("%s waits: %s: %s", self.name, type(error).__name__, error)


def _readable(entry: Entry) -> Message | None:
    """The event of an entry; None if it is none, which is logged and skipped.

    Such an entry was written by hand into Redis. The publisher notices before any position moves
    past it, and rewrites the stream.
    """
    entry_name, fields = entry
    try:
        return message_of(number_of(entry_name), (fields or {}).get("event"))
    except Unreadable:
        logger.exception("an entry of the stream is no event of ours; it is skipped")
        return None
