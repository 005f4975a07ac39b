"""Estimates the database's clock, by which all leases and schedules go.

Hosts disagree about the time, and one may be set back while it runs. So the database's clock is
read with the health checks of connections, and carried on by the monotonic clock. The estimate is
late by the answer's travel time, and never ahead: a lease that ends at a time of this clock is free
for the next worker. The database backend reads the clock; this module asks nothing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

OBSERVE_EVERY_SECONDS: Final = 5.0
"""Clocks drift apart by far less than a millisecond in this time."""
_ROUND_TRIP_MOST_SECONDS: Final = 0.1
"""A slower answer says less than what the last one still says."""
_TRUSTED_SECONDS: Final = 300.0
"""… for so long: after that any answer is better than none."""


class DatabaseClock:
    """What is known of the database's clock. Threads may share it: its state is one tuple."""

    def __init__(self) -> None:
        self._known: tuple[float, float] | None = None
        """Database time (Unix seconds) minus monotonic time, and when that was observed."""

    def is_due(self) -> bool:
        """Should the next health check read the clock?"""
        known = self._known
        return known is None or time.monotonic() - known[1] > OBSERVE_EVERY_SECONDS

    def observe(self, unix_seconds: float, *, asked_at: float, answered_at: float) -> None:
        """Note the database's time, asked for and answered at these monotonic times.

        It was read at some moment in between, so that taking the end never says a time too late.
        """
        known = self._known
        is_slow = answered_at - asked_at > _ROUND_TRIP_MOST_SECONDS
        if is_slow and known is not None and answered_at - known[1] < _TRUSTED_SECONDS:
            return
        self._known = (unix_seconds - answered_at, answered_at)

    def now(self) -> datetime:
        """The time (UTC); this host's own until it was read once."""
        known = self._known
        if known is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(time.monotonic() + known[0], UTC)


database_clock: Final = DatabaseClock()
