"""The system under test: starts its processes as the launcher does, and restarts what ends.

PostgreSQL with fsync on, Redis, the sandbox PSP (never killed), two API servers, workers, beat …
Children are tied to the thread that starts them: everything here runs in the main thread.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from bench.chaos.load.plan import MERCHANTS
from bench.chaos.platform import psp_control
from bench.chaos.platform.process_ends import EndKind, Fault, end_of
from bench.chaos.platform.stops import Stopped, Suspension
from bench.stage import environment_of, run_command, run_python
from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.ports import hold_any_port
from paymentsite.launcher.processes import Process, end_descendants
from paymentsite.launcher.progress import LauncherError, step
from paymentsite.launcher.signals import adopt_orphans
from paymentsite.sweeps import Queue

API_SERVERS = 2
RELAYS = 2
MONEY_WORKERS = ("worker", "worker-2")
"""Two for the queue `money`, as in production."""
_LAST_OUTPUT_BYTES = 200_000
_NEEDED_BY = {"redis": (*MONEY_WORKERS, "worker-routine", "beat")}
_OURS_ALONE = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "POSTGRES_PORT", "REDIS_PORT")


@dataclass(slots=True)
class _Supervised:
    process: Process
    down_until: float = 0.0
    fault_at: dict[Fault, float] = field(default_factory=dict)
    """What the nemesis last did to it, and when."""
    is_killed: bool = False
    """By the nemesis, since it was last started."""
    is_down: bool = False
    log_begins: int = 0
    """Where in its log file the present process begins."""

    def last_output(self) -> str:
        """Returns the end of the log of the present process."""
        self.process.last_lines()  # waits a moment until all of it is written
        with self.process.log_file.open("rb") as log:
            log.seek(self.log_begins)
            return log.read()[-_LAST_OUTPUT_BYTES:].decode("utf-8", "replace")


class Cluster:
    """The running processes by name: `postgres`, `redis`, `api-0`, `worker`, `beat`, `relay-1` …"""

    def __init__(
        self, folder: Path, variables: dict[str, str], *, time_factor: float = 1.0
    ) -> None:
        self.folder = folder
        self._time_factor = time_factor
        self.variables = variables
        self.supervised: dict[str, _Supervised] = {}
        self.api_ports = tuple(hold_any_port() for _ in range(API_SERVERS))
        self.psp = psp_control.PspControl(hold_any_port())
        self.secret_keys: list[str] = []
        self._fetching: list[tuple[subprocess.Popen[bytes], float]] = []
        """Commands that fetch settlement reports, and when they are killed."""
        self.unprovoked_ends: list[str] = []
        self.explained_ends: list[str] = []
        """Processes that ended because of a fault, as their own logs say."""
        self.unexplained_ends: list[str] = []
        """Processes that ended soon after a fault, without a reason in their logs."""
        self.restarts = 0
        self.suspensions: list[Suspension] = []
        self._stopped: list[Stopped] = []

    def supervise(self, process: Process) -> None:
        """Start it unless it runs, and restart it from now on when it ends."""
        if process.pid is None:
            process.start()
        self.supervised[process.name] = _Supervised(process)

    def kill(self, name: str, number: int = signal.SIGKILL, *, down_seconds: float = 0.0) -> None:
        """Send a deadly signal to a process; it comes back after at least `down_seconds`."""
        supervised = self.supervised[name]
        now = time.monotonic()
        supervised.fault_at[Fault.ITSELF], supervised.down_until = now, now + down_seconds
        for other in _NEEDED_BY.get(name, ()):
            self.supervised[other].fault_at[Fault.REDIS] = now
        if supervised.process.pid is not None and self.runs(name):
            os.kill(supervised.process.pid, number)
            supervised.is_killed = True

    def runs(self, name: str) -> bool:
        """Is that process alive?"""
        process = self.supervised[name].process
        return process.pid is not None and process.exit_code() is None

    def children(self, name: str) -> list[psutil.Process]:
        """The living children of a process: web workers, or a Celery worker's pool."""
        pid = self.supervised[name].process.pid
        if pid is None:
            return []
        try:
            found = psutil.Process(pid).children()
            return [each for each in found if each.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def kill_child(self, name: str, child: psutil.Process) -> None:
        """kill -9 one child; its parent makes a new one."""
        self.supervised[name].fault_at[Fault.CHILD] = time.monotonic()
        child.kill()

    def suspend(
        self,
        name: str,
        process: psutil.Process,
        seconds: float,
        *,
        before_continuing: Callable[[], None] | None = None,
    ) -> Suspension:
        """SIGSTOP now, SIGCONT after `seconds` (by `poll`); see `must_continue`."""
        process.suspend()
        now = time.monotonic()
        self.supervised[name].fault_at[Fault.STOPPED] = now + seconds
        suspension = Suspension(name=name, began_at=time.time())
        self.suspensions.append(suspension)
        self._stopped.append(Stopped(process, now + seconds, suspension, before_continuing))
        return suspension

    def is_stopped(self, process: psutil.Process) -> bool:
        """Whether it is stopped now."""
        return any(each.process == process for each in self._stopped)

    def must_continue(self, name: str) -> bool:
        """Whether it, or a child of it, is stopped and must not be killed before it continues."""
        return any(
            each.before_continuing and each.suspension.name == name for each in self._stopped
        )

    def poll(self) -> None:
        """Restart ended processes and continue stopped ones, if due; never waits."""
        now = time.monotonic()
        self._end_fetching(now=now)
        for stopped in [each for each in self._stopped if each.continue_at <= now]:
            self._stopped.remove(stopped)
            if stopped.before_continuing is not None:
                stopped.before_continuing()
            stopped.resume()
        for name, supervised in self.supervised.items():
            if supervised.process.exit_code() is None:
                continue
            if not supervised.is_down:
                supervised.is_down = True
                self._note_end(name, supervised, now)
            if now >= supervised.down_until:
                supervised.process.kill_group()
                supervised.log_begins = supervised.process.log_file.stat().st_size
                supervised.process.launch()
                supervised.is_down = supervised.is_killed = False
                self.restarts += 1

    def _note_end(self, name: str, supervised: _Supervised, now: float) -> None:
        if supervised.is_killed:
            return
        end = end_of(
            name,
            supervised.process.exit_code(),
            last_output=supervised.last_output(),
            seconds_since={fault: now - at for fault, at in supervised.fault_at.items()},
            time_factor=self._time_factor,
        )
        ends = {
            EndKind.EXPLAINED: self.explained_ends,
            EndKind.UNEXPLAINED: self.unexplained_ends,
            EndKind.UNPROVOKED: self.unprovoked_ends,
        }
        ends[end.kind].append(end.text)

    def end_faults(self, *, within_seconds: float = 60.0) -> None:
        """End all faults: continue and start everything, and wait until all of it answers."""
        for stopped in self._stopped:
            stopped.resume()
        self._stopped.clear()
        self._end_fetching(now=math.inf)
        self.psp.end_faults()
        for supervised in self.supervised.values():
            supervised.down_until = 0.0
        deadline = time.monotonic() + within_seconds * self._time_factor
        while True:
            self.poll()
            waiting = [
                name
                for name, supervised in self.supervised.items()
                if not supervised.process.ready()
            ]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise LauncherError(f"not up {within_seconds:.0f} s after the end: {waiting}")
            time.sleep(0.1)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python command beside the servers, as the application's role."""
        environment = environment_of(self.variables)
        environment.pop("DATABASE_OWNER_URL", None)
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=state.PROJECT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )

    def fetch_reports(self, *, for_seconds: float) -> None:
        """Fetch, read and match reports beside the sweeps, in a process that is killed then."""
        command = [sys.executable, *self._manage("settlement_reports", "--fetch")]
        environment = environment_of(self.variables)
        environment.pop("DATABASE_OWNER_URL", None)
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        begun = subprocess.Popen(command, cwd=state.PROJECT, env=environment, **silent)
        self._fetching.append((begun, time.monotonic() + for_seconds))

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py`, with the seeded bug if there is one."""
        return self.python(*self._manage(*arguments))

    def _manage(self, *arguments: str) -> tuple[str, ...]:
        if "CHAOS_BUG" in self.variables:
            return ("-m", "bench.chaos.faults.bugs.entry", *arguments)
        return ("manage.py", *arguments)

    def _end_fetching(self, *, now: float) -> None:
        """Kill what fetches reports for long enough."""
        for begun, until in self._fetching:
            if begun.poll() is None and now >= until:
                begun.kill()
                begun.wait()
        self._fetching = [each for each in self._fetching if each[0].poll() is None]


@contextmanager
def cluster(*, bug: str = "", time_factor: float = 1.0) -> Iterator[Cluster]:
    """Everything, up and seeded; stopped and removed at the end of the block.

    With a bug, all processes of ours run it (bench.chaos.faults.bugs): for the test of this test.
    """
    for name in _OURS_ALONE:
        os.environ.pop(name, None)  # only servers started here are killed
    adopt_orphans()
    with (
        state.fresh_folder("chaos-") as folder,
        services(folder, durable=True) as (variables, servers),
        ExitStack() as stack,
    ):
        running = Cluster(folder, variables, time_factor=time_factor)
        stack.callback(lambda: end_descendants(spared=[s.pid for s in servers if s.pid]))
        for server in servers:
            running.supervise(server)
        _start(running, stack, bug)
        if bug:
            variables["CHAOS_BUG"] = bug
        yield running
        for stopped in running._stopped:
            stopped.resume()


def _start(running: Cluster, stack: ExitStack, bug: str) -> None:
    folder, variables = running.folder, running.variables
    variables |= platform_processes.addresses_and_secrets(
        folder, api_port=running.api_ports[0], psp_port=running.psp.port
    )
    variables["WEBHOOK_LOOPBACK"] = "on"
    with step("make the tables and merchants"):
        run_command(variables, "manage.py", "migrate", "--no-input", "--skip-checks")
        running.secret_keys = run_python(
            variables, "-m", "bench.seed", "routed-merchants", str(MERCHANTS)
        )
    psp = platform_processes.sandbox_psp(folder, port=running.psp.port)
    processes = [_quiet(psp)]
    for number, port in enumerate(running.api_ports):
        api = platform_processes.api(folder, variables, port=port)
        log_file = folder / "logs" / f"api-{number}.log"
        processes.append(_quiet(replace(api, name=f"api-{number}", log_file=log_file)))
    processes += [_quiet(each) for each in platform_processes.workers(folder, variables)]
    processes += [
        _quiet(platform_processes.worker(folder, variables, Queue.MONEY, number=number))
        for number in range(2, len(MONEY_WORKERS) + 1)
    ]
    processes.append(_quiet(platform_processes.beat(folder, variables)))
    processes.append(_quiet(platform_processes.publisher(folder, variables)))
    processes += [
        _quiet(platform_processes.relay(folder, variables, number=number))
        for number in range(1, RELAYS + 1)
    ]
    for process in processes:
        stack.callback(process.kill_group)  # All is read by then: nothing must end in good order.
        if bug:
            _plant(process, bug)
    with step(f"start {len(processes)} processes{f' with the bug {bug}' if bug else ''}"):
        for process in processes:
            process.launch()
        for process in processes:
            process._wait_until_ready()
        for number in (1, 2):
            platform_processes.register_webhook(
                variables, port=running.api_ports[0], account_number=number
            )
        running.psp.charge_fees()
        first = variables["SANDBOX_PSP_API_KEY"]
        running.psp.api_keys = (first, f"{first}_2")
    for process in processes[1:]:
        running.supervise(process)


def _quiet(process: Process) -> Process:
    return replace(process, relay=False)


def _plant(process: Process, bug: str) -> None:
    """Start this process through the module that plants the bug."""
    entries = {
        "paymentsite.wsgi:server": ["bench.chaos.faults.bugs.entry_wsgi:server"],
        "paymentsite": ["bench.chaos.faults.bugs.entry"],
        str(state.PROJECT / "manage.py"): ["-m", "bench.chaos.faults.bugs.entry"],
    }
    process.command = [entry for word in process.command for entry in entries.get(word, [word])]
    process.environment = {**process.environment, "CHAOS_BUG": bug}
