"""`python -m bench`: start everything, measure, print the table, write the JSON file.

Exit code 0 when the run is valid, 2 when it is void; a figure that is missed is shown, and judged
by people.
"""

from __future__ import annotations

import argparse
import json
import os
import platform as machine
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import report, rounds, trouble
from bench.all_running import ramp
from bench.all_running import report as all_running_report
from bench.figures import median_window, paired_ratio, shares
from bench.rounds import Measured
from bench.stage import Stage, run_python, stage
from paymentsite.launcher import state
from paymentsite.launcher.progress import LauncherError, say, step

PSP_MS = 80.0
PSP_P99_MS = 240.0
COUNTED_PAYMENTS = 120
VOID = 2


def main() -> int:
    """Measure once."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        with stage() as running:
            figures = _measure(running, options)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    void = [] if options.all_running else report.void_because(figures)
    verdicts = [] if options.all_running else report.verdicts_of(figures)
    verdicts += all_running_report.verdicts_of(figures["all_running"])
    figures["void"] = void
    figures["verdicts"] = [verdict.as_json() for verdict in verdicts]
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    say()
    if not options.all_running:
        for line in report.lines_of(figures):
            say(line)
        say()
    for line in all_running_report.lines_of(figures["all_running"]):
        say(line)
    say()
    for line in report.verdict_lines(verdicts, void):
        say(line)
    say()
    say(f"  figures in {options.json}")
    return VOID if void else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6, help="of one window")
    parser.add_argument("--rounds", type=int, default=5, help="alternating windows per side")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", type=Path, default=state.VAR / "bench.json")
    parser.add_argument(
        "--all-running", action="store_true", help="only the rows with every process running"
    )
    parser.add_argument(
        "--rates", type=_numbers, default=[], help="of these rows; by default 20,40,60 and so on"
    )
    parser.add_argument("--step-seconds", type=float, default=10, help="of one of these rates")
    options = parser.parse_args()
    if min(options.seconds, options.step_seconds) <= 0 or min(options.rounds, options.clients) < 1:
        parser.error("--seconds, --step-seconds, --rounds and --clients are above zero")
    return options


def _numbers(text: str) -> list[float]:
    """`20,40` as numbers in ascending order."""
    found = sorted(float(each) for each in text.split(","))
    if found[0] <= 0:
        raise ValueError("a rate is above zero")
    return found


def _measure(running: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Everything, or with --all-running the rows of that only."""
    figures = {} if options.all_running else _alone(running, options)
    with step("measure with every process running"):
        figures["all_running"] = ramp.measure(
            running, ramp.Options(rates=options.rates, seconds=options.step_seconds), say
        )
    return figures


def _alone(running: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """The API and the books, without the processes that run beside them."""
    with step("count statements and commits"):
        database = run_python(
            running.variables,
            *("-m", "bench.counting", running.platform.secret_key, str(COUNTED_PAYMENTS)),
        )
    with step("measure the rate"):
        platform, reference = rounds.alternating(
            running,
            rounds=options.rounds,
            seconds=options.seconds,
            clients=options.clients,
            say=say,
        )
    ours, theirs = _side(platform), _side(reference)
    rate = {
        "platform": ours,
        "reference": theirs,
        "ratio": paired_ratio(_rates(platform), _rates(reference)),
        "processor_ratio": _microseconds(theirs) / _microseconds(ours),
    }
    half = theirs["window"]["per_second"] / 2
    with step(f"measure with a PSP of {PSP_MS:g} ms, {half:.0f} payments/s arriving"):
        overhead = _overhead(running, rate=half, seconds=options.seconds)
    with step("let the PSP hang under 200 checkouts"):
        hanging = trouble.hanging(running)
    with step("let the PSP fail until its circuit opens"):
        breaker = trouble.open_breaker(running)
    with step("measure the books"):
        books = run_python(running.variables, "-m", "bench.books", "3", "3")
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": machine.processor() or machine.machine(),
            "python": machine.python_version(),
            "postgresql": running.database_facts,
        },
        "clients": options.clients,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "rate": rate,
        "overhead": overhead,
        "hanging": hanging,
        "open_breaker": breaker,
        "database": database,
        "ledger": books,
    }


def _overhead(running: Stage, *, rate: float, seconds: float) -> dict[str, Any]:
    """With a constant PSP time, what is left is ours; with a spread one, what a customer waits."""
    constant = rounds.at_rate(running, rate=rate, seconds=seconds, psp_ms=PSP_MS, psp_p99_ms=PSP_MS)
    spread, spread_reference = rounds.at_rate(
        running, rate=rate, seconds=seconds, psp_ms=PSP_MS, psp_p99_ms=PSP_P99_MS
    )
    ours, theirs = (rounds.overhead_of(each, psp_ms=PSP_MS) for each in constant)
    return {
        "psp_ms": PSP_MS,
        "psp_p99_ms": PSP_P99_MS,
        "rate": rate,
        "platform": {"overhead": asdict(ours), "total": asdict(spread.window)},
        "reference": {"overhead": asdict(theirs), "total": asdict(spread_reference.window)},
        "p95_ratio": ours.p95_ms / theirs.p95_ms,
        "total_p95_ms": spread.window.p95_ms,
    }


def _side(measured: Sequence[Measured]) -> dict[str, Any]:
    used = rounds.processor_seconds_of(measured)
    elsewhere = used.pop("elsewhere")
    payments = sum(len(each.latencies_ms) for each in measured)
    return {
        "window": asdict(median_window([each.window for each in measured])),
        "windows": [asdict(each.window) for each in measured],
        "processor_shares": shares(used),
        "microseconds_per_payment": {
            name: seconds / payments * 1e6 for name, seconds in used.items()
        },
        "processor_seconds_elsewhere": elsewhere,
    }


def _microseconds(side: dict[str, Any]) -> float:
    """Processor time of a payment, but for the load generator's."""
    used: dict[str, float] = side["microseconds_per_payment"]
    return sum(value for name, value in used.items() if name != "load generator")


def _rates(measured: Sequence[Measured]) -> list[float]:
    return [each.window.per_second for each in measured]


if __name__ == "__main__":
    sys.exit(main())
