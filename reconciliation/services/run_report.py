"""What one run of a reconciliation job did: lines by how they ended, cases by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

from payments.services.cases.closing import counted_closings


class Ended(StrEnum):
    """What a run did with a line; one that asked the PSP is counted as that, too."""

    MATCHED = "matched"
    ASKED = "asked the PSP"
    LEFT = "left for later"
    OVER_CEILING = "over the ceiling of look-ups"
    GIVEN_UP = "given up"


_counted: Final[ContextVar[Counter[Ended] | None]] = ContextVar("lines_of_run", default=None)


def count_lines(ended: Ended, number: int = 1) -> None:
    """Count lines in the report of this thread's run, if it has one."""
    counts = _counted.get()
    if counts is not None and number:
        counts[ended] += number


@contextmanager
def _counted_lines() -> Iterator[Counter[Ended]]:
    counts: Counter[Ended] = Counter()
    token = _counted.set(counts)
    try:
        yield counts
    finally:
        _counted.reset(token)


def reported(work: Callable[[], int]) -> str:
    """Do the work of a run; returns its number, and behind it what it did.

    Such as `40: 36 matched, 3 asked the PSP, 1 given up; cases closed by rules: 2 late_line`.
    """
    with _counted_lines() as lines, counted_closings() as rules:
        number = work()
    done = ", ".join(f"{lines[each]} {each}" for each in Ended if lines[each])
    closed = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items()))
    parts = [part for part in (done, closed and f"cases closed by rules: {closed}") if part]
    return f"{number}: {'; '.join(parts)}" if parts else str(number)
