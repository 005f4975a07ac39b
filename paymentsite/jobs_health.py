"""Are the jobs being done? Read from the rows that the sweeps leave behind.

The table has one row per sweep, so nothing here grows with data. What may not live here: HTTP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings

from ledger.database.statements import execute
from paymentsite.models import SweepRun
from paymentsite.sweeps import HEARTBEATS

SILENT_AFTER_SECONDS: Final = 3 * settings.HEARTBEAT_SECONDS
"""Three heartbeats missed are no coincidence."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """How long ago, by the database's clock, a sweep last ended well; and what it has counted."""

    name: str
    finished_seconds_ago: float | None
    """None: it never did."""
    runs: int
    failures: int
    last_result: str


def last_runs() -> list[LastRun]:
    """Every sweep that has ever run."""
    rows = execute(
        "SELECT name, extract(epoch FROM clock_timestamp() - last_finished_at)::float8, runs, "
        f"failures, last_result FROM {SweepRun._meta.db_table} ORDER BY name"
    )
    return [LastRun(*row) for row in rows]


def heartbeat_ages_seconds() -> dict[str, float | None]:
    """By queue: the age of the last heartbeat that somebody consumed; None: there was none yet."""
    ages = {run.name: run.finished_seconds_ago for run in last_runs()}
    return {queue.value: _rounded(ages.get(name)) for queue, name in HEARTBEATS.items()}


def silent(ages: dict[str, float | None]) -> list[str]:
    """The queues that nobody seems to consume."""
    return [queue for queue, age in ages.items() if age is None or age > SILENT_AFTER_SECONDS]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
