"""What a person sees: one line per step, with its time, and lines of processes with their name."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_one_at_a_time = threading.Lock()


def say(line: str = "") -> None:
    """One whole line on stdout, also when several threads speak."""
    with _one_at_a_time:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show what is being done, and afterwards how long it took; a failure is said by the caller."""
    started = time.monotonic()
    say(f"  …  {what}")
    yield
    say(f"  ok {what} ({time.monotonic() - started:.1f} s)")
