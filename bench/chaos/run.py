"""Plays one run: warm-up, main phase, end of faults, convergence, final reads, verdict."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.chaos.faults.bugs import PSP_BEHAVIOR
from bench.chaos.faults.nemesis import Nemesis
from bench.chaos.load.clients import Clients
from bench.chaos.load.history import History
from bench.chaos.load.http_client import HttpClient
from bench.chaos.load.plan import Plan, plan_of, with_psp_behavior
from bench.chaos.load.webhook_receiver import WebhookReceiver, subscribe
from bench.chaos.platform.cluster import Cluster, cluster
from bench.chaos.platform.settlement import settle
from bench.chaos.verdict.final_state import (
    FinalState,
    UnknownWatch,
    open_operations,
    read_everything,
    waiting_deliveries,
    waiting_notifications,
    webhook_endpoints,
)
from bench.chaos.verdict.invariants import violations_of
from bench.chaos.verdict.report import Judgment, Run, judge, write_json, write_timelines
from paymentsite.launcher.progress import LauncherError, say

CONVERGE_WITHIN_SECONDS = 60.0
_CLIENTS_FINISH_WITHIN_SECONDS = 180.0
_CLIENTS_FINISH_SHARE = 1.0
"""Of the main phase: on a small machine restarts take the processor time of payments."""
_WARM_UP_SECONDS = 2.0
_SAY_EVERY_SECONDS = 20.0


def run_chaos(
    *,
    seed: int,
    payments: int,
    kills: int,
    clients: int,
    folder: Path,
    bug: str = "",
    time_factor: float = 1.0,
) -> tuple[Run, FinalState, Judgment]:
    """Start everything, let it happen, judge it; writes `<seed>.jsonl`, `<seed>.json` …

    `time_factor` multiplies the time to converge. Above 1 the verdict does not judge speed, so
    that a busy machine does not change it.
    """
    plan = plan_of(seed=seed, payments=payments, kills=kills)
    plan = with_psp_behavior(plan, PSP_BEHAVIOR.get(bug, {}))
    name = f"{seed}-{bug}" if bug else str(seed)
    run = Run(
        seed=seed,
        fingerprint=plan.fingerprint(),
        payments=payments,
        kills=kills,
        clients=clients,
        bug=bug,
        time_factor=time_factor,
    )
    history = History(folder / f"{name}.jsonl")
    try:
        with _timed(run, "start"):
            context = cluster(bug=bug, time_factor=time_factor)
            running = context.__enter__()
        try:
            truth = _play(running, plan, run, history)
        finally:
            _keep_logs(running, folder / f"{name}-logs")
            with _timed(run, "stop"):
                context.__exit__(None, None, None)
    finally:
        history.close()
    judged = judge(run, truth, violations_of(truth))
    write_json(folder / f"{name}.json", run, truth, judged)
    write_timelines(folder / f"{name}-timelines.txt", truth, judged)
    return run, truth, judged


def _play(running: Cluster, plan: Plan, run: Run, history: History) -> FinalState:
    receiver = WebhookReceiver(plan.seed)
    with receiver.listening():
        secrets = _subscribe(running, receiver)
        truth = _play_before(receiver, running, plan, run, history)
    truth.received, truth.webhook_secrets = receiver.received, secrets
    return truth


def _subscribe(running: Cluster, receiver: WebhookReceiver) -> dict[int, str]:
    """Subscribe every merchant to all events; returns the signing secrets by merchant."""
    client = HttpClient(running.api_ports)
    try:
        return {
            merchant: subscribe(client, secret_key=secret_key, url=receiver.url(merchant))
            for merchant, secret_key in enumerate(running.secret_keys)
        }
    finally:
        client.close()


def _play_before(
    receiver: WebhookReceiver, running: Cluster, plan: Plan, run: Run, history: History
) -> FinalState:
    watch = UnknownWatch(running.variables["DATABASE_URL"])
    watch.start()
    merchants = Clients(
        plan,
        count=run.clients,
        ports=running.api_ports,
        secret_keys=running.secret_keys,
        history=history,
    )
    nemesis = Nemesis(running, history)
    merchants.start()
    with _timed(run, "warm-up"):
        time.sleep(_WARM_UP_SECONDS)
    with _timed(run, "main"):
        nemesis.run(plan, progress=_Progress(plan, merchants, nemesis))
    with _timed(run, "faults end"):
        running.end_faults()
        receiver.end_faults()
    run.faults_ended_at = time.time()
    with _timed(run, "clients"):
        allowed = max(_CLIENTS_FINISH_WITHIN_SECONDS, _CLIENTS_FINISH_SHARE * plan.main_seconds)
        finished = _finish(running, merchants, allowed * run.time_factor)
    if not finished:
        run.not_shown.append("the clients did not finish")
    run.not_shown += merchants.failures
    _resend_what_failed(running)
    with _timed(run, "convergence"):
        still_open = _converge(running, run.time_factor)
    watch.stop()
    with _timed(run, "settlement"):
        settle(running, time_factor=run.time_factor)
    run.acts_done, run.acts_missed = dict(nemesis.done), nemesis.missed
    run.outages, run.unknown_since, run.restarts = nemesis.outages, watch.since, running.restarts
    run.explained_ends, run.unexplained_ends = running.explained_ends, running.unexplained_ends
    run.suspensions = running.suspensions
    if merchants.taken < len(plan.payments):
        run.not_shown.append(f"{merchants.taken} of {len(plan.payments)} payments were begun")
    with _timed(run, "reads"):
        truth = read_everything(running, history.records)
    truth.still_open = still_open
    return truth


def _resend_what_failed(running: Cluster) -> None:
    """Resend failed deliveries, as an on-call engineer does once endpoints work again."""
    endpoints = webhook_endpoints(running.variables["DATABASE_URL"])
    done = running.python("manage.py", "webhooks", "resend-failed", *endpoints)
    if done.returncode:
        raise LauncherError(f"webhooks resend-failed failed: {done.stderr[-500:]}")


def _finish(running: Cluster, merchants: Clients, within_seconds: float) -> bool:
    """Let the clients finish, and restart processes that still end."""
    end = time.monotonic() + within_seconds
    while time.monotonic() < end:
        running.poll()
        if merchants.are_done():
            break
        time.sleep(0.1)
    return merchants.finish(within_seconds=0.0)


def _converge(running: Cluster, time_factor: float) -> list[str]:
    """Poll until no operation is open or the time is over; returns those still open."""
    end = time.monotonic() + CONVERGE_WITHIN_SECONDS * time_factor
    while True:
        running.poll()
        url = running.variables["DATABASE_URL"]
        left = open_operations(url)
        is_done = not left and not waiting_notifications(url) and not waiting_deliveries(url)
        if is_done or time.monotonic() > end:
            return left
        time.sleep(0.5)


def _keep_logs(running: Cluster, folder: Path) -> None:
    """Copy the logs of the processes out of their folder."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(running.folder / "logs", folder)


class _Progress:
    """Prints a line every 20 seconds."""

    def __init__(self, plan: Plan, merchants: Clients, nemesis: Nemesis) -> None:
        self._plan, self._merchants, self._nemesis = plan, merchants, nemesis
        self._next = _SAY_EVERY_SECONDS

    def __call__(self, elapsed: float) -> None:
        if elapsed < self._next:
            return
        self._next += _SAY_EVERY_SECONDS
        faults = sum(self._nemesis.done.values())
        say(
            f"     {elapsed:.0f} of {self._plan.main_seconds:.0f} s: "
            f"{self._merchants.taken} payments begun, {faults} faults"
        )


@contextmanager
def _timed(run: Run, phase: str) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        run.phases[phase] = round(time.monotonic() - begun, 1)
