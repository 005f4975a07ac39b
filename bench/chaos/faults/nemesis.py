"""Carries out the plan's faults at their times. Runs in the main thread (see cluster)."""

from __future__ import annotations

import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime

import psutil
import psycopg

from bench.chaos.faults import psp_dashboard
from bench.chaos.load.history import History
from bench.chaos.load.plan import Act, Plan
from bench.chaos.platform.cluster import API_SERVERS, MONEY_WORKERS, Cluster
from bench.chaos.platform.stops import Suspension, calls_in_flight
from bench.chaos.verdict.final_state import open_leases
from paymentsite.launcher import redis_server
from paymentsite.launcher.ports import HOST

_POLL_SECONDS = 0.05
_API = tuple(f"api-{number}" for number in range(API_SERVERS))
_KILLABLE = (*MONEY_WORKERS, *_API, "beat", "worker-routine")
# What a plan means by these: one of several, and whether a child of it.
_ONE_OF = {
    "api server": (_API, False),
    "api worker": (_API, True),
    "worker": (MONEY_WORKERS, False),
    "worker child": (MONEY_WORKERS, True),
}
_CATCH_WITHIN_SECONDS = 15.0
MOVEMENTS = {
    "fee": ("fee", -199),
    "reserve": ("risk_reserved_funds", -5_003),
    "release": ("risk_reserved_funds", 1_001),
}
"""Target of an act to the type and the gross, in minor units, of what a PSP's account is told."""


