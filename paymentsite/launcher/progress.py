"""Prints progress: one line per step with its duration, and the output of processes."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


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
