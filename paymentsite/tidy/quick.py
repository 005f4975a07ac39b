"""`make quick`: the checks, and the tests of what changed and of what imports it, in a minute.

Changed is what differs from where the branch left main, committed or not, new files as well. On
main itself: from origin/main, or without one from the commit before. `SINCE=<commit>` overrides.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable

from paymentsite.launcher.progress import say
from paymentsite.tidy import checks, selection
from paymentsite.tidy.imports import all_imports
from paymentsite.tidy.sources import PROJECT
from paymentsite.tidy.time_limit import UNTIL

_SECONDS = 45  # after these no further test begins; the rest is for the last one and to stop all
_FAILURES_MOST = "5"
_NAMES_SHOWN = 12
_ALWAYS = "paymentsite.tests.tidy.test_house_rules"


def main() -> int:
    """Run what the change concerns; 1 if anything failed."""
    os.environ[UNTIL] = str(time.monotonic() + _SECONDS)
    since = os.environ.get("SINCE") or _start_of_branch()
    files = changed_files(since)
    imports = all_imports()
    chosen = selection.choose(selection.modules_of(files, imports), imports)
    run = dict.fromkeys([*chosen.run, _ALWAYS])
    say(f"  {len(files)} files changed since {_git('log', '-1', '--format=%h %s', since)[:60]}")
    say(f"  tests of {len(run)} files, nearest first: {_some(run)}")
    if chosen.left:
        say(f"  left to `make test`, further away: {len(chosen.left)} files")
    tests = checks.Check("tests", [*_PYTEST, *map(_path, run)], shows=2)
    return checks.run([tests, *checks.QUICK, checks.TYPES, checks.FIGURES, *_slower(files)])


_PYTEST = (
    *("python", "-m", "paymentsite.launcher", "run", "--", sys.executable, "-m", "pytest"),
    *("-q", "--maxfail", _FAILURES_MOST, "-p", "paymentsite.tidy.time_limit"),
)


def changed_files(since: str) -> set[str]:
    """Files that differ from a commit and still exist, those unknown to git included."""
    named = _git("diff", "--name-only", "-z", "--diff-filter=d", since)
    new = _git("ls-files", "--others", "--exclude-standard", "-z")
    return {file for file in (named + "\0" + new).split("\0") if file}


def _start_of_branch() -> str:
    """The commit at which HEAD left main, or what stands for it on main itself."""
    on_main = _git("rev-parse", "--abbrev-ref", "HEAD") == "main"
    for main in ("origin/main",) if on_main else ("main", "origin/main"):
        if start := _git("merge-base", "HEAD", main, missing=""):
            return start
    return _git("rev-parse", "HEAD~1", missing="HEAD")


def _git(*arguments: str, missing: str | None = None) -> str:
    """What git answers; `missing` where it knows no such commit."""
    done = subprocess.run(["git", *arguments], cwd=PROJECT, capture_output=True, text=True)
    if done.returncode and missing is None:
        sys.exit(f"error: git {' '.join(arguments)}: {done.stderr.strip()}")
    return missing if done.returncode and missing is not None else done.stdout.strip()


def _slower(files: set[str]) -> list[checks.Check]:
    concerned = any(
        "/models/" in f or "/migrations/" in f or f.endswith("models.py") for f in files
    )
    return [checks.MIGRATIONS] if concerned else []


def _path(module: str) -> str:
    return module.replace(".", "/") + ".py"


def _some(modules: Iterable[str]) -> str:
    names = [module.rpartition(".")[2] for module in modules]
    more = len(names[_NAMES_SHOWN:])
    return ", ".join(names[:_NAMES_SHOWN]) + (f" and {more} more" if more else "")


if __name__ == "__main__":
    sys.exit(main())
