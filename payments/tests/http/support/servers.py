"""The API server as the launcher starts it, for tests: real granian, real workers, real kills."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil

from payments.tests.http.support.wire import Wire
from paymentsite.launcher import platform_processes
from paymentsite.launcher.ports import HOST, hold_any_port

REQUEST_WITHIN_SECONDS = 4
WEBHOOK_SECRET = "the secret of the server's webhook"


class ApiServer:
    """One server with its workers; tied to this process, so that neither survives it."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        *,
        workers: int = platform_processes.API_WORKERS,
    ) -> None:
        port = hold_any_port()
        self.base_url = f"http://{HOST}:{port}"
        environment = {**variables, "PUBLIC_BASE_URL": self.base_url, "DATABASE_POOL": "on"}
        process = platform_processes.api(folder, environment, port=port, workers=workers)
        self._process = replace(process, relay=False)
        self._workers_wanted = workers
        self.log_file = process.log_file

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self._process.start()

    def stop(self) -> None:
        """Stop it and everything that it started."""
        self._process.stop()

    def kill(self) -> None:
        """kill -9 the server; its workers die with it."""
        pid = self._process.pid
        assert pid is not None, "the server runs"
        workers = self.workers()
        psutil.Process(pid).kill()
        end = time.monotonic() + 5
        while not all(is_dead(worker) for worker in workers):
            assert time.monotonic() < end, "a worker outlived its server"
            time.sleep(0.01)
        self._process.kill_group()

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        pid = self._process.pid
        assert pid is not None, "the server runs"
        children = psutil.Process(pid).children()
        return [child for child in children if not is_dead(child)]

    def kill_workers(self) -> set[int]:
        """kill -9 every worker; who they were.

        Once per server: granian takes workers that die within 5.5 s of their start for a crash loop
        and ends, and then it is the launcher that starts it again.
        """
        workers = self.workers()
        assert len(workers) == self._workers_wanted, "all of them run"
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers, timeout=5)
        return {worker.pid for worker in workers}

    def wait_for_workers(self, *, other_than: set[int], within_seconds: float = 30) -> None:
        """Return when as many new workers as there were answer again; fails after a while."""
        end = time.monotonic() + within_seconds
        while True:
            alive = {worker.pid for worker in self.workers()} - other_than
            if len(alive) == self._workers_wanted and self._answers():
                return
            assert time.monotonic() < end, f"no new workers within {within_seconds} s: {alive}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return Wire(self.base_url).send("GET", "/healthz", timeout_seconds=2).status == 200
        except OSError:
            return False


def is_dead(process: psutil.Process) -> bool:
    """Whether a process has ended; a zombie has, even if nothing has reaped it yet."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def variables_of(database_url: str) -> dict[str, str]:
    """The environment that the launcher gives the server."""
    given = ("SANDBOX_PSP_URL", "REDIS_URL", "SECRET_KEY", "PAYMENTS_ENVIRONMENT")
    return {
        "DATABASE_URL": database_url,
        "REQUEST_WITHIN_SECONDS": str(REQUEST_WITHIN_SECONDS),
        **{name: os.environ[name] for name in given if name in os.environ},
    }
