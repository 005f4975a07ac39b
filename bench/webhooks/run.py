"""Runs the bench once: receivers, endpoints, relays; steady events; relays killed meanwhile.

Everything runs against the database and Redis of the given variables. Children are tied to the
thread that starts them: this runs in the main thread.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from bench.stage import environment_of, run_python
from bench.webhooks import event_writer
from bench.webhooks.verdict import Verdict, arrivals_of, judge, judge_rest
from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.ports import hold_any_port
from paymentsite.launcher.processes import Process
from paymentsite.launcher.signals import tied_to_parent

_POLL_SECONDS = 0.25
DEAD_ENDPOINTS = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """How large a run is."""

    deliveries: int = 50_000
    endpoints: int = 20
    """Three of them dead: one refuses, one hangs, one answers 500."""
    relays: int = 4
    kills: int = 8
    deliveries_per_second: float = 150.0
    timeout_seconds: int = 15
    wait_seconds: float = 120.0
    """After the last event, for deliveries that are still missing."""


def run(variables: Mapping[str, str], folder: Path, options: Options) -> dict[str, Any]:
    """Measure once; the figures and the verdict as JSON would hold them."""
    known = {
        **variables,
        "WEBHOOK_LOOPBACK": "on",
        "WEBHOOK_TIMEOUT_SECONDS": str(options.timeout_seconds),
    }
    log = folder / "arrivals.log"
    events = options.deliveries // options.endpoints
    planned = event_writer.plan(
        events=events, events_per_second=options.deliveries_per_second / options.endpoints
    )
    with ExitStack() as stack:
        port = stack.enter_context(receiver(known, log))
        healthy = [f"/ok/{number}" for number in range(options.endpoints - DEAD_ENDPOINTS)]
        urls = [f"http://127.0.0.1:{port}{path}" for path in (*healthy, "/hang/0", "/fail/0")]
        refusing = f"http://127.0.0.1:{hold_any_port()}/refused/0"
        merchant = run_python(known, "-m", "bench.seed", "webhooks", *urls, refusing)
        relays = _relays(known, folder, options, stack)
        nemesis = _Nemesis(relays, options.kills, planned[-1].at_seconds)
        began = time.monotonic()
        event_writer.write_events(
            planned,
            database_url=known["DATABASE_URL"],
            merchant_id=merchant,
            meanwhile=nemesis.kill_due,
        )
        written_seconds = time.monotonic() - began
        payments = dict(Counter(str(due.aggregate) for due in planned))
        verdict = _wait_for_all(log, healthy, payments, nemesis, options)
        whole_seconds = time.monotonic() - began
    with log.open() as lines:
        rest = judge_rest(
            arrivals_of(lines),
            healthy_paths=healthy,
            dead_endpoints=DEAD_ENDPOINTS,
            events_by_payment=payments,
            kept=_kept_for_the_dead(known["DATABASE_URL"], merchant),
        )
    return {
        **asdict(options),
        "events": len(planned),
        "payments": len(payments),
        "killed": nemesis.killed,
        "written_seconds": round(written_seconds, 1),
        "whole_seconds": round(whole_seconds, 1),
        "verdict": asdict(verdict),
        "rest": asdict(rest),
        "holds": verdict.holds and rest.holds,
        "database": _left(known["DATABASE_URL"], merchant),
    }


class _Nemesis:
    """Kills one relay after the other, evenly spread, and starts it again."""

    def __init__(self, relays: list[Process], kills: int, within_seconds: float) -> None:
        self._relays = relays
        self._at = [(number + 1) * within_seconds / (kills + 1) for number in range(kills)]
        self.killed = 0

    def kill_due(self, now: float) -> None:
        """Kill the next relay if its time has come."""
        while self._at and now >= self._at[0]:
            self._at.pop(0)
            relay = self._relays[self.killed % len(self._relays)]
            relay.kill_group()
            relay.launch()
            self.killed += 1


@contextmanager
def receiver(variables: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run the merchant's server in a process of its own; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.webhooks.receiver", str(log)],
        cwd=state.PROJECT,
        env=environment_of(variables),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=tied_to_parent(9),
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the receiver has no output")
        with process.stdout as output:
            yield int(output.readline())
    finally:
        process.kill()
        process.wait()


def _relays(
    variables: Mapping[str, str], folder: Path, options: Options, stack: ExitStack
) -> list[Process]:
    relays = [
        replace(platform_processes.relay(folder, variables, number=number), relay=False)
        for number in range(options.relays)
    ]
    for relay in relays:
        relay.launch()
        # A hanging attempt would keep it alive.
        stack.callback(relay.kill_group)
    deadline = time.monotonic() + 60
    while not all(relay.ready() for relay in relays):
        if time.monotonic() > deadline:
            raise RuntimeError(f"relays are not ready: {relays[0].last_lines()}")
        time.sleep(0.05)
    return relays


def _wait_for_all(
    log: Path, healthy: list[str], payments: dict[str, int], nemesis: _Nemesis, options: Options
) -> Verdict:
    end = time.monotonic() + options.wait_seconds
    while True:
        nemesis.kill_due(float("inf"))
        with log.open() as lines:
            verdict = judge(arrivals_of(lines), healthy_paths=healthy, events_by_payment=payments)
        if not verdict.lost or time.monotonic() > end:
            return verdict
        time.sleep(_POLL_SECONDS)


def _left(database_url: str, merchant_id: str) -> dict[str, int]:
    """Deliveries in the database by status, and the number of attempts."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT status, count(*) FROM payments_delivery WHERE merchant_id = %s GROUP BY 1",
            [merchant_id],
        ).fetchall()
        attempts = connection.execute("SELECT count(*) FROM payments_delivery_attempt").fetchone()
    return {**dict(rows), "attempts": attempts[0] if attempts else 0}


def _kept_for_the_dead(database_url: str, merchant_id: str) -> int:
    """Pending and dead deliveries to endpoints that accept nothing."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM payments_delivery d "
            "JOIN payments_webhook_endpoint e ON e.id = d.endpoint_id "
            "WHERE d.merchant_id = %s AND e.url NOT LIKE %s AND d.status IN ('pending', 'dead')",
            [merchant_id, "%/ok/%"],
        ).fetchone()
    return int(found[0]) if found else 0
