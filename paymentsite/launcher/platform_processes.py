"""Defines the platform's processes: sandbox PSP, API, workers, beat, publisher, relay, consumers.

Decides the environment of each. None gets the login of the tables' owner. The sandbox PSP gets no
login, key or secret of the platform.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paymentsite import web_server
from paymentsite.launcher import state
from paymentsite.launcher.ports import HOST
from paymentsite.launcher.processes import Process
from paymentsite.launcher.progress import LauncherError
from paymentsite.sweeps import HEARTBEATS, Queue

API_WORKERS = 2
# Most threads wait for a PSP without a database connection, so there are more of them than
# connections in the pool.
API_THREADS = 64
# Per queue. Jobs that move money have processes of their own, so that no slow job delays them.
WORKER_PROCESSES = {Queue.MONEY: 2, Queue.ROUTINE: 1}
# Those with an example consumer (payments.streaming.effects).
EXAMPLE_GROUPS = ("finance", "support", "fraud")

_MANAGE = str(state.PROJECT / "manage.py")
_CELERY = ("-m", "celery", "--quiet", "-A", "paymentsite")
_SECRETS = ("METRICS_TOKEN",)
"""Variables of the launcher that only the platform's own processes get."""
_REQUEST_LINE = '"logger": "payments.api.request_log"'
"""In each log line of an answered request: on the screen they would hide everything else."""


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


def addresses_and_secrets(folder: Path, *, api_port: int, psp_port: int) -> dict[str, str]:
    """The variables by which the processes of one machine find and trust each other."""
    return {
        "PUBLIC_BASE_URL": f"http://{HOST}:{api_port}",
        "SANDBOX_PSP_URL": f"http://{HOST}:{psp_port}",
        "SANDBOX_PSP_API_KEY": f"sandbox_{state.secret(folder, 'sandbox PSP')}",
        "SANDBOX_PSP_WEBHOOK_SECRETS": state.secret(folder, "sandbox PSP webhooks"),
    }


def background(folder: Path, variables: Mapping[str, str]) -> list[tuple[Process, str]]:
    """Everything that runs beside sandbox PSP and API, in the order of starting, and what it is.

    `make serve` starts these, and `make bench` measures these.
    """
    found = [
        (worker(folder, variables, each), f"the worker of the queue `{each}`") for each in Queue
    ]
    found += [
        (beat(folder, variables), "the clock (beat)"),
        (publisher(folder, variables), "the publisher of the internal stream"),
        (relay(folder, variables), "the relay to webhook endpoints"),
    ]
    example = consumers(folder, variables)
    if example is not None:
        found.append((example, "the consumers of the internal stream"))
    return found


def sandbox_psp(folder: Path, *, port: int) -> Process:
    """The sandbox PSP, with its own durable store."""
    return _python(
        folder,
        "sandbox-psp",
        *("-m", "psp_adapters.sandbox_psp", "--port", str(port)),
        *("--store", str(folder / "sandbox.sqlite"), "--control"),
        environment=environment_of_the_machine(),
        ready_text="listening on",
        stop_within_seconds=2,
    )


