"""What is measured, up and ready: the servers, two databases, the sandbox PSP, platform, reference.

Everything is started by the launcher's own building blocks, so that the platform is served exactly
as `make serve` does it, and the reference exactly as the platform. What may not live here: load.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.ports import HOST, hold_any_port
from paymentsite.launcher.processes import Process, end_descendants
from paymentsite.launcher.progress import LauncherError, step
from paymentsite.launcher.signals import adopt_orphans

_SCHEMA = Path(__file__).parent / "reference" / "schema.sql"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two that are measured."""

    name: str
    process: Process
    port: int
    secret_key: str


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything that runs."""

    platform: Side
    reference: Side
    psp: Process
    psp_port: int
    postgres_pid: int | None
    """None: the server is not on this machine."""
    variables: dict[str, str]
    """The platform's environment."""
    database_facts: dict[str, str]
    folder: Path

    def roots(self, side: Side) -> dict[str, int]:
        """The processes whose time is measured while a side is under load."""
        pids = {
            "API": side.process.pid,
            "PostgreSQL": self.postgres_pid,
            "sandbox PSP": self.psp.pid,
        }
        return {name: pid for name, pid in pids.items() if pid}

    def set_psp_latency(self, *, median_ms: float, p99_ms: float) -> None:
        """Let the PSP take its time, or answer at once with zeros."""
        self.set_psp_behavior(latency_ms={"median": median_ms, "p99": p99_ms})

    def set_psp_behavior(self, **behavior: Any) -> None:
        """Let the PSP behave like this towards charges; without a word: well."""
        connection = http.client.HTTPConnection(HOST, self.psp_port, timeout=5)
        words = {**behavior, "kinds": ["authorize"]}
        connection.request("PUT", "/control/behavior", json.dumps(words))
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        if answer.status != 200:
            raise LauncherError(f"the sandbox PSP refused its behavior: {text}")


@contextmanager
def stage() -> Iterator[Stage]:
    """Start everything; stop it at the end of the block and drop what was written."""
    adopt_orphans()
    with (
        state.fresh_folder("bench-") as folder,
        services(folder, durable=True) as (variables, servers),
        ExitStack() as stack,
    ):
        stack.callback(
            lambda: end_descendants(spared=[server.pid for server in servers if server.pid])
        )
        yield _start(folder, variables, stack)


def _start(folder: Path, variables: dict[str, str], stack: ExitStack) -> Stage:
    psp_port, ports = hold_any_port(), (hold_any_port(), hold_any_port())
    variables |= platform_processes.addresses_and_secrets(
        folder, api_port=ports[0], psp_port=psp_port
    )
    ours = with_database(variables, "bench_platform", stack)
    theirs = with_database(variables, "bench_reference", stack)
    with step("make the tables"):
        run_command(ours, "manage.py", "migrate", "--no-input", "--verbosity", "0")
        _make_reference_tables(theirs)
        [secret_key] = run_python(ours, "-m", "bench.seed", "merchants", "1")
    psp = platform_processes.sandbox_psp(folder, port=psp_port)
    platform = platform_processes.api(folder, ours, port=ports[0])
    reference = platform_processes.api(folder, theirs, port=ports[1])
    reference.name = "reference"
    reference.log_file = folder / "logs" / "reference.log"
    reference.command = [*reference.command[:-1], "bench.reference.wsgi:server"]
    for process in (psp, platform, reference):
        with step(f"start {process.name}"):
            stack.callback(process.stop)
            process.start()
    return Stage(
        platform=Side(name="platform", process=platform, port=ports[0], secret_key=secret_key),
        reference=Side(name="reference", process=reference, port=ports[1], secret_key="none"),
        psp=psp,
        psp_port=psp_port,
        postgres_pid=_postgres_pid(ours),
        variables=ours,
        database_facts=_database_facts(ours),
        folder=folder,
    )


def with_database(variables: Mapping[str, str], name: str, stack: ExitStack) -> dict[str, str]:
    """The variables with a new database of that name, dropped when the bench ends."""
    identifier = sql.Identifier(name)
    owner_url = variables["DATABASE_OWNER_URL"]
    _as_owner(owner_url, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
    _as_owner(owner_url, sql.SQL("CREATE DATABASE {}").format(identifier))
    stack.callback(
        _as_owner, owner_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier)
    )
    return {
        **variables,
        "DATABASE_URL": make_conninfo(variables["DATABASE_URL"], dbname=name),
        "DATABASE_OWNER_URL": make_conninfo(owner_url, dbname=name),
    }


def _as_owner(url: str, statement: sql.Composed) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def _make_reference_tables(variables: Mapping[str, str]) -> None:
    role = sql.Identifier(str(conninfo_to_dict(variables["DATABASE_URL"])["user"]))
    grant = "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {}"
    with psycopg.connect(variables["DATABASE_OWNER_URL"]) as connection:
        connection.execute(_SCHEMA.read_bytes())
        connection.execute(sql.SQL(grant).format(role))


def _database_facts(variables: Mapping[str, str]) -> dict[str, str]:
    with psycopg.connect(variables["DATABASE_URL"]) as connection:
        return {
            name: str(connection.execute(f"SHOW {name}".encode()).fetchone()[0])  # type: ignore[index]
            for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        }


def _postgres_pid(variables: Mapping[str, str]) -> int | None:
    """The server itself, whose children do the work: the parent of a backend of ours."""
    with psycopg.connect(variables["DATABASE_URL"]) as connection:
        process = Path(f"/proc/{connection.info.backend_pid}")
        if not process.exists() or (process / "comm").read_text().strip() != "postgres":
            return None
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])


def environment_of(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command of ours beside the servers."""
    return {**platform_processes.environment_of_the_machine(), **variables, "DATABASE_POOL": "off"}


def run_python(variables: Mapping[str, str], *arguments: str) -> Any:
    """What a command of ours printed as JSON."""
    return json.loads(run_command(variables, *arguments))


def run_command(variables: Mapping[str, str], *arguments: str) -> str:
    """What a command of ours printed; refuses with its last lines when it fails."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=state.PROJECT,
        env=environment_of(variables),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).splitlines()[-20:])
        raise LauncherError(f"`{' '.join(arguments[:3])}` failed in {os.getcwd()}:\n{last}")
    return done.stdout
