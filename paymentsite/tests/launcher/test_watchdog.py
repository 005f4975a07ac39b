"""The watchdog restarts processes that stopped working without ending."""

from __future__ import annotations

import time
from collections.abc import Callable

from paymentsite.launcher.processes import Process
from paymentsite.launcher.supervisor import Supervisor
from paymentsite.launcher.watchdog import Watchdog


class ScriptedWatchdog(Watchdog):
    """Has read the heartbeats that the test gives it, just now."""

    def __init__(self, written_at: dict[str, float]) -> None:
        super().__init__(database_url="", redis_url="redis://unused", overdue_after_seconds=5)
        self._written_at, self._read_at = written_at, time.monotonic()
        self._answering_since = 0.0


def test_a_process_is_overdue_when_all_of_its_heartbeats_are_old() -> None:
    now = time.monotonic()
    watchdog = ScriptedWatchdog({"fresh": now, "old": now - 60})
    assert watchdog.is_overdue(["old"], since=now - 60)
    assert watchdog.is_overdue(["never"], since=now - 60)
    assert not watchdog.is_overdue(["fresh"], since=now - 60)
    assert not watchdog.is_overdue(["old", "fresh"], since=now - 60)


def test_a_process_that_has_just_begun_to_work_is_given_time() -> None:
    now = time.monotonic()
    assert not ScriptedWatchdog({"old": now - 60}).is_overdue(["old"], since=now - 1)
    assert not ScriptedWatchdog({}).is_overdue(["never"], since=now + 30)


def test_no_worker_is_overdue_while_the_servers_do_not_answer() -> None:
    now = time.monotonic()
    watchdog = ScriptedWatchdog({"old": now - 60})
    watchdog._answering_since = now
    assert not watchdog.is_overdue(["old"], since=now - 60)
    watchdog = ScriptedWatchdog({"old": now - 60})
    watchdog._read_at = now - 10
    assert not watchdog.is_overdue(["old"], since=now - 60), "the last reading is old"


def test_an_overdue_process_is_restarted_unless_it_is_starting(
    process: Callable[..., Process],
) -> None:
    supervisor = Supervisor()
    child = process(
        "import time; time.sleep(1); print('ready'); time.sleep(600)", heartbeats=("old",)
    )
    supervisor.start(child, "start a child")
    first = child.pid
    watchdog = ScriptedWatchdog({})
    watchdog._thread.run = lambda: None  # type: ignore[method-assign]
    supervisor.use(watchdog)
    supervisor.look()
    assert child.pid == first, "it was ready a moment ago"
    supervisor._watched[0].working_since = time.monotonic() - 60

    def is_back() -> bool:
        watchdog._read_at = time.monotonic()
        supervisor.look()
        return child.pid != first and child.ready()

    end = time.monotonic() + 15
    while not is_back():
        assert time.monotonic() < end, "it is not started again"
        time.sleep(0.05)
    second = child.pid
    watchdog._read_at = time.monotonic()
    supervisor.look()
    assert child.pid == second
    supervisor.stop()
