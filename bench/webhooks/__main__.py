"""`python -m bench.webhooks`: the relay under load, against servers of its own.

Exit code 0: nothing lost, nothing out of order, lag p95 below 2 s at the endpoints that answer; at
the others everything is kept, and only the first event of each payment was attempted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from bench.stage import run_command
from bench.webhooks.run import Options, run
from paymentsite.launcher import state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.processes import end_descendants
from paymentsite.launcher.progress import LauncherError, say, step
from paymentsite.launcher.signals import adopt_orphans


def main() -> int:
    """Measure once."""
    options, target = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    adopt_orphans()
    try:
        with (
            state.fresh_folder("bench-") as folder,
            services(folder, durable=True) as (variables, servers),
            ExitStack() as stack,
        ):
            stack.callback(end_descendants, spared=[each.pid for each in servers if each.pid])
            with step("make the tables"):
                run_command(variables, "manage.py", "migrate", "--no-input", "--verbosity", "0")
            with step(f"deliver {options.deliveries} times"):
                figures = run(variables, folder, options)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        say(f"  {name}: {value}")
    return 0 if figures["holds"] else 1


def _options() -> tuple[Options, Path]:
    parser = argparse.ArgumentParser(prog="python -m bench.webhooks", description=__doc__)
    for each in fields(Options):
        parser.add_argument(
            f"--{each.name.replace('_', '-')}", type=type(each.default), default=each.default
        )
    parser.add_argument("--json", type=Path, default=state.VAR / "bench-webhooks.json")
    given = vars(parser.parse_args())
    target = given.pop("json")
    return Options(**given), target


if __name__ == "__main__":
    sys.exit(main())
