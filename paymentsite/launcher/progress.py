"""Tells the operator how far the launcher is, and which error ends it."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


class LauncherError(Exception):
    """Ends the launcher. Its message is shown without a traceback, and says what to do."""


def say(line: str = "") -> None:
    """Print one line; lines of several threads do not mix."""
    with _one_at_a_time:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print the step, and its duration when it succeeds. The caller reports a failure."""
    started = time.monotonic()
    say(f"  …  {what}")
    yield
    say(f"  ok {what} ({time.monotonic() - started:.1f} s)")
