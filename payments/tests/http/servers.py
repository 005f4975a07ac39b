"""The API server as the launcher starts it, for tests: real granian, real workers, real kills."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psutil

from payments.tests.http.wire import Wire
from paymentsite.launcher import platform_processes
from paymentsite.launcher.ports import HOST, free_port


class ApiServer:
    """One server with its workers; tied to this process, so that neither survives it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        port = free_port()
        self.base_url = f"http://{HOST}:{port}"
        environment = {**variables, "PUBLIC_BASE_URL": self.base_url, "DATABASE_POOL": "on"}
        process = platform_processes.api(folder, environment, port=port)
        self._process = replace(process, relay=False)
        self.log_file = process.log_file

    def start(self) -> None:
        """Start it and wait until it is healthy."""
        self._process.start()

    def stop(self) -> None:
        """Stop it and everything that it started."""
        self._process.stop()

    def workers(self) -> list[psutil.Process]:
        """The processes that answer requests."""
        pid = self._process.pid
        assert pid is not None, "the server runs"
        return [
            child
            for child in psutil.Process(pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]

    def kill_workers(self) -> set[int]:
        """kill -9 every worker; who they were."""
        workers = self.workers()
        assert len(workers) == platform_processes.API_WORKERS, "the workers are known by name"
        for worker in workers:
            worker.kill()
        psutil.wait_procs(workers, timeout=5)
        return {worker.pid for worker in workers}

    def wait_for_workers(self, *, other_than: set[int], within_seconds: float = 30) -> None:
        """Return when as many new workers as there were answer again; fails after a while."""
        end = time.monotonic() + within_seconds
        while True:
            alive = {worker.pid for worker in self.workers()} - other_than
            if len(alive) == platform_processes.API_WORKERS and self._answers():
                return
            assert time.monotonic() < end, f"no new workers within {within_seconds} s: {alive}"
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return Wire(self.base_url).send("GET", "/healthz", timeout_seconds=2).status == 200
        except OSError:
            return False


def variables_of(database_url: str) -> dict[str, str]:
    """What the server may know, as the launcher would tell it."""
    given = ("SANDBOX_PSP_URL", "REDIS_URL", "SECRET_KEY", "PAYMENTS_ENVIRONMENT")
    return {
        "DATABASE_URL": database_url,
        **{name: os.environ[name] for name in given if name in os.environ},
    }
