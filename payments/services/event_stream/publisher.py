"""Keeps the stream in Redis equal to the numbers in PostgreSQL, whatever happens to Redis.

Every step may be interrupted anywhere and repeated by any publisher: numbers are assigned once,
entries are appended only after the one before them, positions only move forward. No step calls
Redis inside a transaction.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Event as StopEvent
from typing import Final

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError

from payments import public_ids
from payments.services.event_stream import positions
from payments.services.event_stream.message import cloud_event_of
from payments.services.event_stream.numbering import (
    BATCH,
    Numbered,
    assign_numbers,
    numbered_after,
    prune,
)
from payments.services.event_stream.positions import Record
from payments.services.event_stream.redis_stream import RedisStream, StreamState, connect

logger = logging.getLogger(__name__)

_GATHERED: Final = 30
"""While busy it waits until about so many events have come together, within these bounds."""
_GATHER_SECONDS: Final = (0.05, 0.25)
_IDLE_SECONDS_MAX: Final = 1.0
"""While idle it waits longer each time, at most so long: the lag stays far below two seconds."""
_AFTER_FAILURE_SECONDS: Final = 1.0
_APPENDED_PER_CALL: Final = 200
_PRUNE_FROM: Final = 1_000
"""Entries that every group has consumed are deleted so many together."""


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """The position and lag of a group."""

    name: str
    consumed_to: int
    behind: int
    pending: int


class Publisher:
    """One of any number of publishers."""

    def __init__(self, stream: RedisStream, groups: Iterable[str], *, entries_max: int) -> None:
        self.stream = stream
        self.groups = tuple(groups)
        self.entries_max = entries_max
        """Limit of entries in Redis; further ones wait in PostgreSQL for the slowest group."""
        self._reported_full = False
        self._appended = 0
        """Events that the latest pass put into Redis."""

    def run(self, stop: StopEvent) -> None:
        """Publish until `stop` is set; an unreachable Redis or database is retried.

        Any other error ends the process: the supervisor restarts it, and its log says why.
        """
        wait_seconds = _GATHER_SECONDS[1]
        while not stop.is_set():
            try:
                while self.publish() and not stop.is_set():
                    continue
            except (RedisError, OperationalError, InterfaceError) as error:
                logger.warning(
                    "the stream could not be written: %s: %s", type(error).__name__, error
                )
                connection.close()
                stop.wait(_AFTER_FAILURE_SECONDS)
                continue
            wait_seconds = wait_after(self._appended, last_wait_seconds=wait_seconds)
            stop.wait(wait_seconds)

    def publish(self) -> bool:
        """Assign numbers, append to Redis, store the groups' positions, trim.

        Returns True if there may be more to do at once. With nothing to do, it costs one script in
        Redis and one statement.
        """
        self._appended = 0
        try:
            seen = self.stream.inspect()
        except RedisError:
            assign_numbers()  # Redis is not needed for it, and numbered events cannot be lost.
            raise
        record = self._record(seen)
        if any(name not in record.consumed_to for name in self.groups):
            positions.add_groups(self.groups)
            record = self._record(seen)
        wrong = fault_of(seen, record)
        numbered = assign_numbers() if record.has_unnumbered else []
        record = replace(record, last=record.last + len(numbered))
        if seen is None or wrong:
            self._rewrite(seen, record, wrong)
            return True
        record = self._store_positions(seen, record)
        self._add_missing_groups(seen, record)
        left_over = self._append(seen, record, numbered)
        self._trim_consumed(seen, record)
        return len(numbered) == BATCH or left_over

    def _rewrite(self, seen: StreamState | None, record: Record, wrong: str) -> None:
        done = self.stream.recreate(seen, floor=record.floor, groups=record.consumed_to)
        if done and (seen is not None or record.last):
            logger.warning("the stream was rewritten after number %s: %s", record.floor, wrong)

    def status(self) -> list[GroupStatus]:
        """Each group's position and lag."""
        seen = self.stream.inspect()
        record = self._record(seen)
        seen_groups = seen.groups if seen is not None else {}
        return [
            GroupStatus(
                name=name,
                consumed_to=consumed_to,
                behind=record.last - consumed_to,
                pending=seen_groups[name].pending if name in seen_groups else 0,
            )
            for name, consumed_to in sorted(record.consumed_to.items())
        ]

    def _record(self, seen: StreamState | None) -> Record:
        head = seen.head if seen is not None and seen.head is not None else 0
        return positions.read_record(self.groups, number=head)

    def _store_positions(self, seen: StreamState, record: Record) -> Record:
        """Store how far groups have come since; returns the record with it."""
        moved = {
            name: seen.groups[name].acknowledged_to
            for name, consumed_to in record.consumed_to.items()
            if name in seen.groups and seen.groups[name].acknowledged_to > consumed_to
        }
        if not moved:
            return record
        positions.advance(moved)
        return replace(record, consumed_to={**record.consumed_to, **moved})

    def _add_missing_groups(self, seen: StreamState, record: Record) -> None:
        for name in self.groups:
            if name not in seen.groups:
                self.stream.add_group(name, after=record.consumed_to[name])

    def _append(self, seen: StreamState, record: Record, numbered: Sequence[Numbered]) -> bool:
        """Append what Redis lacks; returns True if there is more, or if it changed meanwhile.

        That is what was `numbered` just now, unless something before it is missing too.
        """
        if seen.last >= record.last:
            return False
        room = self.entries_max - seen.length
        if room <= 0:
            self._report_full(record)
            return False
        self._reported_full = False
        limit = min(room, _APPENDED_PER_CALL)
        follows = numbered and numbered[0].number == seen.last + 1
        entries = [
            (
                row.number,
                public_ids.encode(public_ids.EVENT, row.event.id),
                cloud_event_of(row.event),
            )
            for row in (numbered[:limit] if follows else numbered_after(seen.last, limit=limit))
        ]
        appended = bool(entries) and self.stream.append(entries, after=seen.last)
        self._appended = len(entries) if appended else 0
        return not appended or entries[-1][0] < record.last

    def _report_full(self, record: Record) -> None:
        if not self._reported_full:
            slowest = min(record.consumed_to, key=lambda name: record.consumed_to[name])
            logger.error(
                "the stream holds %s entries because of group %s: the rest waits in PostgreSQL",
                self.entries_max,
                slowest,
            )
        self._reported_full = True

    def _trim_consumed(self, seen: StreamState, record: Record) -> None:
        """Trim behind what every group has consumed and acknowledged; the newest entry stays."""
        groups = [seen.groups[name] for name in self.groups if name in seen.groups]
        passed_to = min([record.floor, *(group.acknowledged_to for group in groups)])
        before = min(passed_to + 1, seen.last)
        if seen.first is not None and seen.first < before:
            self.stream.trim(before=before)
        if record.floor - record.first >= _PRUNE_FROM:
            prune(record.floor)


