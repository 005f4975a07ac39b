"""A Redis of its own to be flushed, killed and restarted, and events to put on it. No tests."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from redis import Redis

from ledger.database.statements import execute
from payments import public_ids
from payments.models import Event, Merchant, StreamGroup
from payments.services.event_stream.consumer import Consumer
from payments.services.event_stream.message import Message, message_of
from payments.services.event_stream.publisher import Publisher
from payments.services.event_stream.redis_stream import RedisStream, connect, number_of
from payments.tests.support.factories import MerchantFactory
from paymentsite.launcher import redis_server
from paymentsite.launcher.processes import Process

GROUPS = ("finance", "support", "fraud")


@dataclass
class Stage:
    """One stream on one Redis server."""

    server: Process
    folder: Path
    merchant: Merchant
    aggregates: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{redis_server.port_of(self.server)}/0"

    @property
    def redis(self) -> Redis:
        return self.stream.redis

    @property
    def stream(self) -> RedisStream:
        """With a connection of its own each time: as another process would have."""
        return RedisStream(connect(), settings.STREAM_KEY)

    def publisher(self, *, entries_max: int = 10_000) -> Publisher:
        return Publisher(self.stream, GROUPS, entries_max=entries_max)

    def publish_all(self, *, entries_max: int = 10_000) -> None:
        """Publish until nothing is left to do."""
        publisher = self.publisher(entries_max=entries_max)
        while publisher.publish():
            continue

    def kill_redis(self) -> None:
        self.server.kill_group()

    def start_redis(self) -> None:
        self.server.start()

    def write(self, *aggregate_ids: UUID, type_: str = "payment_intent.processing") -> list[Event]:
        """One event for each of these aggregates, in this order, in a transaction of their own."""
        return Event.objects.bulk_create([self._event(each, type_) for each in aggregate_ids])

    def write_many(self, *, aggregates: int, each: int) -> list[Event]:
        """So many events for each of so many new aggregates, interleaved."""
        ids = [public_ids.new_id() for _ in range(aggregates)]
        return [event for _ in range(each) for event in self.write(*ids)]

    def on_the_stream(self) -> list[Message]:
        entries: Any = self.redis.xrange(settings.STREAM_KEY)
        return [message_of(number_of(entry), fields["event"]) for entry, fields in entries]

    def consumed_to(self) -> dict[str, int]:
        return dict(StreamGroup.objects.values_list("name", "consumed_to"))

    def read_as(
        self, group: str, *, count: int = 10_000, acknowledge: bool = True
    ) -> list[Message]:
        """What the group is given that it was not given before."""
        redis = self.redis
        answer: Any = redis.xreadgroup(group, "reader", {settings.STREAM_KEY: ">"}, count=count)
        entries = answer[0][1] if answer else []
        if acknowledge and entries:
            redis.xack(settings.STREAM_KEY, group, *[entry for entry, _ in entries])
        return [message_of(number_of(entry), fields["event"]) for entry, fields in entries]

    def _event(self, aggregate_id: UUID, type_: str) -> Event:
        self.aggregates[aggregate_id] += 1
        identifier = public_ids.new_id()
        return Event(
            id=identifier,
            merchant=self.merchant,
            livemode=False,
            aggregatetype="payment_intent",
            aggregateid=aggregate_id,
            seq=self.aggregates[aggregate_id],
            type=type_,
            payload={"object": {"id": "pi_x", "client_secret": "pi_x_secret_y"}},
            actor="test",
            request_id="req_1",
            created_at=datetime.now(UTC),
        )


@contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """Start the server, and point the settings and the environment of children at it."""
    server = redis_server.server(folder)
    server.start()
    stage = Stage(server=server, folder=folder, merchant=MerchantFactory.create())
    before = settings.STREAM_REDIS_URL
    settings.STREAM_REDIS_URL = os.environ["STREAM_REDIS_URL"] = stage.url
    try:
        yield stage
    finally:
        settings.STREAM_REDIS_URL = before
        del os.environ["STREAM_REDIS_URL"]
        server.stop()


def wait_for(condition: Callable[[], bool], *, within_seconds: float = 30) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def firsts(messages: list[Message]) -> dict[str, list[int]]:
    """Per subject, the sequences in the order in which each was seen first."""
    seen: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        if message.sequence not in seen[message.subject]:
            seen[message.subject].append(message.sequence)
    return seen


def in_order(messages: list[Message]) -> bool:
    """Was every subject first seen as 1, 2, 3 … without a gap?"""
    return all(each == list(range(1, len(each) + 1)) for each in firsts(messages).values())


def consumer_of(stage: Stage, effect: Any, *, name: str = "one", group: str = "fraud") -> Consumer:
    """A consumer that takes over at once and waits for a moment."""
    return Consumer(
        stream=stage.stream,
        group=group,
        name=name,
        effect=effect,
        take_over_after_ms=0,
        wait_ms=10,
    )


class Journal:
    """What each group's effects wrote, in the transactions that consumed their events."""

    TABLE = """
        CREATE TABLE stage_journal (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "group" text, event_id uuid,
            at timestamptz DEFAULT now())"""

    @staticmethod
    def effect(group: str) -> Callable[[Message], None]:
        def write(message: Message) -> None:
            sql = 'INSERT INTO stage_journal ("group", event_id) VALUES (%s, %s)'
            execute(sql, [group, message.event_id])

        return write

    @staticmethod
    def consumed(group: str) -> list[tuple[UUID, datetime]]:
        """Its events in the order of their effects, and when."""
        sql = 'SELECT event_id, at FROM stage_journal WHERE "group" = %s ORDER BY id'
        return [(event_id, at) for event_id, at in execute(sql, [group])]


class Failing:
    """An effect that fails for chosen events."""

    def __init__(self, *poison: Any, error: Exception | None = None) -> None:
        self.poison = set(poison)
        self.error = error or ValueError("I cannot read this")
        self.done: list[Any] = []

    def __call__(self, message: Message) -> None:
        if message.event_id in self.poison:
            raise self.error
        transaction.on_commit(lambda: self.done.append(message.event_id))
