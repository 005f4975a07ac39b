"""The stream as it runs: processes are killed, Redis is flushed, killed and restarted."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections

from payments import public_ids
from payments.models import Event
from payments.tests.event_stream.stage import GROUPS, Journal, Stage, wait_for
from payments.tests.support.crashes import ForkedCommand

COMMANDS = (
    ("publish_events",),
    ("publish_events",),
    ("consume_events", "--group", "finance", "--take-over-after", "1"),
    ("consume_events", "--group", "support", "--take-over-after", "1"),
    ("consume_events", "--group", "fraud", "--name", "a", "--take-over-after", "1"),
    ("consume_events", "--group", "fraud", "--name", "b", "--take-over-after", "1"),
)
ALONE = ("finance", "support")
"""One consumer each: they see every payment in order, despite kills."""
ROUNDS = 4
EVENTS = 300
LAG_SECONDS_P95 = 2.0


class Writer(threading.Thread):
    """Writes events of many payments, ten a transaction, until so many are there or it is told."""

    def __init__(self, stage: Stage, *, events: int, pause_seconds: float = 0.1) -> None:
        super().__init__(daemon=True)
        self.stage, self.events, self.pause_seconds = stage, events, pause_seconds
        self.stop = threading.Event()
        self.in_a_transaction = threading.Lock()

    def run(self) -> None:
        aggregates = [public_ids.new_id() for _ in range(60)]
        try:
            for _ in range(self.events // 10):
                with self.in_a_transaction:
                    self.stage.write(*random.sample(aggregates, 10))
                if self.stop.wait(self.pause_seconds):
                    return
        finally:
            connections.close_all()


def consumed(group: str) -> list[UUID]:
    return [event_id for event_id, _ in Journal.consumed(group)]


@pytest.mark.usefixtures("journal")
def test_kills_and_flushes_lose_nothing_and_keep_the_order(stage: Stage) -> None:
    chance = random.Random(20_261_125)
    running = [ForkedCommand(*each) for each in COMMANDS]
    writer = Writer(stage, events=100_000)
    try:
        writer.start()
        for round_ in range(ROUNDS):
            for place in chance.sample(range(len(COMMANDS)), 2):
                running[place].kill()
                with writer.in_a_transaction:
                    running[place] = ForkedCommand(*COMMANDS[place])
            if round_ % 2:
                stage.redis.flushall()
            if round_ % 3 == 2:
                stage.kill_redis()
                stage.start_redis()
            before = len(consumed("finance"))
            wait_for(lambda before=before: len(consumed("finance")) > before)  # type: ignore[misc]
        wait_for(lambda: Event.objects.count() > 200)
        writer.stop.set()
        writer.join()
        written = Event.objects.count()
        for group in GROUPS:
            wait_for(lambda group=group: len(consumed(group)) == written)  # type: ignore[misc]
    finally:
        writer.stop.set()
        for each in running:
            each.kill()
    _require_everything_once_and_in_order()


def _require_everything_once_and_in_order() -> None:
    written = dict(Event.objects.values_list("id", "seq"))
    aggregates = dict(Event.objects.values_list("id", "aggregateid"))
    for group in GROUPS:
        assert sorted(consumed(group)) == sorted(written), group
    for group in ALONE:
        sequences: dict[Any, list[int]] = defaultdict(list)
        for event_id in consumed(group):
            sequences[aggregates[event_id]].append(written[event_id])
        for each in sequences.values():
            assert each == sorted(each), group


@pytest.mark.matrix(most=0)
@pytest.mark.usefixtures("journal")
def test_the_lag_is_far_below_two_seconds(stage: Stage) -> None:
    """From the commit of an event to the commit of what it causes, in other processes.

    `make matrix` alone plays it: a machine that runs other tests beside it has no lag to judge.
    """
    publisher = ForkedCommand("publish_events")
    consumer = ForkedCommand("consume_events", "--group", "finance")
    try:
        # How long a new process takes to start is no lag of the stream.
        Writer(stage, events=10).run()
        wait_for(lambda: len(consumed("finance")) == 10)
        while_starting = set(consumed("finance"))
        Writer(stage, events=EVENTS).run()
        wait_for(lambda: len(consumed("finance")) == 10 + EVENTS)
    finally:
        publisher.kill()
        consumer.kill()
    created = dict(Event.objects.values_list("id", "created_at"))
    lags = sorted(
        (at - created[event_id]).total_seconds()
        for event_id, at in Journal.consumed("finance")
        if event_id not in while_starting
    )
    assert len(lags) == EVENTS
    assert lags[int(len(lags) * 0.95)] < LAG_SECONDS_P95, lags[-5:]


@pytest.mark.parametrize("variable", ["maxmemory-policy", "appendonly"])
def test_the_embedded_redis_refuses_to_evict_and_keeps_nothing(stage: Stage, variable: str) -> None:
    expected = {"maxmemory-policy": "noeviction", "appendonly": "no"}
    assert stage.redis.config_get(variable) == {variable: expected[variable]}
    assert settings.STREAM_ENTRIES_MAX * 3_000 < 256 * 1024 * 1024, "it fits into its memory"
