"""The whole platform for one test: Redis, API, both workers and beat, looked after by a supervisor.

Real processes as the launcher starts them, with heartbeats every second so that tests need not wait
for minutes. No tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from payments.tests.http.support.servers import ApiServer
from paymentsite.launcher import platform_processes, redis_server
from paymentsite.launcher.ports import HOST
from paymentsite.launcher.processes import Process
from paymentsite.launcher.supervisor import Supervisor
from paymentsite.launcher.watchdog import Watchdog

HEARTBEAT_SECONDS = 1
OVERDUE_AFTER_SECONDS = 10.0


class Platform:
    """The running processes by name; `look_until` is the launcher's loop."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.redis = redis_server.server(folder)
        port = redis_server.port_of(self.redis)
        self.variables = {
            **variables,
            "REDIS_URL": f"redis://{HOST}:{port}/0",
            "HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS),
        }
        self.api = ApiServer(folder, self.variables, workers=1)
        workers = platform_processes.workers(folder, self.variables)
        beat = platform_processes.beat(folder, self.variables)
        self.processes = {each.name: replace(each, relay=False) for each in (*workers, beat)}
        self.supervisor = Supervisor()

    def start(self) -> None:
        """Start everything and wait until all of it is ready."""
        self.redis.start()
        self.api.start()
        for process in self.processes.values():
            self.supervisor.start(process, f"start {process.name}")
        self.supervisor.use(
            Watchdog(
                database_url=self.variables["DATABASE_URL"],
                redis_url=self.variables["REDIS_URL"],
                overdue_after_seconds=OVERDUE_AFTER_SECONDS,
            )
        )

    def stop(self) -> None:
        """Stop everything."""
        self.supervisor.stop()
        self.api.stop()
        self.redis.stop()

    def look_until(self, condition: Callable[[], bool], *, within_seconds: float) -> None:
        """Restart what dies until the condition holds; fails after a while."""
        end = time.monotonic() + within_seconds
        while not condition():
            assert time.monotonic() < end, f"not within {within_seconds:.0f} s\n{self.last_words()}"
            self.supervisor.look()
            time.sleep(0.1)

    def last_words(self) -> str:
        """The last lines that the jobs logged."""
        said = [f"{p.name}: {line[:300]}" for p in self.processes.values() for line in p._lines]
        return "\n".join(said)

    def pid_of(self, name: str) -> int:
        pid = self.processes[name].pid
        assert pid is not None, f"{name} runs"
        return pid


@contextmanager
def running(folder: Path, variables: Mapping[str, str]) -> Iterator[Platform]:
    """Everything up; stopped at the end of the block."""
    platform = Platform(folder, variables)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


def kill_hard(process: Process) -> None:
    """kill -9, without a restart."""
    process.kill_group()
