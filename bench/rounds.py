"""Measured windows: load on one side at a time, processor time of everything meanwhile.

What may not live here: starting servers, judging.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.figures import Window, window_of, without_wait
from bench.load import Specification, new_run
from bench.processor_time import Meter
from bench.stage import Side, Stage
from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.ports import HOST
from paymentsite.launcher.progress import LauncherError

PATH = "/v1/payment_intents"
OPEN_LOOP_CONNECTIONS = 96
_OPEN_LOOP_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One window on one side."""

    window: Window
    latencies_ms: list[float]
    processor_seconds: dict[str, float]


def alternating(
    stage: Stage,
    *,
    rounds: int,
    seconds: float,
    clients: int,
    say: Callable[[str], None],
) -> tuple[list[Measured], list[Measured]]:
    """Alternate platform and reference, each first every other time, after a warm-up of both."""
    sides = (stage.platform, stage.reference)
    for side in sides:
        run_window(stage, side, seconds=min(seconds, 4), connections=clients)
    measured: dict[str, list[Measured]] = {side.name: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else sides[::-1]:
            one = run_window(stage, side, seconds=seconds, connections=clients)
            measured[side.name].append(one)
            say(f"     round {number + 1}  {side.name:<9} {one.window.per_second:6.0f} payments/s")
    return measured[stage.platform.name], measured[stage.reference.name]


def at_rate(
    stage: Stage, *, rate: float, seconds: float, psp_ms: float, psp_p99_ms: float
) -> tuple[Measured, Measured]:
    """Payments that arrive at `rate` on each side, alternating, with a PSP of the given latency.

    The windows of a side are pooled: a percentile of all of its payments.
    """
    sides = (stage.platform, stage.reference)
    measured: dict[str, list[Measured]] = {side.name: [] for side in sides}
    stage.set_psp_latency(median_ms=psp_ms, p99_ms=psp_p99_ms)
    try:
        for number in range(_OPEN_LOOP_ROUNDS):
            for side in sides if number % 2 == 0 else sides[::-1]:
                one = run_window(
                    stage, side, seconds=seconds, connections=OPEN_LOOP_CONNECTIONS, rate=rate
                )
                measured[side.name].append(one)
    finally:
        stage.set_psp_latency(median_ms=0, p99_ms=0)
    ours, theirs = (_pooled(measured[side.name], seconds) for side in sides)
    return ours, theirs


def _pooled(windows: Sequence[Measured], seconds: float) -> Measured:
    latencies_ms = [latency for each in windows for latency in each.latencies_ms]
    return Measured(
        window=window_of(latencies_ms, seconds * len(windows)),
        latencies_ms=latencies_ms,
        processor_seconds=processor_seconds_of(windows),
    )


def overhead_of(measured: Measured, *, psp_ms: float) -> Window:
    """The window without the PSP's constant time."""
    seconds = len(measured.latencies_ms) / measured.window.per_second
    return window_of(without_wait(measured.latencies_ms, wait_ms=psp_ms), seconds)


def processor_seconds_of(windows: Sequence[Measured]) -> dict[str, float]:
    """The sum over windows, by process."""
    return {
        name: sum(each.processor_seconds[name] for each in windows)
        for name in windows[0].processor_seconds
    }


def run_window(
    stage: Stage, side: Side, *, seconds: float, connections: int, rate: float = 0.0
) -> Measured:
    """One window on one side: as fast as the clients can, or payments that arrive at `rate`."""
    specification = Specification(
        host=HOST,
        port=side.port,
        path=PATH,
        secret_key=side.secret_key,
        run=new_run(),
        connections=connections,
        seconds=seconds,
        rate=rate,
    )
    meter = Meter(stage.roots(side))
    answer = generate(specification)
    used = meter.used()
    used["load generator"] = answer["processor_seconds"]
    used["elsewhere"] = max(0.0, used["elsewhere"] - answer["processor_seconds"])
    if set(answer["statuses"]) != {"200"}:
        raise LauncherError(
            f"{side.name} answered {answer['statuses']}: nothing but 200 is valid\n"
            f"{answer['refusal'][:2000]}"
        )
    time.sleep(0.3)  # what is left to do in the background does not count for the other side
    return Measured(
        window=window_of(answer["latencies_ms"], answer["seconds"]),
        latencies_ms=answer["latencies_ms"],
        processor_seconds=used,
    )


def generate(specification: Specification) -> dict[str, Any]:
    """Run the load generator; what it saw."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load", json.dumps(asdict(specification))],
        cwd=state.PROJECT,
        env=platform_processes.environment_of_the_machine(),
        capture_output=True,
        text=True,
        timeout=specification.seconds + 120,
    )
    if done.returncode:
        raise LauncherError(f"the load generator failed:\n{done.stderr[-2000:]}")
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen
