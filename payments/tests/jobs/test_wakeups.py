"""A wake-up is sent after the commit, never far ahead, and never raises."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import transaction

from payments import metrics
from payments.services.jobs import wakeups
from payments.tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reaches the broker's client, from a process that has sent nothing yet."""
    messages: list[dict[str, Any]] = []

    class Application:
        def send_task(self, task: str, **options: Any) -> None:
            if task != wakeups.PROCESS_NOTIFICATIONS:  # the last test's may be sent only now
                messages.append({"task": task, **options})

    monkeypatch.setattr(wakeups, "current_app", Application())
    monkeypatch.setattr(wakeups, "process_wakeups", wakeups.Wakeups())
    return messages


def test_a_worker_is_woken_when_the_first_check_of_an_unknown_outcome_is_due(
    shop: Shop, sent: list[dict[str, Any]]
) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    shop.create()
    messages = [each for each in sent if each["task"] == wakeups.RESOLVE_OPERATIONS]
    assert len(messages) == 1
    assert 1 <= messages[0]["countdown"] <= 3
    assert messages[0]["expires"] > messages[0]["countdown"]
    shop.settle()


def test_a_payment_without_an_unknown_outcome_wakes_no_worker(
    shop: Shop, sent: list[dict[str, Any]]
) -> None:
    shop.create()
    assert [each for each in sent if each["task"] == wakeups.RESOLVE_OPERATIONS] == []


def test_no_worker_is_woken_more_than_a_minute_ahead(sent: list[dict[str, Any]]) -> None:
    wakeups.wake_in("payments.tasks.nothing", seconds=wakeups.COUNTDOWN_SECONDS_MAX + 1)
    assert sent == []
    wakeups.wake_in("payments.tasks.nothing", seconds=wakeups.COUNTDOWN_SECONDS_MAX)
    assert [each["countdown"] for each in sent] == [wakeups.COUNTDOWN_SECONDS_MAX]


def test_many_unknown_outcomes_at_once_send_one_wake_up(sent: list[dict[str, Any]]) -> None:
    for _ in range(50):
        wakeups.wake_in("payments.tasks.nothing", seconds=2)
    assert len(sent) == 1


def test_a_wake_up_waits_for_the_commit(sent: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        wakeups.wake_in("payments.tasks.nothing", seconds=2)
        assert sent == []
    assert len(sent) == 1


def test_a_wake_up_that_is_lost_is_counted_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def send_task(self, task: str, **options: Any) -> None:
            raise OSError("no broker")

    monkeypatch.setattr(wakeups, "current_app", Gone())
    monkeypatch.setattr(wakeups, "process_wakeups", wakeups.Wakeups())
    before = metrics.LOST_WAKEUPS.labels("payments.tasks.nothing")._value.get()
    wakeups.wake_in("payments.tasks.nothing", seconds=2)
    wakeups.wake("payments.tasks.nothing")
    time.sleep(1.3)  # after the first failure there is a pause
    assert metrics.LOST_WAKEUPS.labels("payments.tasks.nothing")._value.get() == before + 2
    assert wakeups.process_wakeups.lost == 2
