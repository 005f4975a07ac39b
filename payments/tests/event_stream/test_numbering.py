"""Numbers of the stream: once, without a gap, in order per payment, with several publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, transaction
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from payments import public_ids
from payments.models import Event, StreamEntry, StreamGroup, UnnumberedEvent
from payments.services.event_stream import numbering, positions
from payments.services.event_stream.numbering import assign_numbers, numbered_after, prune
from payments.tests.event_stream.stage import Stage


def numbers() -> list[int]:
    return list(StreamEntry.objects.order_by("number").values_list("number", flat=True))


def order_on_the_stream() -> list[Any]:
    return [row.event.id for row in numbered_after(0, limit=10_000)]


def test_events_are_numbered_in_the_order_of_their_payment_whatever_their_ids(
    stage: Stage,
) -> None:
    """The clock of the process that wrote the second event was behind."""
    one, other = public_ids.new_id(), public_ids.new_id()
    earlier_id = public_ids.new_id()
    [first] = stage.write(one)
    stage.write(other)
    second = stage._event(one, "payment_intent.succeeded")
    second.id = earlier_id
    second.save(force_insert=True)
    assert second.id < first.id
    assert len(assign_numbers()) == 3
    order = order_on_the_stream()
    assert order.index(first.id) < order.index(second.id)
    assert numbers() == [1, 2, 3]


def test_a_batch_takes_the_beginning_of_each_payment(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbering, "BATCH", 7)
    written = stage.write_many(aggregates=3, each=5)
    while assign_numbers():
        continue
    rows = numbered_after(0, limit=100)
    assert len(rows) == len(written)
    for aggregate in {event.aggregateid for event in written}:
        assert [r.event.seq for r in rows if r.event.aggregateid == aggregate] == [1, 2, 3, 4, 5]


def test_an_event_that_is_not_committed_has_no_number(
    stage: Stage, run_together: Callable[..., list[Any]]
) -> None:
    with transaction.atomic():
        stage.write(public_ids.new_id())
        assert run_together(assign_numbers) == [[]]
    assert len(assign_numbers()) == 1


def test_concurrent_publishers_number_events_without_gap_or_double(
    stage: Stage, run_together: Callable[..., list[Any]]
) -> None:
    written = stage.write_many(aggregates=40, each=10)

    def work() -> int:
        total = 0
        while UnnumberedEvent.objects.exists():
            total += len(assign_numbers())
        return total

    assert sum(run_together(work, work, work, work)) == len(written)
    assert numbers() == list(range(1, len(written) + 1))
    assert len(set(order_on_the_stream())) == len(written)


def test_the_newest_place_is_kept_so_that_numbering_continues(stage: Stage) -> None:
    stage.write_many(aggregates=3, each=1)
    assign_numbers()
    prune(3)
    assert numbers() == [3]
    stage.write(public_ids.new_id())
    assign_numbers()
    assert numbers() == [3, 4]
    assert Event.objects.count() == 4, "the events themselves stay"


def test_a_position_never_goes_back(stage: Stage, owner_cursor: psycopg.Cursor[Any]) -> None:
    positions.add_groups(["fraud"])
    positions.advance({"fraud": 5})
    positions.advance({"fraud": 3})
    assert stage.consumed_to() == {"fraud": 5}
    with pytest.raises(DatabaseError, match="payments_position_goes_back"):
        StreamGroup.objects.update(consumed=Multirange([Range(1, 5)]))
    with pytest.raises(psycopg.Error, match="payments_position_goes_back"):
        owner_cursor.execute("UPDATE payments_stream_group SET consumed = '{[2,6)}'")
    assert stage.consumed_to() == {"fraud": 5}


def test_a_new_group_begins_with_the_oldest_event_kept(stage: Stage) -> None:
    stage.write_many(aggregates=4, each=1)
    assign_numbers()
    positions.add_groups(["fraud"])
    prune(2)
    positions.add_groups(["fraud", "risk"])
    assert stage.consumed_to() == {"fraud": 0, "risk": 2}
