"""`make lint`: every check that reads the code and starts nothing, two at a time, one line each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from paymentsite.launcher.progress import say
from paymentsite.launcher.state import PROJECT

_BIN = Path(sys.executable).parent
_AT_ONCE = 2


@dataclass(frozen=True)
class Check:
    """One command; `shows` how many of its last lines are worth a look when it passes."""

    name: str
    command: Sequence[str]
    shows: int = 0

    def passes(self) -> bool:
        """Run it and say how it went, with all that it printed if it failed."""
        started = time.monotonic()
        done = subprocess.run(
            [str(_BIN / self.command[0]), *self.command[1:]],
            cwd=PROJECT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "paymentsite.lint_settings",
                # Without a database makemigrations only warns that it cannot see what was applied.
                "PYTHONWARNINGS": "ignore",
            },
            capture_output=True,
            text=True,
        )
        took = f"{time.monotonic() - started:.1f} s"
        if done.returncode:
            say(f"  !! {self.name} ({' '.join(self.command)}, {took})\n{done.stdout}{done.stderr}")
            return False
        shown = done.stdout.splitlines()[-self.shows :] if self.shows else []
        say("\n     ".join([f"  ok {self.name} ({took})", *shown]))
        return True


TYPES = Check("types", ["mypy", "--config-file", ".mypy.ini"])
MIGRATIONS = Check("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"])
QUICK = (
    Check("style", ["ruff", "check", "."]),
    Check("format", ["ruff", "format", "--check", "."]),
    Check("imports", ["lint-imports", "--no-cache"]),
)
ALERTS = Check("alerts", ["python", "-m", "paymentsite.tidy.observability"], shows=1)
FIGURES = Check("figures", ["python", "-m", "paymentsite.tidy.figures"], shows=100)


def run(checks: Sequence[Check]) -> int:
    """Run them in this order, two at a time; 1 if any failed."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        passed = list(pool.map(Check.passes, checks))
    failed = [check.name for check, ok in zip(checks, passed, strict=True) if not ok]
    if failed:
        say(f"failed: {', '.join(failed)}")
    return bool(failed)


if __name__ == "__main__":
    # The longest first.
    sys.exit(run([TYPES, MIGRATIONS, *QUICK, ALERTS, FIGURES]))
