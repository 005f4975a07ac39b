"""Starts every process of `make serve` for one run, on a database and a sandbox PSP of its own.

Nothing that the other rows of the bench have written is in its way. The servers are shared.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from redis import Redis

from bench.chaos.platform.psp_control import PspControl
from bench.stage import Stage, run_command, run_python, with_database
from bench.webhooks.run import receiver
from paymentsite.launcher import platform_processes, postgres
from paymentsite.launcher.ports import hold_any_port, release_port
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import step

_DATABASE = "bench_all_running"
_REDIS_DATABASE = 1
"""The other rows leave wake-ups in database 0."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """Every process, ready for load."""

    processes: list[Process]
    variables: dict[str, str]
    folder: Path
    api_port: int
    metrics_port: int
    """Of granian's own counters."""
    psp: PspControl
    listening: Shop
    """A merchant with one endpoint that answers 200."""
    silent: Shop
    """A merchant without an endpoint."""
    arrivals: Path
    """What arrived at the endpoint, line by line."""
    superuser_url: str | None
    """None: the server is not ours, so its settings stay as they are."""
    postgres_pid: int | None
    redis_pid: int | None
    postgres_log: Path

    def roots(self) -> dict[str, int]:
        """Every process of the platform by its name; PostgreSQL is read backend by backend."""
        pids = {each.name: each.pid for each in self.processes}
        pids["Redis"] = self.redis_pid
        return {name: pid for name, pid in pids.items() if pid}

    def database(self) -> psycopg.Connection[Any]:
        """A connection of the bench; statistics of the whole server need the superuser."""
        url = self.superuser_url or self.variables["DATABASE_URL"]
        return psycopg.connect(url, autocommit=True, application_name="bench")

    def redis(self) -> Redis:
        """A client of the stream's Redis."""
        client: Redis = Redis.from_url(self.variables["REDIS_URL"], decode_responses=True)
        return client


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A merchant of the run."""

    name: str
    secret_key: str


@contextmanager
def all_running(stage: Stage) -> Iterator[Running]:
    """Start everything; stop it at the end of the block and drop what was written."""
    with ExitStack() as stack:
        yield _start(stage, stack)


def _start(stage: Stage, stack: ExitStack) -> Running:
    folder = stage.folder / "all-running"
    folder.mkdir()
    ports = [hold_any_port() for _ in range(3)]
    for port in ports:
        stack.callback(release_port, port)
    api_port, psp_port, metrics_port = ports
    address, _, _ = stage.variables["REDIS_URL"].rpartition("/")
    variables = {
        **with_database(stage.variables, _DATABASE, stack),
        **platform_processes.addresses_and_secrets(folder, api_port=api_port, psp_port=psp_port),
        "REDIS_URL": f"{address}/{_REDIS_DATABASE}",
        "WEBHOOK_LOOPBACK": "on",
        "GRANIAN_METRICS_ENABLED": "1",
        "GRANIAN_METRICS_PORT": str(metrics_port),
        "GRANIAN_METRICS_SCRAPE_INTERVAL": "1",
    }
    arrivals = folder / "arrivals.log"
    with step("make the tables and merchants"):
        run_command(variables, "manage.py", "migrate", "--no-input", "--verbosity", "0")
        silent = run_python(variables, "-m", "bench.seed", "merchants", "1")[0]
        port = stack.enter_context(receiver(variables, arrivals))
        endpoint = f"http://127.0.0.1:{port}/ok/0"
        listening = run_python(variables, "-m", "bench.seed", "shop", endpoint)
    psp = platform_processes.sandbox_psp(folder, port=psp_port)
    api = platform_processes.api(folder, variables, port=api_port)
    beside = [process for process, _ in platform_processes.background(folder, variables)]
    processes = [replace(each, relay=False) for each in (psp, api, *beside)]
    with step(f"start {len(processes)} processes"):
        for process in processes:
            stack.callback(process.stop)
            process.start()
            if process.name == api.name:
                platform_processes.register_webhook(variables, port=api_port)
    superuser_url = superuser_url_of(stage, variables)
    if superuser_url is not None:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET track_wal_io_timing = on")
            connection.execute("SELECT pg_reload_conf()")
    return Running(
        processes=processes,
        variables=variables,
        folder=folder,
        api_port=api_port,
        metrics_port=metrics_port,
        psp=PspControl(psp_port),
        listening=Shop(name="one endpoint", secret_key=listening),
        silent=Shop(name="no endpoint", secret_key=silent),
        arrivals=arrivals,
        superuser_url=superuser_url,
        postgres_pid=stage.postgres_pid,
        redis_pid=_redis_pid(variables["REDIS_URL"]),
        postgres_log=stage.folder / "logs" / "postgres.log",
    )


def superuser_url_of(stage: Stage, variables: Mapping[str, str]) -> str | None:
    """The superuser's login to the same database; None: only a server of this run is ours."""
    if os.environ.get("DATABASE_URL"):
        return None
    facts = conninfo_to_dict(variables["DATABASE_URL"])
    url = postgres.url(stage.folder, postgres.SUPERUSER, int(str(facts["port"])))
    return make_conninfo(url, dbname=str(facts["dbname"]))


def _redis_pid(url: str) -> int | None:
    """The server's pid, if it runs on this machine."""
    with Redis.from_url(url) as client:
        pid = int(client.info("server")["process_id"])
    comm = Path(f"/proc/{pid}/comm")
    return pid if comm.exists() and "redis" in comm.read_text() else None
