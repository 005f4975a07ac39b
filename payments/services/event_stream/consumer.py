"""A consumer of the stream, as others may copy it: read, do it once, acknowledge.

At least once: an entry is acknowledged after its effect is committed, and what a dead consumer left
is taken over. What may not live here: what a group does with an event.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Event as StopSign
from typing import Any, Final

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError, ResponseError

from payments.services.event_stream.consuming import Effect, consume_once, forget_old, note_failure
from payments.services.event_stream.message import Message, Unreadable, message_of
from payments.services.event_stream.redis_stream import RedisStream, entry_id, number_of

logger = logging.getLogger(__name__)

Entry = tuple[str, dict[str, str] | None]
"""Its id and fields; none if somebody deleted it while it was pending."""

_AT_ONCE: Final = 20
_WAIT_MS: Final = 1_000
_AFTER_FAILURE_SECONDS: Final = 0.5
DELIVERIES_MAX: Final = 20
"""An entry that was delivered so often and never finished kills whoever takes it."""
_GONE_AFTER_MS: Final = 24 * 3600 * 1000
_FORGET_EVERY_SECONDS: Final = 10.0
"""With what is forgotten at once, a thousand events a second."""


@dataclass(slots=True, kw_only=True)
class Consumer:
    """One consumer of a group; several of a group share its entries."""

    stream: RedisStream
    group: str
    name: str
    """Kept over restarts: what was unfinished under it is finished first, in order."""
    effect: Effect
    take_over_after_ms: int = 30_000
    """An entry that nobody acknowledged for so long is tried again, whoever had it."""
    wait_ms: int = _WAIT_MS
    _resumed: bool = field(default=False)
    _forget_at: float = field(default=0.0)

    def run(self, stop: StopSign) -> None:
        """Consume until told to stop; what was begun is finished."""
        while not stop.is_set():
            try:
                self.consume()
            except (RedisError, OperationalError, InterfaceError) as error:
                self._say(error)
                self._resumed = False
                connection.close()
                stop.wait(_AFTER_FAILURE_SECONDS)
        self.leave()

    def consume(self) -> int:
        """One look: what was left behind, by this or by others, then what is new; how many entries.

        The first one begins with what was unfinished when this consumer was cut off.
        """
        self._forget_now_and_then()
        if not self._resumed:
            self._finish_own()
            self._resumed = True
        left_behind = self._left_behind()
        self._take(left_behind, again=True)
        fresh = self._fresh(wait=not left_behind)
        self._take(fresh, again=False)
        return len(left_behind) + len(fresh)

    def leave(self) -> None:
        """Take this consumer off the group's list, unless something of it is unfinished."""
        try:
            self.stream.forget_consumers(self.group, name=self.name, idle_ms=_GONE_AFTER_MS)
        except RedisError as error:
            self._say(error)

    def _finish_own(self) -> None:
        after = entry_id(0)
        while own := self._read(after):
            self._take(own, again=True)
            after = own[-1][0]

    def _left_behind(self) -> list[Entry]:
        answer: Any = self.stream.redis.xautoclaim(
            self.stream.key,
            self.group,
            self.name,
            min_idle_time=self.take_over_after_ms,
            count=_AT_ONCE,
        )
        return [entry for entry in answer[1] if entry[0] is not None]

    def _fresh(self, *, wait: bool) -> list[Entry]:
        return self._read(">", wait_ms=self.wait_ms if wait else None)

    def _read(self, after: str, *, wait_ms: int | None = None) -> list[Entry]:
        """What is new (`>`), or what is unfinished of this consumer after an entry."""
        answer: Any = self.stream.redis.xreadgroup(
            self.group, self.name, {self.stream.key: after}, count=_AT_ONCE, block=wait_ms
        )
        return list(answer[0][1]) if answer else []

    def _take(self, entries: Iterable[Entry], *, again: bool) -> None:
        for entry, fields in entries:
            try:
                message = message_of(number_of(entry), (fields or {}).get("event"))
            except Unreadable:
                # Somebody's hand: the publisher finds it before any position moves past it, and
                # writes the stream again.
                logger.exception("an entry of the stream is no event of ours; it is passed over")
            else:
                if not self._finish(message, again=again):
                    continue
            self.stream.redis.xack(self.stream.key, self.group, entry)

    def _finish(self, message: Message, *, again: bool) -> bool:
        """Have the effect, or give the event up; False if it is to be tried again."""
        if again and self._deliveries(message) > DELIVERIES_MAX:
            return note_failure(
                self.group, message, f"delivered {DELIVERIES_MAX} times, never finished", dead=True
            )
        try:
            consume_once(self.group, message, self.effect)
        except (OperationalError, InterfaceError):
            raise  # The database's fault, not the event's: it stays pending and comes again.
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

    def _forget_now_and_then(self) -> None:
        if time.monotonic() >= self._forget_at:
            self._forget_at = time.monotonic() + _FORGET_EVERY_SECONDS
            self.stream.forget_consumers(self.group, name="", idle_ms=_GONE_AFTER_MS)
            forget_old()

    def _say(self, error: RedisError | DatabaseError) -> None:
        if isinstance(error, ResponseError) and "NOGROUP" in str(error):
            logger.warning("the group is not there (yet): the publisher puts it back")
        else:
            logger.warning("%s waits: %s: %s", self.name, type(error).__name__, error)
