"""Defines the platform's processes: sandbox PSP, API, workers, beat, publisher, relay, consumers.

Decides the environment of each. None gets the login of the tables' owner. The sandbox PSP gets no
login, key or secret of the platform.
"""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from paymentsite.launcher import state
from paymentsite.launcher.ports import HOST
from paymentsite.launcher.processes import Process
from paymentsite.sweeps import HEARTBEATS, Queue

API_WORKERS = 2
# Most threads wait for a PSP without a database connection, so there are more of them than
# connections in the pool.
API_THREADS = 64
# A request waits 8 s for its PSP by default. A stopping server first answers its open requests.
API_DRAIN_SECONDS = 10
# Per queue. Jobs that move money have processes of their own, so that no slow job delays them.
WORKER_PROCESSES = {Queue.MONEY: 2, Queue.ROUTINE: 1}
# Those with an example consumer (payments.streaming.effects).
EXAMPLE_GROUPS = ("finance", "support", "fraud")

_SECRETS = ("METRICS_TOKEN",)
"""Variables of the launcher that only the platform's own processes get."""


def environment_of_the_machine() -> dict[str, str]:
    """The launcher's own environment without any login or key of the platform."""
    ours = (
        *("DATABASE_", "REDIS_", "STREAM_", "SECRET_KEY", "SECRETS_", "SANDBOX_PSP_", "POSTGRES_"),
        *_SECRETS,
    )
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(ours)},
        "PYTHONUNBUFFERED": "1",
        # Celery warns of running as root, granian of many threads: both are intended here.
        "PYTHONWARNINGS": "ignore",
    }


def sandbox_psp(folder: Path, *, port: int) -> Process:
    """The sandbox PSP, with its own durable store."""
    return Process(
        name="sandbox-psp",
        command=[
            *(sys.executable, "-m", "psp_adapters.sandbox_psp", "--port", str(port)),
            *("--store", str(folder / "sandbox.sqlite"), "--control"),
        ],
        environment=environment_of_the_machine(),
        directory=state.PROJECT,
        log_file=folder / "logs" / "sandbox-psp.log",
        ready_text="listening on",
        stop_within_seconds=2,
        relay=True,
    )


def api(folder: Path, variables: Mapping[str, str], *, port: int) -> Process:
    """The web server. It restarts its killed workers; the supervisor restarts a killed server."""
    return Process(
        name="api",
        command=[
            *(sys.executable, "-m", "granian", "--interface", "wsgi"),
            *("--host", HOST, "--port", str(port), "--no-ws"),
            *("--workers", str(API_WORKERS), "--blocking-threads", str(API_THREADS)),
            *("--respawn-failed-workers", "--respawn-interval", "0.5"),
            *("--workers-kill-timeout", str(API_DRAIN_SECONDS), "--log-level", "error"),
            "paymentsite.wsgi:application",
        ],
        environment={**_environment(folder, variables), "API_THREADS": str(API_THREADS)},
        directory=state.PROJECT,
        log_file=folder / "logs" / "api.log",
        is_ready=lambda: _healthy(f"http://{HOST}:{port}/healthz"),
        stop_within_seconds=API_DRAIN_SECONDS + 2,
        relay=True,
    )


def workers(folder: Path, variables: Mapping[str, str]) -> list[Process]:
    """The background jobs: one Celery worker per queue."""
    return [worker(folder, variables, queue) for queue in Queue]


def worker(folder: Path, variables: Mapping[str, str], queue: Queue, *, number: int = 1) -> Process:
    """A worker of one queue; several may run. It is restarted when its heartbeat is overdue."""
    name = "worker" if queue is Queue.MONEY else f"worker-{queue.value}"
    if number > 1:
        name = f"{name}-{number}"
    return _celery(
        folder,
        variables,
        name=name,
        arguments=[
            *("worker", "--queues", queue.value, "--hostname", f"{name}@%h"),
            *("--concurrency", str(WORKER_PROCESSES[queue]), "--without-mingle"),
            "--without-gossip",
        ],
        ready_text=" ready.",
        heartbeats=(HEARTBEATS[queue],),
    )


