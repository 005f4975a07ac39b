"""Dead letters of a group: listed, and replayed by an operator."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from payments import public_ids
from payments.models import FailedEvent
from payments.services.event_stream.consuming import (
    FAILURES_MAX,
    consume_once,
    note_failure,
    replay,
)
from payments.services.event_stream.effects import EFFECTS
from payments.tests.event_stream.stage import Failing, Stage, consumer_of


@pytest.fixture
def dead(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Two dead letters of fraud, whose effect still fails."""
    written = stage.write_many(aggregates=3, each=1)
    stage.publish_all()
    effect = Failing(written[0].id, written[1].id)
    consumer = consumer_of(stage, effect)
    for _ in range(FAILURES_MAX):
        consumer.consume()
    monkeypatch.setitem(EFFECTS, "fraud", effect)
    return effect


def replayed(*arguments: str) -> str:
    output = StringIO()
    call_command("replay_streamed_events", "--group", "fraud", *arguments, stdout=output)
    return output.getvalue()


def test_dead_letters_are_listed(dead: Failing) -> None:
    lines = replayed().splitlines()
    assert len(lines) == 2
    assert "failed 5 times: ValueError: I cannot read this" in lines[0]
    assert FailedEvent.objects.count() == 2


def test_one_dead_letter_is_replayed(dead: Failing) -> None:
    first = FailedEvent.objects.order_by("id")[0]
    named = public_ids.encode(public_ids.EVENT, first.event_id)
    dead.poison.clear()
    assert replayed("--event", named) == f"{named}: consumed\n"
    assert first.event_id in dead.done
    assert FailedEvent.objects.count() == 1
    with pytest.raises(CommandError, match="is not a dead letter of fraud"):
        replayed("--event", named)


def test_a_dead_letter_that_fails_again_stays(dead: Failing) -> None:
    with pytest.raises(CommandError, match="2 of 2 failed again"):
        replayed("--all")
    assert list(FailedEvent.objects.values_list("failures", flat=True)) == [6, 6]
    dead.poison.clear()
    assert replayed("--all").count("consumed") == 2
    assert not FailedEvent.objects.exists()


def test_a_dead_letter_that_was_replayed_meanwhile_has_no_second_effect(dead: Failing) -> None:
    failed = FailedEvent.objects.order_by("id")[0]
    dead.poison.clear()
    replayed("--all")
    assert replay(failed, dead) == ""
    assert dead.done.count(failed.event_id) == 1
    dead.poison.add(failed.event_id)
    assert replay(failed, dead) == "", "it was not tried"
    assert not FailedEvent.objects.exists()


def test_a_dead_letter_that_comes_again_is_left_to_the_operator(
    dead: Failing, stage: Stage
) -> None:
    """Redis lost the stream before the group's position had passed it."""
    message = stage.on_the_stream()[0]
    dead.poison.clear()
    assert not consume_once("fraud", message, dead)
    assert note_failure("fraud", message, "too late"), "it is over"
    assert message.event_id not in dead.done
    assert list(FailedEvent.objects.values_list("failures", flat=True)) == [5, 5]
    assert "consumed" in replayed("--all")
    assert dead.done.count(message.event_id) == 1
