"""`python -m bench.growth`: write a history, or measure what grows with one.

`make grow PAYMENTS=1000000 SEED=1` writes it into the database of `make serve`. `--measure` makes
two databases of its own, one empty and one grown, and compares them in one run.
"""

from __future__ import annotations

import argparse
import pickle
import signal
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.growth.copies import Copies, Wanted
from bench.growth.recording import Recording
from bench.growth.target import psp_account_of, target
from bench.growth.writing import Written, vacuum, write_history
from bench.stage import run_command, with_database
from paymentsite.launcher import platform_processes, state
from paymentsite.launcher.ports import hold_any_port
from paymentsite.launcher.progress import LauncherError, say, step
from paymentsite.launcher.signals import adopt_orphans

_REDIS_DATABASE = 13


def main() -> int:
    """Do what the command line says."""
    options = _options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    adopt_orphans()
    wanted = Wanted(
        payments=options.payments,
        months=options.months,
        merchants=options.merchants,
        seed=options.seed,
    )
    try:
        if options.measure:
            from bench.growth.measuring import measure

            return measure(wanted, options.json, grow=grow)
        with target() as variables:
            grow(variables, wanted)
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def grow(variables: Mapping[str, str], wanted: Wanted) -> Written:
    """Write the history into the database of these variables, and say what it was."""
    url = variables["DATABASE_OWNER_URL"]
    recording = record_lives(variables)
    account = psp_account_of(url, recording.psp_account[1])
    with step(f"write {wanted.payments:,} payments of {wanted.months:g} months"):
        written = write_history(url, Copies(recording, wanted, psp_account=account), say=say)
    with step("bring statistics up to date"):
        vacuum(url)
    for line in lines_of(written):
        say(line)
    return written


def record_lives(variables: Mapping[str, str]) -> Recording:
    """Live every kind of life in a database of its own on the same server."""
    with state.fresh_folder("growth-") as folder, ExitStack() as stack:
        port = hold_any_port()
        mine = dict(variables) | platform_processes.addresses_and_secrets(
            folder, api_port=hold_any_port(), psp_port=port
        )
        mine |= {"SECRET_KEY": state.secret(folder, "django"), "WEBHOOK_LOOPBACK": "on"}
        mine |= {"PAYMENTS_ENVIRONMENT": "development", "LOG_LEVEL": "WARNING"}
        # Workers of the platform itself are not to be woken.
        mine["REDIS_URL"] = f"{mine['REDIS_URL'].rpartition('/')[0]}/{_REDIS_DATABASE}"
        scratch = with_database(mine, "growth_scratch", stack)
        with step("make the tables of the recording"):
            run_command(scratch, "manage.py", "migrate", "--no-input", "--verbosity", "0")
        psp = platform_processes.sandbox_psp(folder, port=port)
        stack.callback(psp.stop)
        with step("start the sandbox PSP"):
            psp.start()
        file = folder / "recording"
        with step("live every life once"):
            run_command(scratch, "-m", "bench.growth.scratch", mine["SANDBOX_PSP_URL"], str(file))
        recording: Recording = pickle.loads(file.read_bytes())  # noqa: S301 (our own file)
        return recording


def lines_of(written: Written) -> list[str]:
    """What was written, for people."""
    largest = sorted(written.bytes_by_table.items(), key=lambda each: -each[1])[:6]
    return [
        f"  {written.payments:,} payments, {written.rows:,} rows in {written.seconds:,.0f} s: "
        f"{written.payments / written.seconds:,.0f} payments/s, "
        f"{written.rows / written.seconds:,.0f} rows/s "
        f"({written.writing_seconds / written.seconds:.0%} of the time in PostgreSQL)",
        f"  {written.bytes_in_all / 2**20:,.0f} MB in all tables of payments, "
        f"{written.index_bytes / written.bytes_in_all:.0%} of it indexes; "
        f"{written.bytes_in_all / written.payments / 1024:.1f} kB a payment",
        "  " + ", ".join(f"{name} {size / 2**20:,.0f} MB" for name, size in largest),
        f"  secret key of the largest merchant: {written.secret_keys[0]}",
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--payments", type=int, default=100_000)
    parser.add_argument("--months", type=float, default=6.0, help="how far back history goes")
    parser.add_argument("--merchants", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1, help="the same lives at the same age")
    parser.add_argument("--measure", action="store_true", help="compare empty with grown")
    parser.add_argument("--json", type=Path, default=state.VAR / "growth.json")
    options = parser.parse_args()
    if min(options.payments, options.merchants) < 1 or options.months < 1:
        parser.error("--payments, --merchants and --months are one or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