class Nemesis:
    """One run of a plan's acts."""

    def __init__(self, cluster: Cluster, history: History) -> None:
        self._cluster = cluster
        self._history = history
        self.done: Counter[str] = Counter()
        self.missed: list[str] = []
        self.outages: list[tuple[float, float]] = []
        """When the PSP was down completely, in Unix seconds."""

    def run(self, plan: Plan, *, progress: Callable[[float], None]) -> None:
        """Do every act at its time; returns when the main phase is over.

        The time stands still while an act is made: one that waits for its moment must not make
        those after it happen all at once.
        """
        begun = time.monotonic()
        waiting = list(plan.acts)
        while (elapsed := time.monotonic() - begun) < plan.main_seconds or waiting:
            while waiting and waiting[0].at_seconds <= elapsed:
                before = time.monotonic()
                self._do(waiting.pop(0))
                begun += time.monotonic() - before
            self._cluster.poll()
            progress(elapsed)
            time.sleep(_POLL_SECONDS)

    def _do(self, act: Act) -> None:
        acts = {
            "kill": self._kill,
            "stop": self._stop,
            "long stop": self._suspend_in_call,
            "postgres": self._postgres,
            "redis": self._redis,
            "psp": self._psp,
            "bank": self._bank,
            "dashboard": self._dashboard,
            "settlement": self._settlement,
        }
        name = f"{act.kind} {act.target}"
        try:
            happened = acts[act.kind](act)
        except psutil.NoSuchProcess:
            happened = False  # it ended meanwhile
        if happened:
            self.done[name] += 1
        else:
            self.missed.append(name)
        self._history.note(name, seconds=round(act.seconds, 2), happened=happened)

    def _kill(self, act: Act) -> bool:
        name, child = self._target(act)
        if child is not None and not self._cluster.must_continue(name):
            self._cluster.kill_child(name, child)
            return True
        # If it is down, or stopped and must continue, another process is killed instead.
        start = act.choice % len(_KILLABLE)
        running = [
            each
            for each in (name, *_KILLABLE[start:], *_KILLABLE[:start])
            if self._cluster.runs(each) and not self._cluster.must_continue(each)
        ]
        if not running:
            return False
        self._cluster.kill(running[0], down_seconds=act.seconds)
        return True

    def _stop(self, act: Act) -> bool:
        name, child = self._target(act, running_only=True)
        pid = self._cluster.supervised[name].process.pid
        process = child or (psutil.Process(pid) if pid else None)
        if process is None or self._cluster.is_stopped(process):
            return False
        self._cluster.suspend(name, process, act.seconds)
        return True

    def _suspend_in_call(self, act: Act) -> bool:
        """Catch a child in the middle of a call to the PSP, and stop it for longer than a lease."""
        end = time.monotonic() + _CATCH_WITHIN_SECONDS
        while time.monotonic() < end:
            for name, child in self._candidates(act):
                if self._catch(name, child, act.seconds):
                    return True
            self._cluster.poll()
            time.sleep(_POLL_SECONDS)
        return False

    def _catch(self, name: str, child: psutil.Process, seconds: float) -> bool:
        """Stop it, and leave it stopped if it has a call in flight."""
        try:
            child.suspend()
            caught = self._open_calls(child)
            if not caught:
                child.resume()
                return False
        except psutil.NoSuchProcess:
            return False
        suspension = self._cluster.suspend(
            name, child, seconds, before_continuing=lambda: self._compare_leases(suspension, caught)
        )
        suspension.references = list(caught)
        return True

    def _compare_leases(self, suspension: Suspension, before: Mapping[str, datetime]) -> None:
        """Record whether another process took over an operation of the stopped one."""
        try:
            now = open_leases(self._cluster.variables["DATABASE_URL"])
        except psycopg.Error:  # it restarts just now
            return
        suspension.taken_over = any(now.get(each) != lease for each, lease in before.items())

    def _candidates(self, act: Act) -> list[tuple[str, psutil.Process]]:
        """The processes that may be stopped now, beginning with the target of the act."""
        several, _ = _ONE_OF[act.target]
        found = [
            (name, child)
            for name in several
            if not self._cluster.must_continue(name)
            for child in self._cluster.children(name)
            if not self._cluster.is_stopped(child)
        ]
        start = act.choice % len(found) if found else 0
        return found[start:] + found[:start]

    def _open_calls(self, stopped: psutil.Process) -> dict[str, datetime]:
        """The open operations for which a stopped process waits for the PSP, and their leases."""
        asked = calls_in_flight(stopped, self._cluster.psp)
        if not asked:
            return {}
        try:
            leases = open_leases(self._cluster.variables["DATABASE_URL"])
        except psycopg.Error:  # it restarts just now
            return {}
        return {each: leases[each] for each in asked if each in leases}

    def _target(self, act: Act, *, running_only: bool = False) -> tuple[str, psutil.Process | None]:
        """The process that the act means, and a child of it if it means one."""
        if act.target not in _ONE_OF:
            return act.target, None
        several, means_child = _ONE_OF[act.target]
        start = act.choice % len(several)
        names = [*several[start:], *several[:start]]
        names.sort(key=self._cluster.must_continue)  # stopped ones must continue
        if not means_child:
            return names[0], None
        for name in names:
            children = self._cluster.children(name)
            if running_only:
                children = [each for each in children if not self._cluster.is_stopped(each)]
            if children:
                return name, children[act.choice % len(children)]
        return names[0], None

    def _postgres(self, act: Act) -> bool:
        """`fast` ends sessions and writes everything; `immediate` is a crash with recovery."""
        how = signal.SIGQUIT if act.target == "immediate" else signal.SIGINT
        if not self._cluster.runs("postgres"):
            return False
        self._cluster.kill("postgres", how, down_seconds=act.seconds)
        return True

    def _redis(self, act: Act) -> bool:
        if act.target == "kill":
            self._cluster.kill("redis", down_seconds=act.seconds)
            return True
        port = redis_server.port_of(self._cluster.supervised["redis"].process)
        try:
            with socket.create_connection((HOST, port), timeout=1) as connection:
                connection.sendall(b"FLUSHALL\r\n")
                return connection.recv(5) == b"+OK\r\n"
        except OSError:
            return False

    def _bank(self, act: Act) -> bool:
        """Charge back what was captured and is not disputed yet, or decide what is."""
        psp = self._cluster.psp
        if act.target == "dispute":
            return psp_dashboard.charge_back(psp, act.choice)
        waiting = [each["id"] for each in psp.disputes() if each["status"] == "needs_response"]
        if waiting:
            psp.decide(waiting[act.choice % len(waiting)], act.target)
        return True  # With nothing to decide nothing was missed.

    def _dashboard(self, act: Act) -> bool:
        return psp_dashboard.act_at_the_psp(self._cluster.psp, act.target, act.choice)

    def _settlement(self, act: Act) -> bool:
        """Close the PSP's reports and fetch them for some seconds, or move money of an account."""
        psp = self._cluster.psp
        if act.target == "report":
            psp.close_settlement()
            self._cluster.fetch_reports(for_seconds=act.seconds)
        elif act.target == "payout":
            psp.pay_out()
        else:
            type_, gross_minor = MOVEMENTS[act.target]
            psp.move_money(act.choice, type_=type_, gross_minor=gross_minor)
        return True

    def _psp(self, act: Act) -> bool:
        self._cluster.psp.behave(act.behavior)
        now = time.time()
        if self.outages and self.outages[-1][1] == float("inf"):
            self.outages[-1] = (self.outages[-1][0], now)  # what comes now replaces it
        if act.target != "usual":
            self.outages.append((now, float("inf")))
        return True