def relay(folder: Path, variables: Mapping[str, str], *, number: int = 1) -> Process:
    """The relay, which delivers events to merchants' webhook endpoints; several may run."""
    return Process(
        name=f"relay-{number}",
        command=[sys.executable, str(state.PROJECT / "manage.py"), "relay_events"],
        environment={**_environment(folder, variables), "DATABASE_POOL": "off"},
        directory=state.PROJECT,
        log_file=folder / "logs" / f"relay-{number}.log",
        ready_text="relaying events",
        stop_within_seconds=5,
        relay=True,
    )


def beat(folder: Path, variables: Mapping[str, str]) -> Process:
    """Celery beat. Its file only says when each task was last due; losing it is harmless."""
    return _celery(
        folder,
        variables,
        name="beat",
        arguments=["beat", "--schedule", str(folder / "beat-schedule"), "--pidfile="],
        ready_text="beat: Starting",
        heartbeats=tuple(HEARTBEATS.values()),
    )


def publisher(folder: Path, variables: Mapping[str, str]) -> Process:
    """Puts events on the internal stream. Where it died, the next goes on."""
    return Process(
        name="publisher",
        command=[sys.executable, str(state.PROJECT / "manage.py"), "publish_events"],
        environment={**_environment(folder, variables), "DATABASE_POOL": "off"},
        directory=state.PROJECT,
        log_file=folder / "logs" / "publisher.log",
        ready_text="publishing events",
        stop_within_seconds=4,
        relay=True,
    )


def consumers(folder: Path, variables: Mapping[str, str]) -> Process | None:
    """The example consumers of the internal stream, in one process. Returns None if none is wanted.

    A group without a consumer stops the whole stream once the stream is full.
    """
    groups = example_groups(variables)
    if not groups:
        return None
    return Process(
        name="consumers",
        command=[
            *(sys.executable, str(state.PROJECT / "manage.py"), "consume_events"),
            *(argument for group in groups for argument in ("--group", group)),
        ],
        environment={**_environment(folder, variables), "DATABASE_POOL": "off"},
        directory=state.PROJECT,
        log_file=folder / "logs" / "consumers.log",
        ready_text="consuming events",
        stop_within_seconds=4,
        relay=True,
    )


def example_groups(variables: Mapping[str, str]) -> list[str]:
    """The groups of the stream with an example consumer: STREAM_EXAMPLES, by default all."""
    of_stream = variables.get("STREAM_GROUPS") or ",".join(EXAMPLE_GROUPS)
    wanted = variables.get("STREAM_EXAMPLES") or ",".join(EXAMPLE_GROUPS)
    both = {each.strip() for each in of_stream.split(",")}
    both &= {each.strip() for each in wanted.split(",")}
    return [each for each in EXAMPLE_GROUPS if each in both]


def _celery(
    folder: Path,
    variables: Mapping[str, str],
    *,
    name: str,
    arguments: list[str],
    ready_text: str,
    heartbeats: tuple[str, ...],
) -> Process:
    return Process(
        name=name,
        command=[sys.executable, "-m", "celery", "--quiet", "-A", "paymentsite", *arguments],
        environment={**_environment(folder, variables), "DATABASE_POOL": "off"},
        directory=state.PROJECT,
        log_file=folder / "logs" / f"{name}.log",
        ready_text=ready_text,
        stop_within_seconds=4,
        heartbeats=heartbeats,
        relay=True,
    )


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of the platform's own processes, with their shared folder for metrics."""
    known = {name: value for name, value in variables.items() if name != "DATABASE_OWNER_URL"}
    return {
        **environment_of_the_machine(),
        "PROMETHEUS_MULTIPROC_DIR": str(state.metrics_folder(folder)),
        **{name: os.environ[name] for name in _SECRETS if name in os.environ},
        **known,
    }


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
