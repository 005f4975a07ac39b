"""kill -9 of a publisher or consumer between any two of its steps: nothing lost, order kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from django.conf import settings

from payments.models import CardVelocity, StreamEntry, UnnumberedEvent
from payments.services.event_stream import consumer as consuming_end
from payments.services.event_stream import consuming, numbering, positions, publisher
from payments.services.event_stream.consumer import Consumer
from payments.services.event_stream.effects import EFFECTS
from payments.services.event_stream.redis_stream import RedisStream
from payments.tests.event_stream.stage import GROUPS, Stage, in_order, open_stage
from payments.tests.support.crashes import Where, crash_at
from payments.tests.support.shop import Shop

PUBLISHER_STEPS: dict[str, Where] = {
    "before numbers are given": (publisher, "assign_numbers", "before"),
    "while numbers are given": (numbering, "execute", "after"),
    "after numbers are given": (publisher, "assign_numbers", "after"),
    "after Redis is inspected": (RedisStream, "inspect", "after"),
    "before the stream is recreated": (RedisStream, "recreate", "before"),
    "after the stream was recreated": (RedisStream, "recreate", "after"),
    "before entries are appended": (RedisStream, "append", "before"),
    "after entries are appended": (RedisStream, "append", "after"),
}
TRIM_STEPS: dict[str, Where] = {
    "before positions are stored": (positions, "advance", "before"),
    "after positions are stored": (positions, "advance", "after"),
    "before the stream is trimmed": (RedisStream, "trim", "before"),
    "after the stream was trimmed": (RedisStream, "trim", "after"),
    "before old entries are pruned": (publisher, "prune", "before"),
    "after old entries are pruned": (publisher, "prune", "after"),
}


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("step", PUBLISHER_STEPS)
@pytest.mark.parametrize("flushed", [False, True], ids=["Redis kept", "Redis flushed"])
def test_a_publisher_killed_at_any_step_loses_nothing(
    stage: Stage, step: str, flushed: bool
) -> None:
    written = stage.write_many(aggregates=4, each=3)
    crash_at(PUBLISHER_STEPS[step], stage.publish_all)
    if flushed:
        stage.redis.flushall()
    written += stage.write_many(aggregates=2, each=1)
    stage.publish_all()
    there = stage.on_the_stream()
    assert Counter(m.event_id for m in there) == Counter(event.id for event in written)
    assert in_order(there)
    assert [message.number for message in there] == list(range(1, len(written) + 1))
    assert not UnnumberedEvent.objects.exists()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("step", TRIM_STEPS)
@pytest.mark.usefixtures("pruned_at_once")
@pytest.mark.parametrize("flushed", [False, True], ids=["Redis kept", "Redis flushed"])
def test_a_publisher_killed_while_it_trims_loses_nothing(
    stage: Stage, step: str, flushed: bool
) -> None:
    stage.write_many(aggregates=8, each=1)
    stage.publish_all()
    for group, count in zip(GROUPS, (5, 6, 8), strict=True):
        stage.read_as(group, count=count)
    crash_at(TRIM_STEPS[step], stage.publish_all)
    if flushed:
        stage.redis.flushall()
    stage.publish_all()
    left = {group: [m.number for m in stage.read_as(group)] for group in GROUPS}
    if flushed and step == "before positions are stored":
        # Redis alone knew what they had acknowledged, so each of them receives all once more.
        assert left == {group: list(range(1, 9)) for group in GROUPS}
    else:
        assert left == {"finance": [6, 7, 8], "support": [7, 8], "fraud": []}


CONSUMER_STEPS: dict[str, Where] = {
    "before its effect": (consuming_end, "consume_together", "before"),
    "in the middle of its transaction": (consuming, "execute", "after"),
    "after its effect": (consuming_end, "consume_together", "after"),
    "before what is new is read": (Consumer, "_fresh", "before"),
    "after what is new was read": (Consumer, "_fresh", "after"),
}


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("step", CONSUMER_STEPS)
def test_a_consumer_killed_at_any_step_is_replaced_with_one_effect(
    shop: Shop, tmp_path: Any, step: str
) -> None:
    with open_stage(tmp_path) as stage:
        for number in range(3):
            shop.create(order_id=f"order-{number}")
        shop.create(order_id="order-3", token="pm_card_chargeDeclined")
        stage.publish_all()
        crash_at(CONSUMER_STEPS[step], _consumer(stage, "first").consume)
        second = _consumer(stage, "second")
        while second.consume():
            continue
        assert stage.consumed_to()["fraud"] == StreamEntry.objects.count() == 12
        counted = CardVelocity.objects.values_list("charges", "declines")
        assert sorted(counted) == [(1, 1), (3, 0)]
        assert stage.redis.xpending(settings.STREAM_KEY, "fraud")["pending"] == 0


def _consumer(stage: Stage, name: str) -> Consumer:
    return Consumer(
        stream=stage.stream,
        group="fraud",
        name=name,
        effect=EFFECTS["fraud"],
        take_over_after_ms=0,
        wait_ms=10,
    )