def register_webhook(variables: Mapping[str, str], *, port: int, account_number: int = 1) -> None:
    """Register the API's webhook endpoint at the sandbox PSP, as an operator does at a PSP.

    The PSP signs with the first of our secrets. Further accounts have a number, which is in their
    codes and API keys.
    """
    further = "" if account_number == 1 else str(account_number)
    code, api_key = "sandbox", variables["SANDBOX_PSP_API_KEY"]
    if further:
        code, api_key = f"{code}-{further}", f"{api_key}_{further}"
    endpoint = {
        "url": f"http://{HOST}:{port}/psp/{code}/webhook",
        "secret": variables["SANDBOX_PSP_WEBHOOK_SECRETS"].split(",")[0],
    }
    request = urllib.request.Request(
        f"{variables['SANDBOX_PSP_URL']}/v1/webhook_endpoint",
        data=json.dumps(endpoint).encode(),
        method="PUT",
        headers={"Authorization": f"Bearer {api_key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            return
    except OSError as error:
        raise LauncherError(f"the sandbox PSP does not take our webhook: {error}") from error


def api(
    folder: Path, variables: Mapping[str, str], *, port: int, workers: int = API_WORKERS
) -> Process:
    """The web server. It restarts its killed workers; the supervisor restarts a killed server."""
    return _web(folder, variables, "api", host=HOST, port=port, workers=workers)


def internal_api(folder: Path, variables: Mapping[str, str]) -> Process | None:
    """The web server of console, documentation and metrics, where INTERNAL_ADDRESS says so."""
    host, _, port = variables.get("INTERNAL_ADDRESS", "").rpartition(":")
    if not port:
        return None
    host = host.strip("[]")
    return _web(folder, variables, "internal", host=host, port=int(port), workers=1)


def _web(
    folder: Path,
    variables: Mapping[str, str],
    name: str,
    *,
    host: str,
    port: int,
    workers: int,
) -> Process:
    return _python(
        folder,
        name,
        *("-m", "paymentsite.web_server", "--host", host, "--port", str(port)),
        *("--workers", str(workers), "paymentsite.wsgi:server"),
        environment={**_environment(folder, variables), "API_THREADS": str(API_THREADS)},
        is_ready=lambda: _healthy(f"http://{_in_url(host)}:{port}/healthz"),
        not_shown=_REQUEST_LINE,
        stop_within_seconds=web_server.DRAIN_SECONDS + 2,
    )


def workers(folder: Path, variables: Mapping[str, str]) -> list[Process]:
    """The background jobs: one Celery worker per queue."""
    return [worker(folder, variables, queue) for queue in Queue]


def worker(folder: Path, variables: Mapping[str, str], queue: Queue, *, number: int = 1) -> Process:
    """A worker of one queue; several may run. It is restarted when its heartbeat is overdue."""
    name = "worker" if queue is Queue.MONEY else f"worker-{queue.value}"
    if number > 1:
        name = f"{name}-{number}"
    return _python(
        folder,
        name,
        *(*_CELERY, "worker", "--queues", queue.value, "--hostname", f"{name}@%h"),
        *("--concurrency", str(WORKER_PROCESSES[queue])),
        *("--without-mingle", "--without-gossip", "--without-heartbeat"),
        environment=_without_pool(folder, variables),
        ready_text=" ready.",
        stop_within_seconds=4,
        heartbeats=(HEARTBEATS[queue],),
    )


def relay(folder: Path, variables: Mapping[str, str], *, number: int = 1) -> Process:
    """The relay, which delivers events to merchants' webhook endpoints; several may run."""
    return _python(
        folder,
        f"relay-{number}",
        *(_MANAGE, "relay_events"),
        environment=_without_pool(folder, variables),
        ready_text="relaying events",
        stop_within_seconds=5,
    )


def beat(folder: Path, variables: Mapping[str, str]) -> Process:
    """Celery beat. Its file only says when each task was last due; losing it is harmless."""
    return _python(
        folder,
        "beat",
        *(*_CELERY, "beat", "--schedule", str(folder / "beat-schedule"), "--pidfile="),
        environment=_without_pool(folder, variables),
        ready_text="beat: Starting",
        stop_within_seconds=4,
        heartbeats=tuple(HEARTBEATS.values()),
    )


def publisher(folder: Path, variables: Mapping[str, str]) -> Process:
    """Puts events on the internal stream. Where it died, the next goes on."""
    return _python(
        folder,
        "publisher",
        *(_MANAGE, "publish_events"),
        environment=_without_pool(folder, variables),
        ready_text="publishing events",
        stop_within_seconds=4,
    )


def consumers(folder: Path, variables: Mapping[str, str]) -> Process | None:
    """The example consumers of the internal stream, in one process. Returns None if none is wanted.

    A group without a consumer stops the whole stream once the stream is full.
    """
    groups = example_groups(variables)
    if not groups:
        return None
    return _python(
        folder,
        "consumers",
        *(_MANAGE, "consume_events"),
        *(argument for group in groups for argument in ("--group", group)),
        environment=_without_pool(folder, variables),
        ready_text="consuming events",
        stop_within_seconds=4,
    )


def example_groups(variables: Mapping[str, str]) -> list[str]:
    """The groups of the stream with an example consumer: STREAM_EXAMPLES, by default all."""
    of_stream = variables.get("STREAM_GROUPS") or ",".join(EXAMPLE_GROUPS)
    wanted = variables.get("STREAM_EXAMPLES") or ",".join(EXAMPLE_GROUPS)
    both = {each.strip() for each in of_stream.split(",")}
    both &= {each.strip() for each in wanted.split(",")}
    return [each for each in EXAMPLE_GROUPS if each in both]


def _python(
    folder: Path, name: str, *arguments: str, environment: Mapping[str, str], **settings: Any
) -> Process:
    """A process of this Python, in the project's folder; `settings` are those of Process.

    Its database connections carry its name, so that PostgreSQL shows which process does what.
    """
    return Process(
        name=name,
        command=[sys.executable, *arguments],
        environment={**environment, "PGAPPNAME": name},
        directory=state.PROJECT,
        log_file=folder / "logs" / f"{name}.log",
        relay=True,
        **settings,
    )


def _without_pool(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process with one database connection."""
    return {**_environment(folder, variables), "DATABASE_POOL": "off"}


def _environment(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of the platform's own processes, with their shared folder for metrics."""
    known = {name: value for name, value in variables.items() if name != "DATABASE_OWNER_URL"}
    return {
        **environment_of_the_machine(),
        "PROMETHEUS_MULTIPROC_DIR": str(state.metrics_folder(folder)),
        **{name: os.environ[name] for name in _SECRETS if name in os.environ},
        **known,
    }


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
