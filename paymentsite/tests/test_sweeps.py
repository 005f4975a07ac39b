"""Every sweep is registered, bounded, documented, and harmless twice at once."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from payments import tasks as payment_tasks
from payments.services.jobs import wakeups
from paymentsite.celery import app, heartbeat_money
from paymentsite.launcher import platform_processes
from paymentsite.launcher.state import PROJECT
from paymentsite.models import SweepRun
from paymentsite.sweep_runs import run_under_lease
from paymentsite.sweeps import BY_NAME, BY_TASK, HEARTBEATS, SWEEPS, WAKEUP_PRIORITY, Queue, Sweep

LEASED = Sweep(
    name="a-leased-sweep",
    task="no_app.tasks.leased",
    every_seconds=60,
    queue=Queue.ROUTINE,
    lease_seconds=90,
    why="a test",
)
SHARED = Sweep(
    name="a-shared-sweep",
    task="no_app.tasks.shared",
    every_seconds=2,
    queue=Queue.MONEY,
    lease_seconds=None,
    why="a test",
)


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_every_sweep_is_registered_bounded_and_documented(sweep: Sweep) -> None:
    app.loader.import_default_modules()
    assert sweep.task in app.tasks
    entry = app.conf.beat_schedule[sweep.name]
    assert (entry["task"], entry["schedule"]) == (sweep.task, sweep.every_seconds or 10.0)
    assert 10 <= entry["options"]["expires"] <= 60, "an old tick is dropped"
    assert app.amqp.router.route({}, sweep.task)["queue"].name == sweep.queue.value
    assert app.tasks[sweep.task].time_limit == app.conf.task_time_limit
    page = (PROJECT / "docs" / "operations.md").read_text()
    lease = f"{sweep.lease_seconds} s" if sweep.lease_seconds else "several at once"
    every = f"{sweep.every_seconds:g} s" if sweep.every_seconds else "10 s"
    assert f"| `{sweep.name}` | {every} | {sweep.queue.value} | {lease} | {sweep.why} |" in page


def test_the_page_names_no_sweep_that_is_not_in_the_table() -> None:
    page = (PROJECT / "docs" / "operations.md").read_text()
    section = page.split("\n## Sweeps\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \|", section, flags=re.MULTILINE)
    assert rows == [sweep.name for sweep in SWEEPS]


def test_names_and_tasks_are_unique_and_beat_has_no_other_entry() -> None:
    assert len(BY_NAME) == len(BY_TASK) == len(SWEEPS)
    assert set(app.conf.beat_schedule) == set(BY_NAME)
    assert app.conf.task_time_limit


def test_every_queue_has_a_worker_and_a_heartbeat() -> None:
    assert set(platform_processes.WORKER_PROCESSES) == set(Queue) == set(HEARTBEATS)
    assert {BY_NAME[name].queue for name in HEARTBEATS.values()} == set(Queue)


def test_heartbeats_run_before_wake_ups_and_wake_ups_before_beat_ticks() -> None:
    priorities = {
        name: entry["options"]["priority"] for name, entry in app.conf.beat_schedule.items()
    }
    beats = {priorities.pop(name) for name in HEARTBEATS.values()}
    assert beats == {0}
    assert max(beats) < wakeups.PRIORITY < min(priorities.values())
    assert wakeups.PRIORITY == WAKEUP_PRIORITY
    steps = set(app.connection_for_read().channel().priority_steps)
    assert {*beats, wakeups.PRIORITY, *priorities.values()} <= steps


def test_sweeps_that_move_money_have_their_own_queue() -> None:
    for task in (wakeups.RESOLVE_OPERATIONS, wakeups.PROCESS_NOTIFICATIONS):
        assert app.amqp.router.route({}, task)["queue"].name == Queue.MONEY.value
    assert app.conf.task_default_queue == Queue.ROUTINE.value


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_of_a_sweep_is_recorded(database: None) -> None:
    assert run_under_lease(LEASED, lambda: 7) == 7
    row = SweepRun.objects.get(name=LEASED.name)
    assert (row.runs, row.failures, row.last_result, row.leased_until) == (1, 0, "7", None)
    assert row.last_finished_at is not None
    assert row.last_started_at <= row.last_finished_at


def test_a_run_without_a_lease_costs_one_statement(database: None) -> None:
    with CaptureQueriesContext(connection) as queries:
        run_under_lease(SHARED, lambda: 7)
    assert len(queries) == 1
    assert SweepRun.objects.get(name=SHARED.name).last_result == "7"


def test_a_failed_run_is_recorded_and_raised(database: None) -> None:
    with pytest.raises(ZeroDivisionError):
        run_under_lease(LEASED, lambda: 1 // 0)
    row = SweepRun.objects.get(name=LEASED.name)
    assert (row.runs, row.failures, row.leased_until) == (1, 1, None)
    assert row.last_error.startswith("ZeroDivisionError: ")
    assert row.last_finished_at is None
    # The next tick does it, at once: a failure is no run of this period.
    assert run_under_lease(LEASED, lambda: "well") == "well"


def test_a_run_whose_database_restarted_is_recorded_and_the_next_one_works(database: None) -> None:
    def meet_a_restart() -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError):
        run_under_lease(SHARED, meet_a_restart)
    assert SweepRun.objects.get(name=SHARED.name).failures == 1
    assert run_under_lease(SHARED, lambda: "well") == "well"


def test_a_leased_sweep_runs_once_at_a_time(database: None) -> None:
    inside, leave = threading.Event(), threading.Event()

    def work() -> str:
        inside.set()
        assert leave.wait(20)
        return "first"

    with ThreadPoolExecutor(1) as other:
        first = other.submit(_in_thread, LEASED, work)
        assert inside.wait(20)
        assert run_under_lease(LEASED, lambda: pytest.fail("two at once")) is None
        leave.set()
        assert first.result(20) == "first"
    assert SweepRun.objects.get(name=LEASED.name).runs == 1


def test_two_beat_processes_run_a_leased_sweep_once(database: None) -> None:
    run_under_lease(LEASED, lambda: 1)
    assert run_under_lease(LEASED, lambda: pytest.fail("again in the same period")) is None
    SweepRun.objects.update(last_finished_at=timezone.now() - timedelta(seconds=31))
    assert run_under_lease(LEASED, lambda: 2) == 2


def test_a_killed_run_is_over_when_its_lease_ends(database: None) -> None:
    now = timezone.now()
    row = SweepRun.objects.create(
        name=LEASED.name, last_started_at=now, leased_until=now + timedelta(seconds=90)
    )
    assert run_under_lease(LEASED, lambda: pytest.fail("it may still run")) is None
    SweepRun.objects.update(leased_until=now - timedelta(seconds=1))
    assert run_under_lease(LEASED, lambda: "taken over") == "taken over"
    row.refresh_from_db()
    assert (row.runs, row.leased_until) == (1, None)


def test_a_run_that_outlived_its_lease_does_not_release_the_next_runs_lease(database: None) -> None:
    def slow() -> None:
        # While it works its lease ends, and another run begins.
        later = timezone.now() + timedelta(seconds=90)
        SweepRun.objects.filter(name=LEASED.name).update(
            last_started_at=timezone.now() + timedelta(seconds=1), leased_until=later
        )

    run_under_lease(LEASED, slow)
    assert SweepRun.objects.get(name=LEASED.name).leased_until is not None


def test_a_sweep_without_a_lease_may_run_concurrently(database: None) -> None:
    assert run_under_lease(SHARED, lambda: run_under_lease(SHARED, lambda: "inner")) == "inner"
    assert SweepRun.objects.get(name=SHARED.name).runs == 2


def test_a_task_of_the_table_runs_as_its_sweep_and_others_as_they_are(database: None) -> None:
    heartbeat_money()
    assert payment_tasks.resolve_due_operations() == 0
    names = set(SweepRun.objects.values_list("name", flat=True))
    assert names == {HEARTBEATS[Queue.MONEY], "resolve-due-operations"}

    @app.task
    def task_outside_the_table() -> str:
        return "done"

    assert task_outside_the_table() == "done"
    assert SweepRun.objects.count() == 2


def _in_thread(sweep: Sweep, work: Any) -> Any:
    try:
        return run_under_lease(sweep, work)
    finally:
        connections.close_all()