def wait_after(appended: int, *, last_wait_seconds: float) -> float:
    """How long to wait for events after a pass that appended so many."""
    shortest, longest = _GATHER_SECONDS
    if appended:
        return min(max(last_wait_seconds * _GATHERED / appended, shortest), longest)
    return min(max(last_wait_seconds, shortest) * 1.5, _IDLE_SECONDS_MAX)


def fault_of(seen: StreamState | None, record: Record) -> str:
    """Why the stream in Redis must be rewritten; empty if it need not be.

    A stream that only lacks the newest entries is sound: they are appended.
    """
    if seen is None:
        return "it does not exist"
    if seen.last > record.last:
        return f"it has number {seen.last}, but the last one assigned is {record.last}"
    if seen.last < record.floor:
        return f"it ends at {seen.last}, but every group has consumed up to {record.floor}"
    if seen.first is None:
        return "" if seen.last == record.floor else f"nothing is left before {seen.last}"
    if seen.first > record.floor + 1:
        return f"it begins with {seen.first}, but not every group has consumed {seen.first - 1}"
    if seen.length != seen.last - seen.first + 1:
        return f"it has {seen.length} entries from {seen.first} to {seen.last}"
    head_event = public_ids.decode(public_ids.EVENT, seen.head_event)
    if record.event_id is not None and head_event != record.event_id:
        return f"number {seen.head} is another event"
    return ""


def publisher_of_settings() -> Publisher:
    """A publisher of the stream that the settings name."""
    stream = RedisStream(connect(), settings.STREAM_KEY)
    return Publisher(stream, settings.STREAM_GROUPS, entries_max=settings.STREAM_ENTRIES_MAX)
