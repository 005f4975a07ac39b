"""A consumer: each event at least once, its effect exactly once, failures to a dead-letter list."""

from __future__ import annotations

import signal
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from psycopg.types.multirange import Multirange
from redis.exceptions import ResponseError

from payments import public_ids
from payments.models import FailedEvent, StreamGroup
from payments.services.event_stream import consumer as consuming_end
from payments.services.event_stream.consumer import Consumer
from payments.services.event_stream.consuming import FAILURES_MAX, consume_once
from payments.services.event_stream.effects import do_nothing
from payments.services.event_stream.redis_stream import entry_id
from payments.tests.event_stream.stage import GROUPS, Failing, Stage, consumer_of, wait_for
from payments.tests.support.crashes import ForkedCommand


def pending(stage: Stage, group: str = "fraud") -> int:
    return int(stage.redis.xpending(settings.STREAM_KEY, group)["pending"])


def test_each_event_is_consumed_once_and_acknowledged(stage: Stage) -> None:
    written = stage.write_many(aggregates=6, each=5)
    stage.publish_all()
    effect = Failing()
    consumer = consumer_of(stage, effect)
    while consumer.consume():
        continue
    assert effect.done == [event.id for event in written]
    assert pending(stage) == 0
    stage.publish_all()
    assert stage.consumed_to()["fraud"] == 30


def test_an_event_delivered_twice_has_one_effect(stage: Stage) -> None:
    written = stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    effect = Failing(written[0].id)
    consumer = consumer_of(stage, effect)
    consumer.consume()
    assert len(effect.done) == 2
    stage.redis.flushall()  # The position is before the first, which failed.
    stage.publish_all()
    effect.poison.clear()
    assert consumer.consume() == 3, "all of them come again"
    assert sorted(effect.done) == [event.id for event in written]
    assert pending(stage) == 0
    assert stage.consumed_to()["fraud"] == 3


def test_what_was_consumed_does_not_come_again_after_a_flush(stage: Stage) -> None:
    """Its position moved with the effect, before any acknowledgment was seen."""
    stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    consumer = consumer_of(stage, Failing())
    consumer.consume()
    assert stage.consumed_to()["fraud"] == 3
    stage.redis.flushall()
    stage.publish_all()
    assert consumer.consume() == 0


def test_a_poison_event_becomes_a_dead_letter_and_stops_no_other(stage: Stage) -> None:
    written = stage.write_many(aggregates=5, each=1)
    stage.publish_all()
    effect = Failing(written[1].id)
    consumer = consumer_of(stage, effect)
    for round_ in range(1, FAILURES_MAX + 1):
        consumer.consume()
        [failed] = FailedEvent.objects.all()
        assert failed.failures == round_
        assert (failed.dead_at is not None) == (round_ == FAILURES_MAX)
    assert len(effect.done) == 4
    assert failed.last_error == "ValueError: I cannot read this"
    assert pending(stage) == 0
    consumer.consume()
    assert FailedEvent.objects.get().failures == FAILURES_MAX
    stage.publish_all()
    assert stage.consumed_to()["fraud"] == 5, "a dead letter holds nothing back"


def test_a_failed_effect_leaves_no_trace(stage: Stage) -> None:
    [event] = stage.write(public_ids.new_id())
    stage.publish_all()
    consumer_of(stage, Failing(event.id)).consume()
    assert StreamGroup.objects.get(name="fraud").consumed == Multirange()


def test_an_event_that_succeeds_on_a_retry_is_no_dead_letter(stage: Stage) -> None:
    [event] = stage.write(public_ids.new_id())
    stage.publish_all()
    effect = Failing(event.id)
    consumer = consumer_of(stage, effect)
    consumer.consume()
    effect.poison.clear()
    consumer.consume()
    assert effect.done == [event.id]
    assert not FailedEvent.objects.exists()


