"""The stream in Redis: each step is one script, so it happens whole or not at all.

An entry's id is its number, `17-0`. Scripts run on Redis 6.2 and later, and on Valkey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

SOCKET_TIMEOUT_SECONDS: Final = 5.0
"""Longer than a consumer waits for new entries in one read."""
_CONNECT_TIMEOUT_SECONDS: Final = 2.0

_INFO: Final = """
local function of(list, name)
    for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
end
local function last_of(key)
    if redis.call('EXISTS', key) == 0 then return '' end
    return of(redis.call('XINFO', 'STREAM', key), 'last-generated-id')
end
"""
_INSPECT: Final = (
    _INFO
    + """
local key = KEYS[1]
local last = last_of(key)
if last == '' then return {} end
local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
local head = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
local seen = {last, redis.call('XLEN', key), first[1] and first[1][1] or '',
              head[1] and head[1][1] or '', head[1] and head[1][2][2] or ''}
for _, group in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local name, oldest = of(group, 'name'), ''
    if of(group, 'pending') > 0 then oldest = redis.call('XPENDING', key, name)[2] end
    table.insert(seen, {name, of(group, 'last-delivered-id'), oldest, of(group, 'pending')})
end
return seen
"""
)
_APPEND: Final = (
    _INFO
    + """
if last_of(KEYS[1]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 3 do
    redis.call('XADD', KEYS[1], ARGV[i], 'id', ARGV[i + 1], 'event', ARGV[i + 2])
end
return 1
"""
)
_RECREATE: Final = (
    _INFO
    + """
local key = KEYS[1]
if last_of(key) ~= ARGV[1] then return 0 end
if ARGV[1] ~= '' and redis.call('XLEN', key) ~= tonumber(ARGV[2]) then return 0 end
redis.call('DEL', key)
for i = 4, #ARGV, 2 do
    redis.call('XGROUP', 'CREATE', key, ARGV[i], ARGV[i + 1], 'MKSTREAM')
end
if ARGV[3] ~= '0-0' then redis.call('XSETID', key, ARGV[3]) end
return 1
"""
)
_REMOVE_CONSUMERS: Final = (
    _INFO
    + """
local removed, consumers = 0, redis.pcall('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])
if consumers.err then return 0 end
for _, consumer in ipairs(consumers) do
    local name = of(consumer, 'name')
    if of(consumer, 'pending') == 0
       and (name == ARGV[2] or of(consumer, 'idle') > tonumber(ARGV[3])) then
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name)
        removed = removed + 1
    end
end
return removed
"""
)


@dataclass(frozen=True, slots=True)
class GroupState:
    """One consumer group in Redis."""

    acknowledged_to: int
    """Everything up to this number was delivered to the group and acknowledged."""
    pending: int


@dataclass(frozen=True, slots=True)
class StreamState:
    """The stream in Redis at one moment."""

    last: int
    length: int
    first: int | None
    """The number of the oldest entry; None if there is none."""
    head: int | None
    head_event: str
    """The newest entry, and the public id of its event."""
    groups: Mapping[str, GroupState]


def connect() -> Redis:
    """A client of the stream's Redis. It never repeats a command: the caller decides."""
    client: Redis = Redis.from_url(
        settings.STREAM_REDIS_URL,
        socket_timeout=SOCKET_TIMEOUT_SECONDS,
        socket_connect_timeout=_CONNECT_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )
    return client


def entry_id(number: int) -> str:
    return f"{number}-0"


def number_of(entry: str) -> int:
    return int(entry.partition("-")[0])


class RedisStream:
    """The stream under one key of one Redis."""

    def __init__(self, redis: Redis, key: str) -> None:
        self.redis, self.key = redis, key
        self._inspect = redis.register_script(_INSPECT)
        self._append = redis.register_script(_APPEND)
        self._recreate = redis.register_script(_RECREATE)
        self._remove_consumers = redis.register_script(_REMOVE_CONSUMERS)

    def inspect(self) -> StreamState | None:
        """The state of the stream; None if it does not exist."""
        found: list[Any] = self._inspect(keys=[self.key])
        if not found:
            return None
        last, length, first, head, head_event, *groups = found
        return StreamState(
            last=number_of(last),
            length=length,
            first=number_of(first) if first else None,
            head=number_of(head) if head else None,
            head_event=head_event,
            groups={
                name: GroupState(
                    number_of(oldest) - 1 if oldest else number_of(delivered), int(pending)
                )
                for name, delivered, oldest, pending in groups
            },
        )

    def append(self, entries: Sequence[tuple[int, str, str]], *, after: int) -> bool:
        """Append entries (number, event's public id, body) after entry `after`.

        Returns False, and appends nothing, if `after` is not the last one.
        """
        arguments = [entry_id(after)]
        for number, event_id, body in entries:
            arguments += [entry_id(number), event_id, body]
        return bool(self._append(keys=[self.key], args=arguments))

    def recreate(self, seen: StreamState | None, *, floor: int, groups: Mapping[str, int]) -> bool:
        """Replace the stream by an empty one after `floor`; each group continues from its number.

        Returns False, and changes nothing, if the stream changed since `seen`.
        """
        arguments: list[str | int] = [
            entry_id(seen.last) if seen else "",
            seen.length if seen else 0,
            entry_id(floor),
        ]
        for name, consumed_to in groups.items():
            arguments += [name, entry_id(consumed_to)]
        return bool(self._recreate(keys=[self.key], args=arguments))

    def add_group(self, name: str, *, after: int) -> None:
        """Add a group that is missing."""
        self.redis.xgroup_create(self.key, name, entry_id(after))

    def trim(self, *, before: int) -> None:
        """Remove entries below a number."""
        self.redis.xtrim(self.key, minid=entry_id(before), approximate=False)

    def remove_consumers(self, group: str, *, name: str, idle_ms: int) -> int:
        """Remove a consumer, and those idle for longer, unless they have pending entries."""
        return int(self._remove_consumers(keys=[self.key], args=[group, name, idle_ms]))
