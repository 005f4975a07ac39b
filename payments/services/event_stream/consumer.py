"""Runs a consumer of the stream: reads an entry, applies its effect once, acknowledges it.

Delivery is at least once: an entry is acknowledged after its effect is committed, and entries of a
dead consumer are claimed by another.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event as StopEvent
from typing import Any, Final

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError, ResponseError

from payments.services.event_stream.consuming import (
    Effect,
    consume_once,
    note_failure,
    purge_consumed,
)
from payments.services.event_stream.message import Message, Unreadable, message_of
from payments.services.event_stream.redis_stream import RedisStream, entry_id, number_of

logger = logging.getLogger(__name__)

Entry = tuple[str, dict[str, str] | None]
"""Id and fields; no fields if it was deleted from Redis while pending."""

_ENTRIES_PER_READ: Final = 20
_WAIT_MS: Final = 1_000
_AFTER_FAILURE_SECONDS: Final = 0.5
DELIVERIES_MAX: Final = 20
"""An entry that was delivered more often and never finished probably kills its consumers."""
_CONSUMER_EXPIRES_MS: Final = 24 * 3600 * 1000
_PURGE_EVERY_SECONDS: Final = 10.0
"""With the rows per purge, a thousand events a second."""


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One consumer of a group; several of a group share its entries."""

    stream: RedisStream
    group: str
    name: str
    """The same after a restart: entries pending under it are finished first, in order."""
    effect: Effect
    take_over_after_ms: int = 30_000
    """An entry that was not acknowledged for so long is claimed from its consumer and retried."""
    wait_ms: int = _WAIT_MS
    _resumed: bool = field(default=False)
    _purge_at: float = field(default=0.0)

    def run(self, stop: StopEvent) -> None:
        """Consume until `stop` is set; the entry in progress is finished."""
        while not stop.is_set():
            try:
                self.consume()
            except (RedisError, OperationalError, InterfaceError) as error:
                self._log(error)
                self._resumed = False
                connection.close()
                stop.wait(_AFTER_FAILURE_SECONDS)
        self.deregister()

    def consume(self) -> int:
        """Consume entries reclaimed from idle consumers, then new ones; returns how many.

        The first call begins with entries that were pending under this name before a restart.
        """
        self._purge_periodically()
        if not self._resumed:
            self._consume_pending()
            self._resumed = True
        reclaimed = self._reclaim()
        self._handle(reclaimed, redelivered=True)
        fresh = self._fresh(wait=not reclaimed)
        self._handle(fresh, redelivered=False)
        return len(reclaimed) + len(fresh)

    def deregister(self) -> None:
        """Remove this consumer from its group, unless it has pending entries."""
        try:
            self.stream.remove_consumers(self.group, name=self.name, idle_ms=_CONSUMER_EXPIRES_MS)
        except RedisError as error:
            self._log(error)

    def _consume_pending(self) -> None:
        after = entry_id(0)
        while own := self._read(after):
            self._handle(own, redelivered=True)
            after = own[-1][0]

    def _reclaim(self) -> list[Entry]:
        answer: Any = self.stream.redis.xautoclaim(
            self.stream.key,
            self.group,
            self.name,
            min_idle_time=self.take_over_after_ms,
            count=_ENTRIES_PER_READ,
        )
        return [entry for entry in answer[1] if entry[0] is not None]

    def _fresh(self, *, wait: bool) -> list[Entry]:
        return self._read(">", wait_ms=self.wait_ms if wait else None)

    def _read(self, after: str, *, wait_ms: int | None = None) -> list[Entry]:
        """New entries (`>`), or this consumer's pending ones after an entry."""
        answer: Any = self.stream.redis.xreadgroup(
            self.group, self.name, {self.stream.key: after}, count=_ENTRIES_PER_READ, block=wait_ms
        )
        return list(answer[0][1]) if answer else []

    def _handle(self, entries: Iterable[Entry], *, redelivered: bool) -> None:
        for entry, fields in entries:
            try:
                message = message_of(number_of(entry), (fields or {}).get("event"))
            except Unreadable:
                # Written by hand into Redis. The publisher notices before any position moves past
                # it, and rewrites the stream.
                logger.exception("an entry of the stream is no event of ours; it is skipped")
            else:
                if not self._consume_one(message, redelivered=redelivered):
                    continue
            self.stream.redis.xack(self.stream.key, self.group, entry)

    def _consume_one(self, message: Message, *, redelivered: bool) -> bool:
        """Apply the effect or dead-letter the event; returns False if it is to be retried."""
        if redelivered and self._deliveries(message) > DELIVERIES_MAX:
            return note_failure(
                self.group, message, f"delivered {DELIVERIES_MAX} times, never finished", dead=True
            )
        try:
            consume_once(self.group, message, self.effect)
        except (OperationalError, InterfaceError):
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

    def _purge_periodically(self) -> None:
        if time.monotonic() >= self._purge_at:
            self._purge_at = time.monotonic() + _PURGE_EVERY_SECONDS
            self.stream.remove_consumers(self.group, name="", idle_ms=_CONSUMER_EXPIRES_MS)
            purge_consumed()

    def _log(self, error: RedisError | DatabaseError) -> None:
        if isinstance(error, ResponseError) and "NOGROUP" in str(error):
            logger.warning("the group does not exist (yet): the publisher creates it")
        else:
            logger.warning("%s waits: %s: %s", self.name, type(error).__name__, error)