def test_an_event_that_kills_its_consumers_becomes_a_dead_letter(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consuming_end, "DELIVERIES_MAX", 3)
    stage.write(public_ids.new_id())
    stage.publish_all()
    effect = Failing()
    consumer = consumer_of(stage, effect)
    consumer._fresh(wait=False)  # taken, and then killed; again and again
    for _ in range(2):
        consumer._read(entry_id(0), count=1)
    consumer.consume()
    assert effect.done == []
    assert FailedEvent.objects.get().last_error == "delivered 3 times, never finished"
    assert pending(stage) == 0


def test_an_unreachable_database_is_not_the_events_fault(stage: Stage) -> None:
    [event] = stage.write(public_ids.new_id())
    stage.publish_all()
    effect = Failing(event.id, error=OperationalError("gone"))
    with pytest.raises(OperationalError):
        consumer_of(stage, effect).consume()
    assert not FailedEvent.objects.exists()
    assert pending(stage) == 1


def test_an_outage_of_the_database_counts_as_no_delivery(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a long outage would make dead letters of events that were never tried."""
    stage.write_many(aggregates=1, each=3)
    stage.publish_all()
    consumer = consumer_of(stage, Failing())
    consumer._fresh(wait=False)  # taken, and then the database ends
    connection.close()
    with monkeypatch.context() as outage:
        outage.setitem(connection.settings_dict, "PORT", "1")
        for _ in range(3):
            with pytest.raises(OperationalError):
                consumer.consume()
    consumer.consume()
    assert not FailedEvent.objects.exists()
    assert stage.consumed_to()["fraud"] == 3


def test_an_event_that_fails_among_others_fails_alone(stage: Stage) -> None:
    """Its neighbors are consumed in the same call, each in a transaction of its own."""
    written = stage.write_many(aggregates=1, each=6)
    stage.publish_all()
    effect = Failing(written[2].id)
    together: list[int] = []

    def effect_of_many(messages: Any) -> None:
        together.append(len(messages))
        for message in messages:
            effect(message)

    consumer = consumer_of(stage, effect)
    consumer.effect_of_many = effect_of_many
    consumer.consume()
    assert together == [6]
    assert effect.done == [event.id for event in written if event is not written[2]]
    assert [row.event_id for row in FailedEvent.objects.all()] == [written[2].id]
    assert pending(stage) == 1


def test_a_batch_costs_one_statement_one_commit_and_one_acknowledgment(stage: Stage) -> None:
    stage.write_many(aggregates=10, each=4)
    stage.publish_all()
    consumer = consumer_of(stage, do_nothing)
    entries = consumer._fresh(wait=False)
    with CaptureQueriesContext(connection) as queries:
        consumer._consume_fresh(entries)
    assert stage.consumed_to()["fraud"] == 40
    assert len(queries) == 3, "BEGIN and COMMIT are two of them"
    assert stage.redis.info("commandstats")["cmdstat_xack"]["calls"] == 1


def test_an_entry_that_is_no_event_is_skipped(stage: Stage) -> None:
    stage.write(public_ids.new_id())
    stage.publish_all()
    stage.redis.xadd(settings.STREAM_KEY, {"event": "not one"})
    effect = Failing()
    assert consumer_of(stage, effect).consume() == 2
    assert len(effect.done) == 1
    assert pending(stage) == 0


def test_a_consumer_that_was_disconnected_resumes_in_order(stage: Stage) -> None:
    written = stage.write_many(aggregates=2, each=3)
    stage.publish_all()
    effect = Failing()
    consumer_of(stage, effect)._fresh(wait=False)  # taken, and then killed
    written += stage.write_many(aggregates=1, each=1)
    stage.publish_all()
    again = consumer_of(stage, effect)
    again.take_over_after_ms = 60_000
    again.consume()
    assert effect.done == [event.id for event in written]
    assert pending(stage) == 0


def test_a_pending_entry_deleted_by_hand_is_delivered_again(
    stage: Stage,
) -> None:
    written = stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    effect = Failing()
    consumer_of(stage, effect)._fresh(wait=False)  # taken, and then killed
    stage.redis.xdel(settings.STREAM_KEY, "2-0")
    consumer = consumer_of(stage, effect)
    consumer.consume()
    stage.publish_all()
    consumer.consume()
    assert sorted(effect.done) == [event.id for event in written]
    stage.publish_all()
    assert stage.consumed_to()["fraud"] == 3


def test_two_consumers_share_the_work(stage: Stage, run_together: Callable[..., list[Any]]) -> None:
    written = stage.write_many(aggregates=30, each=6)
    stage.publish_all()
    effect = Failing()

    def work(name: str) -> Callable[[], int]:
        def run() -> int:
            consumer = consumer_of(stage, effect, name=name)
            consumer.take_over_after_ms = 60_000
            count = 0
            while found := consumer.consume():
                count += found
            return count

        return run

    counts = run_together(work("one"), work("two"))
    assert sum(counts) == len(written)
    assert sorted(effect.done) == sorted(event.id for event in written)


def test_a_consumer_waits_until_its_group_is_restored(stage: Stage) -> None:
    with pytest.raises(ResponseError, match="NOGROUP"):
        consumer_of(stage, Failing()).consume()
    stage.write(public_ids.new_id())
    stage.publish_all()
    assert consumer_of(stage, Failing()).consume() == 1


def test_a_stopped_consumer_is_deregistered_unless_it_has_pending_events(
    stage: Stage,
) -> None:
    written = stage.write_many(aggregates=2, each=1)
    stage.publish_all()
    tidy, untidy = (
        consumer_of(stage, Failing(), name="tidy"),
        consumer_of(stage, Failing(written[0].id), name="untidy"),
    )
    untidy.consume()
    tidy._fresh(wait=False)
    tidy.deregister()
    untidy.deregister()
    names = [each["name"] for each in stage.redis.xinfo_consumers(settings.STREAM_KEY, "fraud")]
    assert names == ["untidy"]


# --- as processes ----------------------------------------------------------------------------


def test_a_consumer_told_to_stop_finishes_its_event_first(stage: Stage) -> None:
    written = stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    process = ForkedCommand("consume_events", "--group", "support")
    try:
        wait_for(lambda: stage.consumed_to()["support"] == len(written))
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
    assert pending(stage, "support") == 0
    assert stage.redis.xinfo_consumers(settings.STREAM_KEY, "support") == []


def test_one_process_consumes_for_several_groups_until_one_of_them_breaks(stage: Stage) -> None:
    written = stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    words = [word for group in GROUPS for word in ("--group", group)]
    process = ForkedCommand("consume_events", *words)
    try:
        wait_for(lambda: stage.consumed_to() == dict.fromkeys(GROUPS, len(written)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
    assert {group: pending(stage, group) for group in GROUPS} == dict.fromkeys(GROUPS, 0)


def test_a_process_ends_when_one_of_its_consumers_broke(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor restarts the process; the other group's consumer is stopped first."""
    stage.publish_all()

    def broken(_: Consumer) -> list[str]:
        raise LookupError("unexpected")

    monkeypatch.setattr(Consumer, "_reclaim", broken)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with pytest.raises(CommandError, match="ended by itself"):
            groups = ("--group", "fraud", "--group", "support")
            call_command("consume_events", *groups, stdout=StringIO())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_each_group_consumes_every_event(stage: Stage) -> None:
    stage.write_many(aggregates=2, each=1)
    stage.publish_all()
    for group in GROUPS:
        assert consumer_of(stage, do_nothing, group=group).consume() == 2
    assert stage.consumed_to() == dict.fromkeys(GROUPS, 2)
    message = stage.on_the_stream()[0]
    assert consume_once("fraud", message, Failing(message.event_id)) is False
