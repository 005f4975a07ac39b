"""Restarts processes that end or whose heartbeats are overdue; stops all in reverse order.

The wait before a restart doubles each time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import say, step
from paymentsite.launcher.watchdog import Watchdog

_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0
_SETTLED_AFTER_SECONDS = 60.0
"""After running this long, a process that ends is restarted after the first wait again."""


@dataclass
class _Watched:
    process: Process
    wait_seconds: float = _FIRST_WAIT_SECONDS
    launched_at: float = 0.0
    working_since: float | None = None
    """When it was first seen ready; before, it cannot send a heartbeat."""
    restart_at: float | None = None
    announced: bool = True
    stopped_by_us: bool = True


class Supervisor:
    """Supervises processes, in the order in which they were started."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._watchdog: Watchdog | None = None

    def use(self, watchdog: Watchdog) -> None:
        """Start the watchdog, and from now on restart processes whose heartbeats are overdue."""
        self._watchdog = watchdog
        watchdog.start()

    def start(self, process: Process, what: str) -> None:
        """Start it, print the step and wait until it is ready."""
        with step(what):
            # Watched before it is ready: an interrupt now must stop it too.
            self._watched.append(_Watched(process, launched_at=time.monotonic()))
            process.start()

    def watch(self, process: Process) -> None:
        """Supervise a process that the caller has started and stops."""
        self._watched.append(_Watched(process, launched_at=time.monotonic(), stopped_by_us=False))

    def look(self) -> None:
        """Restart what has ended and is due, kill what has overdue heartbeats; never waits."""
        now = time.monotonic()
        for watched in self._watched:
            process = watched.process
            if watched.restart_at is not None:
                if now >= watched.restart_at:
                    watched.restart_at, watched.launched_at = None, now
                    watched.announced, watched.working_since = False, None
                    process.launch()
            elif process.exit_code() is not None:
                self._plan_restart(watched, now)
            elif self._is_overdue(watched):
                say(f"  !! {process.name} runs but its heartbeats are overdue: killed")
                process.kill_group()
            elif not watched.announced and process.ready():
                watched.announced = True
                say(f"  ok {process.name} is up again")

    def stop(self) -> None:
        """Stop everything that `start` started, last started first."""
        if self._watchdog is not None:
            self._watchdog.stop()
        for watched in reversed(self._watched):
            if watched.stopped_by_us:
                watched.process.stop()
        self._watched.clear()

    def _is_overdue(self, watched: _Watched) -> bool:
        process = watched.process
        if self._watchdog is None or not process.heartbeats:
            return False
        if watched.working_since is None and process.ready():
            watched.working_since = time.monotonic()
        ready_by = watched.launched_at + process.ready_within_seconds
        return self._watchdog.is_overdue(
            process.heartbeats, since=watched.working_since or ready_by
        )

    def _plan_restart(self, watched: _Watched, now: float) -> None:
        process = watched.process
        code = process.exit_code()
        # Processes that it left behind would keep its port.
        process.kill_group()
        if now - watched.launched_at > _SETTLED_AFTER_SECONDS:
            watched.wait_seconds = _FIRST_WAIT_SECONDS
        say(f"  !! {process.name} ended with code {code}; again in {watched.wait_seconds:.0f} s")
        ended_by_itself = code is not None and code > 0  # below 0: by a signal, which is the reason
        if ended_by_itself or not watched.announced:
            say(process.last_lines())
        watched.restart_at = now + watched.wait_seconds
        watched.wait_seconds = min(2 * watched.wait_seconds, _LONGEST_WAIT_SECONDS)
