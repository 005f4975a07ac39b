"""`python -m bench.reconciliation`: one large report over a history as large, in its own servers.

Exit code 0: every seeded defect was found, none was made up, and the books agree with the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.growth.__main__ import grow
from bench.growth.copies import Wanted
from bench.stage import run_command, run_python
from paymentsite.launcher import platform_processes, postgres, state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.ports import hold_any_port
from paymentsite.launcher.processes import end_descendants
from paymentsite.launcher.progress import LauncherError, say, step
from paymentsite.launcher.signals import adopt_orphans


def main() -> int:
    """Measure once."""
    options = _options()
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
            owner_url = postgres.url(folder, postgres.SUPERUSER, postgres.port_of(servers[0]))
            figures = _measure(options, folder, dict(variables), owner_url, stack)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    for line in lines_of(figures):
        say(line)
    return 0 if figures["holds"] else 1


def _measure(
    options: argparse.Namespace,
    folder: Path,
    variables: dict[str, str],
    owner_url: str,
    stack: ExitStack,
) -> dict[str, Any]:
    port = hold_any_port()
    mine = variables | platform_processes.addresses_and_secrets(
        folder, api_port=hold_any_port(), psp_port=port
    )
    mine |= {"SECRET_KEY": state.secret(folder, "django"), "PAYMENTS_ENVIRONMENT": "development"}
    mine |= {"LOG_LEVEL": "CRITICAL", "WEBHOOK_LOOPBACK": "on"}
    with step("make the tables"):
        run_command(mine, "manage.py", "migrate", "--no-input", "--verbosity", "0")
    psp = platform_processes.sandbox_psp(folder, port=port)
    stack.callback(psp.stop)
    with step("start the sandbox PSP"):
        psp.start()
    run_command(mine, "-m", "bench.reconciliation.measured", "account")
    # More payments than lines: some move no money.
    wanted = Wanted(payments=int(options.lines * 1.5) + 200, months=1, seed=options.seed)
    grow({**mine, "DATABASE_OWNER_URL": owner_url}, wanted)
    load = os.getloadavg()[0]
    with step(f"reconcile {options.lines:,} lines"):
        figures: dict[str, Any] = run_python(
            mine,
            *("-m", "bench.reconciliation.measured"),
            *map(str, (options.lines, options.seed, options.workers)),
        )
    return {**figures, "load_before": load, "load_after": os.getloadavg()[0]}


def lines_of(figures: Mapping[str, Any]) -> list[str]:
    """The tables for people."""
    count = figures["lines"]
    stages = figures["stages"]
    lines = [
        f"  {'stage':<20}{'s':>8}{'lines/s':>10}   processor s: {'Python':>8}{'PostgreSQL':>12}"
    ]
    for name, each in stages.items():
        rate = count / max(each["seconds"], 0.001)
        lines.append(
            f"  {name:<20}{each['seconds']:>8.1f}{rate:>10,.0f}   {each['here']:>21.1f}"
            f"{each['postgresql']:>12.1f}"
        )
    parts = [stages[name] for name in ("store", "read", "match and book")]
    whole = sum(each["seconds"] for each in parts)
    used = sum(each["here"] + each["postgresql"] for each in parts)
    lines += [
        f"  {count:,} lines, {figures['bytes'] / 2**20:,.1f} MiB: stored, read, matched and booked "
        f"(by {figures['workers']}) in {whole:,.1f} s, {count / whole:,.0f} lines/s; "
        f"{count / used:,.0f} for each second of processor time",
        f"  peak memory {figures['peak_mib']:,.0f} MiB, {figures['peak_before_mib']:,.0f} before; "
        f"load {figures['load_before']:.1f} to {figures['load_after']:.1f}",
        "",
        f"  {'defect':<24}{'seeded':>9}{'found':>9}{'missed':>9}",
    ]
    for name, each in figures["defects"].items():
        lines.append(
            f"  {name:<24}{each['seeded']:>9}{each['found']:>9}{each['seeded'] - each['found']:>9}"
        )
    return [
        *lines,
        f"  false alarms: {figures['false']}; differences in the books: {figures['differences']}; "
        f"new lines of the second import: {figures['new_again']}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.reconciliation", description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1, help="the same history and the same defects")
    parser.add_argument("--workers", type=int, default=1, help="processes that match")
    parser.add_argument("--json", type=Path, default=state.VAR / "bench-reconciliation.json")
    options = parser.parse_args()
    if options.lines < 100:
        parser.error("--lines are a hundred or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
