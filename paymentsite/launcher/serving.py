"""Starts every process for `serve` and `demo`, and keeps them running."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.ports import HOST, hold_port, release_port
from paymentsite.launcher.processes import end_descendants
from paymentsite.launcher.progress import LauncherError, say, step
from paymentsite.launcher.signals import adopt_orphans, tied_to_parent
from paymentsite.launcher.supervisor import Supervisor
from paymentsite.launcher.watchdog import Watchdog

DEMO_FILE = state.VAR / "demo.json"
ENVIRONMENT_FILE = state.VAR / "demo.env"
"""Variables for `manage.py` in a shell: the database, Redis and secrets of the processes."""
_POLL_SECONDS = 0.2
_KEPT = ("PUBLIC_BASE_URL", "INTERNAL_ADDRESS")
"""Variables of the launcher that the processes get as they are."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """The running processes and their addresses."""

    supervisor: Supervisor
    variables: dict[str, str]
    facts: dict[str, Any]
    """The content of `var/demo.json`."""


@dataclass(frozen=True, kw_only=True)
class _Ports:
    api: int
    sandbox_psp: int


def serve() -> int:
    """Start everything and keep it running until a signal."""
    with everything() as running:
        show_addresses(running.facts)
        return keep_serving(running.supervisor)


def demo() -> int:
    """Start everything, play one business day through the API, then keep serving.

    With ONCE=1 stop after the day and return its exit code.
    """
    once = os.environ.get("ONCE", "") not in ("", "0")
    with everything() as running:
        show_addresses(running.facts)
        verdict = run_beside(running, ["play_demo_day"])
        if verdict:
            say(f"the day did not end well: play_demo_day ended with code {verdict}")
        if once:
            return verdict
        show_addresses(running.facts)
        return keep_serving(running.supervisor)


@contextmanager
def everything() -> Iterator[Running]:
    """Start all processes and wait until they are ready; stop them in reverse order afterwards."""
    adopt_orphans()
    with (
        state.kept_folder("demo") as folder,
        _held_ports() as ports,  # first: a taken port is refused before anything starts
        services(folder, durable=True) as (variables, servers),
    ):
        supervisor = Supervisor()
        for server in servers:
            supervisor.watch(server)
        try:
            yield _start(folder, variables, supervisor, ports)
        finally:
            say("stopping")
            DEMO_FILE.unlink(missing_ok=True)
            ENVIRONMENT_FILE.unlink(missing_ok=True)
            supervisor.stop()
            end_descendants(spared=[server.pid for server in servers if server.pid])


def keep_serving(supervisor: Supervisor) -> int:
    """Supervise the processes until a signal; that is the normal end, so the exit code is 0."""
    say("serving; stop with Ctrl-C")
    try:
        while True:
            supervisor.look()
            time.sleep(_POLL_SECONDS)
    except SystemExit:
        return 0


def run_beside(running: Running, command: list[str]) -> int:
    """Run a management command and supervise the processes meanwhile; return its exit code."""
    child = subprocess.Popen(
        _manage(command),
        cwd=state.PROJECT,
        env=_environment(running.variables),
        preexec_fn=tied_to_parent(9),
    )
    while child.poll() is None:
        running.supervisor.look()
        time.sleep(_POLL_SECONDS)
    return child.returncode


def show_addresses(facts: Mapping[str, Any]) -> None:
    """Print the addresses, logins and keys."""
    say()
    say(f"  merchant API   {facts['base_url']}/v1/")
    say(f"  documentation  {facts['docs_url']}")
    say(f"  console        {facts['admin_url']}")
    say(f"  sandbox PSP    {facts['sandbox_psp_url']}")
    for login in facts["logins"]:
        say(f"  login          {login['role']}: {login['username']} / {login['password']}")
    for merchant in facts["merchants"]:
        say(f"  secret key     {merchant['name']}: {merchant['secret_key']}")
    say(f"  for scripts    {DEMO_FILE.relative_to(state.PROJECT)}")
    environment = ENVIRONMENT_FILE.relative_to(state.PROJECT)
    say(f"  for commands   (. {environment}; .venv/bin/python manage.py cases)")
    say()


@contextmanager
def _held_ports() -> Iterator[_Ports]:
    """Hold the ports of the API and the sandbox PSP until the end of the block."""
    api = hold_port("API", setting="PORT", usual=8000)
    sandbox_psp = hold_port("sandbox PSP", setting="SANDBOX_PSP_PORT", usual=8010)
    try:
        yield _Ports(api=api, sandbox_psp=sandbox_psp)
    finally:
        release_port(api)
        release_port(sandbox_psp)


def _start(
    folder: Path, variables: dict[str, str], supervisor: Supervisor, ports: _Ports
) -> Running:
    base_url = f"http://{HOST}:{ports.api}"
    variables |= {
        **platform_processes.addresses_and_secrets(
            folder, api_port=ports.api, psp_port=ports.sandbox_psp
        ),
        **{name: os.environ[name] for name in _KEPT if os.environ.get(name)},
        # A developer's server on this machine may be a webhook endpoint.
        "WEBHOOK_LOOPBACK": _loopback(variables),
    }
    with step("bring the tables up to date"):
        _command(variables, "migrate", "--no-input", "--verbosity", "0")
    with step("check the installation"):
        _command(variables, "check_installation", "--verbosity", "0")
    psp = platform_processes.sandbox_psp(folder, port=ports.sandbox_psp)
    supervisor.start(psp, "start the sandbox PSP")
    with step("seed merchants and logins"):
        seeded = _seeded(variables)
    api = platform_processes.api(folder, variables, port=ports.api)
    supervisor.start(api, "start the API")
    internal = platform_processes.internal_api(folder, variables)
    if internal is not None:
        supervisor.start(internal, "start the console on its own address")
    with step("register our webhook at the sandbox PSP"):
        for number in (1, 2):
            platform_processes.register_webhook(variables, port=ports.api, account_number=number)
    for process, what in platform_processes.background(folder, variables):
        supervisor.start(process, f"start {what}")
    facts = {
        "base_url": base_url,
        "admin_url": f"{_internal_url(variables) or base_url}/admin/",
        "docs_url": f"{_internal_url(variables) or base_url}/docs",
        "sandbox_psp_url": variables["SANDBOX_PSP_URL"],
        "database_url": variables["DATABASE_URL"],
        "redis_url": variables["REDIS_URL"],
        **seeded,
    }
    supervisor.use(
        Watchdog(database_url=variables["DATABASE_URL"], redis_url=variables["REDIS_URL"])
    )
    state.write_private(ENVIRONMENT_FILE, exports(variables))
    state.write_private(DEMO_FILE, json.dumps(facts, indent=2) + "\n")
    return Running(supervisor=supervisor, variables=variables, facts=facts)


def exports(variables: Mapping[str, str]) -> str:
    """The variables as lines for a shell, without the owner's login.

    Commands in that shell therefore run as the application does.
    """
    known = {name: value for name, value in variables.items() if name != "DATABASE_OWNER_URL"}
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in known.items())


def _internal_url(variables: Mapping[str, str]) -> str:
    address = variables.get("INTERNAL_ADDRESS")
    return f"http://{address}" if address else ""


def _loopback(variables: Mapping[str, str]) -> str:
    in_development = variables.get("PAYMENTS_ENVIRONMENT") == "development"
    return os.environ.get("WEBHOOK_LOOPBACK") or ("on" if in_development else "off")


def _seeded(variables: Mapping[str, str]) -> dict[str, Any]:
    """Run `seed_demo`; return its merchants and logins, with their secrets."""
    facts = json.loads(_command(variables, "seed_demo"))
    return {"merchants": facts["merchants"], "logins": facts["logins"]}


def _command(variables: Mapping[str, str], *command: str) -> str:
    """The output of a management command. Raises LauncherError with its last lines if it fails."""
    done = subprocess.run(
        _manage(list(command)),
        cwd=state.PROJECT,
        env=_environment(variables),
        capture_output=True,
        text=True,
        preexec_fn=tied_to_parent(9),
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).splitlines()[-20:]
        last = "\n".join(f"      {line}" for line in lines)
        raise LauncherError(f"`manage.py {command[0]}` failed; its last lines:\n{last}")
    return done.stdout


def _manage(command: list[str]) -> list[str]:
    return [sys.executable, str(state.PROJECT / "manage.py"), *command]


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**platform_processes.environment_of_the_machine(), **variables}
