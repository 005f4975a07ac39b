"""`python -m bench.chaos`: one run. Exit 0 pass, 1 fail (with timelines), 3 unknown."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
from pathlib import Path

from bench.chaos.faults.bugs import BUGS
from bench.chaos.run import run_chaos
from bench.chaos.verdict.report import EXIT_CODES, FAIL, lines_of, violation_lines
from paymentsite.launcher import state
from paymentsite.launcher.progress import LauncherError, say


def main() -> int:
    """Run once and say what was found."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    try:
        run, truth, judged = run_chaos(
            seed=options.seed,
            payments=options.payments,
            kills=options.kills,
            clients=options.clients,
            folder=options.folder,
            bug=options.bug,
            time_factor=options.time_factor,
        )
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CODES["unknown"]
    say()
    if judged.verdict == FAIL:
        for line in violation_lines(truth, judged):
            say(line)
        say()
    for line in lines_of(run, judged):
        say(line)
    say(f"  history in {options.folder}/{options.seed}*.jsonl; again: SEED={options.seed}")
    return EXIT_CODES[judged.verdict]


def _options() -> argparse.Namespace:
    """From the command line, else from PAYMENTS, KILLS, SEED and CLIENTS, else the small tier."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)

    def number(name: str, default: int, text: str) -> None:
        given = os.environ.get(name.upper(), "").strip()
        parser.add_argument(f"--{name}", type=int, default=int(given or default), help=text)

    number("payments", 500, "to begin")
    number("kills", 40, "kill -9 of a process; other faults come in proportion")
    number("seed", secrets.randbelow(2**31), "draws the plan; the same seed, the same plan")
    number("clients", 16, "threads that send requests")
    parser.add_argument("--folder", type=Path, default=state.VAR / "chaos")
    parser.add_argument("--bug", default="", choices=["", *BUGS], help="plant it, to be found")
    parser.add_argument(
        "--time-factor",
        type=float,
        default=1.0,
        help="multiplies the usual time to converge: above 1 for a busy machine",
    )
    options = parser.parse_args()
    if options.payments < 1 or options.kills < 1 or options.clients < 1:
        parser.error("--payments, --kills and --clients are above zero")
    if options.time_factor < 1:
        parser.error("--time-factor is at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
