"""Reads from the last runs of the sweeps whether each queue of jobs is consumed.

The table has one row per sweep, so that no query here grows with data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings

from ledger.database.statements import execute
from paymentsite.models import SweepRun
from paymentsite.sweeps import HEARTBEATS

NOT_CONSUMED_AFTER_SECONDS: Final = 3 * settings.HEARTBEAT_SECONDS
"""Three missed heartbeats: a queue is reported as not consumed."""


@dataclass(frozen=True, slots=True)
class LastRun:
    """When a sweep last succeeded, by the database's clock, and its counters."""

    name: str
    finished_seconds_ago: float | None
    """None if it never succeeded."""
    runs: int
    failures: int
    last_result: str


def last_runs() -> list[LastRun]:
    """Returns the last run of every sweep that ever ran."""
    rows = execute(
        "SELECT name, extract(epoch FROM clock_timestamp() - last_finished_at)::float8, runs, "
        f"failures, last_result FROM {SweepRun._meta.db_table} ORDER BY name"
    )
    return [LastRun(*row) for row in rows]


def heartbeat_ages_seconds() -> dict[str, float | None]:
    """Returns by queue the age of the last heartbeat that a worker ran; None if there was none."""
    ages = {run.name: run.finished_seconds_ago for run in last_runs()}
    return {queue.value: _rounded(ages.get(name)) for queue, name in HEARTBEATS.items()}


def not_consumed(ages: dict[str, float | None]) -> list[str]:
    """Returns the queues that no worker seems to consume."""
    return [queue for queue, age in ages.items() if age is None or age > NOT_CONSUMED_AFTER_SECONDS]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
