"""The stream in Redis is restored from PostgreSQL, whatever happens to Redis."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from redis.exceptions import RedisError

from payments import public_ids
from payments.models import Event, StreamEntry, StreamGroup, UnnumberedEvent
from payments.services.event_stream import publisher as publishing
from payments.services.event_stream.effects import do_nothing
from payments.services.event_stream.publisher import Publisher, wait_after
from payments.tests.event_stream.stage import GROUPS, Stage, consumer_of, in_order, wait_for
from payments.tests.support.crashes import ForkedCommand


def ids(messages: list[Any]) -> list[Any]:
    return [message.event_id for message in messages]


def test_every_event_is_there_once_in_order_with_its_own_id(stage: Stage) -> None:
    written = stage.write_many(aggregates=20, each=5)
    stage.publish_all()
    there = stage.on_the_stream()
    assert sorted(ids(there)) == sorted(event.id for event in written)
    assert [message.number for message in there] == list(range(1, 101))
    assert in_order(there)
    assert not UnnumberedEvent.objects.exists()


def test_a_warning_is_logged_only_for_a_lost_stream(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.publish_all()
    assert not caplog.records
    stage.write_many(aggregates=1, each=1)
    stage.publish_all()
    stage.redis.flushall()
    stage.publish_all()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_each_group_receives_every_event(stage: Stage) -> None:
    stage.write_many(aggregates=3, each=2)
    stage.publish_all()
    for group in GROUPS:
        assert len(stage.read_as(group)) == 6
    stage.publish_all()
    assert stage.consumed_to() == dict.fromkeys(GROUPS, 6)


def test_concurrent_publishers_publish_each_event_once(
    stage: Stage, run_together: Callable[..., list[Any]]
) -> None:
    written = stage.write_many(aggregates=50, each=12)

    def publish() -> None:
        publisher = stage.publisher()
        while StreamEntry.objects.count() < len(written) or publisher.publish():
            publisher.publish()

    assert run_together(publish, publish, publish) == [None, None, None]
    there = stage.on_the_stream()
    assert [message.number for message in there] == list(range(1, len(written) + 1))
    assert in_order(there)


def test_a_stale_publisher_adds_nothing_a_second_time(stage: Stage) -> None:
    stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    stream = stage.stream
    seen = stream.inspect()
    assert seen is not None
    stage.write(public_ids.new_id())
    stage.publish_all()
    assert not stream.append([(4, "evt_late", "{}")], after=seen.last)
    assert not stream.recreate(seen, floor=0, groups=dict.fromkeys(GROUPS, 0))
    assert len(stage.on_the_stream()) == 4


def test_a_flush_midway_loses_nothing_for_any_group(stage: Stage) -> None:
    """Each group has consumed another part, with something unacknowledged."""
    written = stage.write_many(aggregates=10, each=3)
    stage.publish_all()
    received = {group: list[Any]() for group in GROUPS}
    for group, count in zip(GROUPS, (0, 7, 30), strict=True):
        if count:
            received[group] += stage.read_as(group, count=count)
    stage.read_as("finance", count=4, acknowledge=False)
    stage.publish_all()
    assert stage.consumed_to() == {"finance": 0, "support": 7, "fraud": 30}

    stage.redis.flushall()
    written += stage.write_many(aggregates=5, each=2)
    stage.publish_all()

    given = {group: stage.read_as(group) for group in GROUPS}
    assert {group: len(messages) for group, messages in given.items()} == {
        "finance": 40,
        "support": 33,
        "fraud": 10,
    }
    for group in GROUPS:
        received[group] += given[group]
        assert set(ids(received[group])) == {event.id for event in written}
        assert in_order(received[group])


def test_an_acknowledgment_behind_a_gap_is_not_a_position(stage: Stage) -> None:
    stage.write_many(aggregates=5, each=1)
    stage.publish_all()
    stage.read_as("fraud", count=1, acknowledge=False)
    stage.read_as("fraud", count=3)
    stage.publish_all()
    assert stage.consumed_to()["fraud"] == 0
    stage.redis.flushall()
    stage.publish_all()
    assert [message.number for message in stage.read_as("fraud")] == [1, 2, 3, 4, 5]


def test_a_redis_that_was_killed_and_comes_back_empty_is_filled_again(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=2)
    stage.publish_all()
    before = stage.on_the_stream()
    stage.kill_redis()
    publisher = stage.publisher()
    late = stage.write(public_ids.new_id())
    with pytest.raises(RedisError):
        publisher.publish()
    assert StreamEntry.objects.count() == 9, "numbers are given out without Redis"
    stage.start_redis()
    while publisher.publish():
        continue
    assert ids(stage.on_the_stream()) == [*ids(before), late[0].id]
    assert len(stage.read_as("support")) == 9


def test_a_redis_restored_with_an_older_state_is_brought_up_to_date(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    stage.redis.save()
    written = stage.write_many(aggregates=4, each=2)
    stage.publish_all()
    for group in GROUPS:
        stage.read_as(group, count=6)
    stage.publish_all()
    stage.kill_redis()
    stage.start_redis()
    assert len(stage.on_the_stream()) == 4
    stage.publish_all()
    for group in GROUPS:
        given = stage.read_as(group)
        assert {event.id for event in written[2:]} <= set(ids(given)), "6 of 12 were consumed"
    stage.publish_all()
    assert stage.consumed_to() == dict.fromkeys(GROUPS, 12)


def test_trimming_never_passes_the_slowest_group(stage: Stage) -> None:
    stage.write_many(aggregates=20, each=1)
    stage.publish_all()
    stage.read_as("finance")
    stage.read_as("fraud")
    stage.read_as("support", count=8)
    stage.publish_all()
    assert [message.number for message in stage.on_the_stream()] == list(range(9, 21))
    stage.read_as("support", count=1, acknowledge=False)
    stage.read_as("support", count=5)
    stage.publish_all()
    assert stage.on_the_stream()[0].number == 9, "one of support's is not acknowledged"
    [pending] = stage.redis.xpending_range(settings.STREAM_KEY, "support", "-", "+", 10)
    stage.redis.xack(settings.STREAM_KEY, "support", pending["message_id"])
    stage.publish_all()
    assert stage.on_the_stream()[0].number == 15


@pytest.mark.usefixtures("pruned_at_once")
def test_when_everything_is_consumed_the_newest_stays_and_a_flush_does_not_matter(
    stage: Stage,
) -> None:
    stage.write_many(aggregates=6, each=1)
    stage.publish_all()
    for group in GROUPS:
        stage.read_as(group)
    stage.publish_all()
    assert [message.number for message in stage.on_the_stream()] == [6]
    assert list(StreamEntry.objects.values_list("number", flat=True)) == [6]
    stage.redis.flushall()
    stage.publish_all()
    assert [stage.read_as(group) for group in GROUPS] == [[], [], []]
    stage.write(public_ids.new_id())
    stage.publish_all()
    for group in GROUPS:
        assert [message.number for message in stage.read_as(group)] == [7]


@pytest.mark.parametrize(
    "damage",
    [
        lambda redis: redis.delete(settings.STREAM_KEY),
        lambda redis: redis.xtrim(settings.STREAM_KEY, maxlen=2, approximate=False),
        lambda redis: redis.xtrim(settings.STREAM_KEY, maxlen=0, approximate=False),
        lambda redis: redis.xdel(settings.STREAM_KEY, "4-0"),
        lambda redis: redis.xgroup_destroy(settings.STREAM_KEY, "fraud"),
        lambda redis: redis.xadd(settings.STREAM_KEY, {"id": "evt_other", "event": "{}"}),
    ],
    ids=["deleted", "trimmed", "emptied", "a hole", "a group gone", "something added"],
)
def test_a_stream_changed_by_hand_is_repaired(
    stage: Stage, damage: Callable[[Any], object]
) -> None:
    written = stage.write_many(aggregates=3, each=3)
    stage.publish_all()
    stage.read_as("fraud", count=2)
    stage.publish_all()
    damage(stage.redis)
    stage.publish_all()
    assert ids(stage.on_the_stream()) == [event.id for event in written]
    given = stage.read_as("fraud")
    assert [message.number for message in given] == [3, 4, 5, 6, 7, 8, 9]
    assert len(stage.read_as("finance")) == 9


def test_a_stream_of_another_database_history_is_replaced(stage: Stage) -> None:
    """The database was restored: the same numbers stand for other events in Redis."""
    stage.write_many(aggregates=5, each=1)
    stage.publish_all()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM payments_stream_entry WHERE number > 2")
    stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    kept = list(StreamEntry.objects.order_by("number").values_list("event_id", flat=True))
    assert len(kept) == 5
    assert ids(stage.on_the_stream()) == kept


@pytest.mark.usefixtures("pruned_at_once")
def test_a_full_stream_waits_for_its_slowest_group(stage: Stage) -> None:
    stage.write_many(aggregates=10, each=1)
    stage.publish_all(entries_max=4)
    assert [message.number for message in stage.on_the_stream()] == [1, 2, 3, 4]
    for group in GROUPS:
        stage.read_as(group, count=3)
    for _ in range(3):
        stage.publish_all(entries_max=4)
    assert [message.number for message in stage.on_the_stream()] == [4, 5, 6, 7]
    assert StreamEntry.objects.count() == 7, "4 to 10; the rest waits here"


def test_a_group_added_later_begins_with_the_oldest_entry(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    for group in GROUPS:
        stage.read_as(group, count=3)
    stage.publish_all()
    publisher = Publisher(stage.stream, [*GROUPS, "risk"], entries_max=99)
    while publisher.publish():
        continue
    assert [message.number for message in stage.read_as("risk")] == [4]


def test_the_status_shows_the_position_of_each_group(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    stage.read_as("fraud", count=3)
    stage.read_as("support", count=2, acknowledge=False)
    stage.publish_all()
    assert [
        (group.name, group.consumed_to, group.behind, group.pending)
        for group in stage.publisher().status()
    ] == [("finance", 0, 4, 0), ("fraud", 3, 1, 0), ("support", 0, 4, 2)]


def test_an_idle_pass_needs_one_query_and_writes_nothing(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    publisher = stage.publisher()
    before = list(StreamGroup.objects.values_list("name", "updated_at").order_by("name"))
    with CaptureQueriesContext(connection) as queries:
        assert publisher.publish() is False
    assert list(StreamGroup.objects.values_list("name", "updated_at").order_by("name")) == before
    assert len(queries) == 1


def test_a_busy_pass_needs_as_many_queries_for_many_events_as_for_few(stage: Stage) -> None:
    publisher = stage.publisher()
    counts = []
    for aggregates in (1, 1, 60):
        stage.write_many(aggregates=aggregates, each=3)
        with CaptureQueriesContext(connection) as queries:
            publisher.publish()
            publisher.publish()
        counts.append(len(queries))
        for group in GROUPS:
            stage.read_as(group)
    # Two looks; BEGIN, lock, number, COMMIT; store the positions.
    assert counts[1:] == [7, 7]


def test_consumed_numbers_are_deleted_many_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_PRUNE_FROM", 5)
    kept = []
    for _ in range(2):
        stage.write_many(aggregates=4, each=1)
        stage.publish_all()
        for group in GROUPS:
            stage.read_as(group)
        stage.publish_all()
        kept.append(list(StreamEntry.objects.order_by("number").values_list("number", flat=True)))
    assert kept == [[1, 2, 3, 4], [8]]


def test_positions_of_our_own_consumers_are_not_written_again(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    stage.publish_all()
    for group in GROUPS:
        consumer_of(stage, do_nothing, group=group).consume()
    moved = set(StreamGroup.objects.values_list("name", "updated_at", "consumed_to"))
    stage.publish_all()
    assert set(StreamGroup.objects.values_list("name", "updated_at", "consumed_to")) == moved
    assert [message.number for message in stage.on_the_stream()] == [4], "the rest is trimmed"


def test_it_gathers_events_while_busy_and_waits_longer_while_idle() -> None:
    assert wait_after(1, last_wait_seconds=0.25) == 0.25
    assert wait_after(60, last_wait_seconds=0.2) == pytest.approx(0.1)
    assert wait_after(500, last_wait_seconds=0.25) == 0.05
    waits = [0.05]
    while waits[-1] < 1.0:
        waits.append(wait_after(0, last_wait_seconds=waits[-1]))
    assert waits == sorted(waits)
    assert wait_after(0, last_wait_seconds=1.0) == 1.0, "an event waits no longer for its number"


def test_a_publisher_paused_midway_does_no_harm(stage: Stage) -> None:
    """SIGSTOP for a while: another publisher goes on, then this one resumes with stale data."""
    sleeper, other = ForkedCommand("publish_events"), ForkedCommand("publish_events")
    try:
        stage.write_many(aggregates=5, each=4)
        sleeper.send_signal(signal.SIGSTOP)
        written = Event.objects.count()
        wait_for(lambda: len(stage.on_the_stream()) == written)
        stage.redis.flushall()
        stage.write_many(aggregates=5, each=4)
        sleeper.send_signal(signal.SIGCONT)
        wait_for(lambda: len(stage.on_the_stream()) == Event.objects.count())
        assert in_order(stage.on_the_stream())
    finally:
        sleeper.kill()
        other.kill()
