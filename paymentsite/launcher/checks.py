"""`make lint`: every check that reads the code and starts nothing, one line each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from paymentsite.launcher.progress import say
from paymentsite.launcher.state import PROJECT

_BIN = Path(sys.executable).parent
CHECKS: tuple[tuple[str, list[str]], ...] = (
    ("style", ["ruff", "check", "."]),
    ("format", ["ruff", "format", "--check", "."]),
    ("types", ["mypy", "--config-file", ".mypy.ini"]),
    ("imports", ["lint-imports", "--no-cache"]),
    ("migrations", ["python", "manage.py", "makemigrations", "--check", "--dry-run"]),
)


def main() -> int:
    """Run all checks, show what those that fail say; 1 if any failed."""
    failed = [name for name, command in CHECKS if not _passes(name, command)]
    if failed:
        say(f"failed: {', '.join(failed)}")
    return bool(failed)


def _passes(name: str, command: list[str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(
        [str(_BIN / command[0]), *command[1:]],
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
        say(f"  !! {name} ({' '.join(command)}, {took})\n{done.stdout}{done.stderr}")
        return False
    say(f"  ok {name} ({took})")
    return True


if __name__ == "__main__":
    sys.exit(main())
