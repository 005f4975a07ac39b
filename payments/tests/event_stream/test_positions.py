"""A group's position: each event has one effect, in whatever order events come, and come again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from payments import public_ids
from payments.models import FailedEvent, StreamGroup
from payments.services.event_stream import positions
from payments.services.event_stream.consuming import (
    UnknownGroup,
    consume_once,
    consume_together,
    note_failure,
)
from payments.services.event_stream.effects import EFFECTS
from payments.services.event_stream.message import Message
from payments.tests.event_stream.stage import Failing, Journal, Stage, consumer_of


class Crash(Exception):
    """Between an effect and its commit."""


def consumed(group: str = "fraud") -> Any:
    return StreamGroup.objects.get(name=group).consumed


def up_to(number: int) -> Any:
    return Multirange([Range(1, number + 1)])


def test_events_that_come_in_any_order_and_again_have_one_effect_each(
    stage: Stage, journal: type[Journal], run_together: Callable[..., list[Any]]
) -> None:
    """Two consumers of a group, each with other parts; some crash after the effect."""
    written = stage.write_many(aggregates=4, each=5)
    stage.publish_all()
    messages = stage.on_the_stream()

    def consumer(seed: int) -> Callable[[], None]:
        chance = random.Random(seed)

        def consume(batch: Sequence[Message], *, crashes: bool) -> None:
            def effect(fresh: Sequence[Message]) -> None:
                for message in fresh:
                    EFFECTS["fraud"](message)
                if crashes:
                    raise Crash

            try:
                consume_together("fraud", batch, effect)
            except Crash:
                assert crashes

        def run() -> None:
            for _ in range(25):
                batch = chance.sample(messages, chance.randint(1, 6))
                consume(batch, crashes=chance.random() < 0.4)
            for message in chance.sample(messages, len(messages)):
                consume([message], crashes=False)

        return run

    run_together(consumer(1), consumer(2))
    events = [event_id for event_id, _ in journal.consumed("fraud")]
    assert sorted(events) == sorted(event.id for event in written)
    assert consumed() == up_to(20)


def test_a_group_survives_any_sequence_of_crashes_failures_and_lost_streams(stage: Stage) -> None:
    chance = random.Random(7)
    effect = Failing()
    names = ("one", "two")

    def consume_and_crash() -> None:
        consumer = consumer_of(stage, effect, name=chance.choice(names))
        entries = consumer._fresh(wait=False)
        if entries and chance.random() < 0.5:
            consumer._consume_together(entries)  # and no acknowledgment

    def consume() -> None:
        consumer_of(stage, effect, name=chance.choice(names)).consume()

    written = []
    for _ in range(12):
        written += stage.write(*(public_ids.new_id() for _ in range(3)))
        stage.publish_all()
        effect.poison = {chance.choice(written).id}
        for step in chance.sample([consume, consume_and_crash, stage.redis.flushall], 2):
            step()
            stage.publish_all()
    effect.poison.clear()
    last = consumer_of(stage, effect)
    while last.consume():
        continue
    failed = set(FailedEvent.objects.values_list("event_id", flat=True))
    assert len(effect.done) == len(set(effect.done))
    assert {*effect.done} | failed == {event.id for event in written}
    assert consumed() == up_to(len(written))


def test_numbers_above_a_gap_are_kept_until_the_gap_closes(stage: Stage) -> None:
    written = stage.write_many(aggregates=6, each=1)
    stage.publish_all()
    effect = Failing(written[1].id, written[3].id)
    consumer = consumer_of(stage, effect)
    consumer.consume()
    assert consumed() == Multirange([Range(1, 2), Range(3, 4), Range(5, 7)])
    assert stage.consumed_to()["fraud"] == 1
    effect.poison = {written[3].id}
    consumer.consume()
    assert stage.consumed_to()["fraud"] == 3
    effect.poison.clear()
    consumer.consume()
    assert consumed() == up_to(6)
    assert effect.done.count(written[5].id) == 1


def test_an_entry_of_a_lost_database_has_no_effect_and_hides_no_event(stage: Stage) -> None:
    """The database was restored, and the number was given to another event."""
    stage.write(public_ids.new_id())
    stage.publish_all()
    [message] = stage.on_the_stream()
    effect = Failing()
    lost = replace(message, event_id=public_ids.new_id())
    assert not consume_once("fraud", lost, effect)
    assert not consume_once("fraud", replace(message, number=2), effect)
    assert note_failure("fraud", lost, "delivered too often", dead=True), "it is no event"
    assert effect.done == []
    assert not FailedEvent.objects.exists()
    assert consumed() == Multirange()
    assert consume_once("fraud", message, effect)


def test_a_failure_of_what_another_consumer_consumed_is_no_failure(stage: Stage) -> None:
    stage.write(public_ids.new_id())
    stage.publish_all()
    [message] = stage.on_the_stream()
    assert consume_once("fraud", message, Failing())
    assert note_failure("fraud", message, "too late", dead=True)
    assert not FailedEvent.objects.exists()


def test_an_event_waits_until_its_group_is_known(stage: Stage) -> None:
    stage.write(public_ids.new_id())
    stage.publish_all()
    stage.redis.xgroup_create(settings.STREAM_KEY, "risk", "0")
    effect = Failing()
    consumer = consumer_of(stage, effect, group="risk")
    for _ in range(2):
        with pytest.raises(UnknownGroup):
            consumer.consume()
    assert effect.done == []
    assert not FailedEvent.objects.exists()
    positions.add_groups(["risk"])
    consumer.consume()
    assert len(effect.done) == 1


def test_a_group_that_other_programs_share_moves_with_their_acknowledgments(stage: Stage) -> None:
    written = stage.write_many(aggregates=6, each=1)
    stage.publish_all()
    stage.read_as("fraud", count=2)
    effect = Failing()
    consumer = consumer_of(stage, effect)
    consumer.consume()
    assert effect.done == [event.id for event in written[2:]]
    assert stage.consumed_to()["fraud"] == 0
    stage.publish_all()
    assert consumed() == up_to(6)
