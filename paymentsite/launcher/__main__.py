"""Runs the launcher's command line, after checking the version of Python."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from types import FrameType

_FIRST, _LAST = (3, 11), (3, 12)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _require_python() -> None:
    if not _FIRST <= sys.version_info[:2] <= _LAST:
        sys.exit(
            f"error: this is Python {sys.version_info[0]}.{sys.version_info[1]}: use 3.11 or 3.12, "
            "for example `make demo PYTHON=python3.12`"
        )


def _end(number: int, _frame: FrameType | None) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)  # stopping takes seconds: ignore further signals
    raise SystemExit(128 + number)


def main(arguments: list[str]) -> int:
    """Run the given verb; return its exit code."""
    _require_python()
    # Imported after the check: these modules and their wheels need the right Python.
    from paymentsite.launcher.progress import LauncherError

    parser = argparse.ArgumentParser(prog="python -m paymentsite.launcher")
    verbs = parser.add_subparsers(dest="verb", required=True)
    run_parser = verbs.add_parser("run", help="run a command with a fresh database and Redis")
    run_parser.add_argument(
        "--durable", action="store_true", help="wait for the disk at each commit, for measurements"
    )
    run_parser.add_argument("command", nargs="+", help="-- COMMAND and its arguments")
    verbs.add_parser("serve", help="start every process of the platform and keep it running")
    verbs.add_parser("demo", help="the same, and play one business day; ONCE=1 stops after it")
    given = parser.parse_args(arguments)
    for number in _ENDING:
        signal.signal(number, _end)
    try:
        if given.verb == "run":
            from paymentsite.launcher.running import run

            return run(given.command, durable=given.durable)
        from paymentsite.launcher.serving import demo, serve

        return serve() if given.verb == "serve" else demo()
    except LauncherError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main(sys.argv[1:]))
