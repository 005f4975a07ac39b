"""Runs one sweep: takes its lease, does the work, records the result; reads the last results.

Lease and times use the database's clock, so that a second beat, a duplicate message or a worker
with a wrong clock never run it twice at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import connection, transaction

from ledger.database.statements import execute
from paymentsite.models import SweepRun
from paymentsite.sweeps import Sweep

log = structlog.get_logger(__name__)

_TABLE: Final = SweepRun._meta.db_table
_RESULT_LENGTH: Final = 200
_ERROR_LENGTH: Final = 500


def run_under_lease(sweep: Sweep, work: Callable[[], Any]) -> Any:
    """Do the work of a sweep and return its result; None if another run has the lease.

    An exception of the work is recorded and raised again.
    """
    leased_at = _take_lease(sweep) if sweep.lease_seconds is not None else None
    if sweep.lease_seconds is not None and leased_at is None:
        log.info("sweep skipped: another run has the lease", sweep=sweep.name)
        return None
    began = time.monotonic()
    try:
        result = work()
    except Exception as error:
        text = f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()  # The database may have restarted.
        _record_end(sweep, leased_at, time.monotonic() - began, error=text)
        raise
    text = "" if result is None else str(result)[:_RESULT_LENGTH]
    _record_end(sweep, leased_at, time.monotonic() - began, result=text)
    return result


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
        f"failures, last_result FROM {_TABLE} ORDER BY name"
    )
    return [LastRun(*row) for row in rows]


def _take_lease(sweep: Sweep) -> datetime | None:
    """Take the lease; returns when this run began, or None if it must not run.

    It is also skipped if it succeeded less than half a period ago: then two beats send ticks, and
    one of them is enough.
    """
    with transaction.atomic(durable=True):
        rows = execute(
            f"INSERT INTO {_TABLE} AS s (name, leased_until, last_started_at, last_result, "
            "last_error, runs, failures) "
            "VALUES (%s, now() + make_interval(secs => %s), now(), '', '', 0, 0) "
            "ON CONFLICT (name) DO UPDATE "
            "SET leased_until = excluded.leased_until, last_started_at = excluded.last_started_at "
            "WHERE (s.leased_until IS NULL OR s.leased_until <= now()) AND (s.last_finished_at "
            "IS NULL OR s.last_finished_at <= now() - make_interval(secs => %s)) "
            "RETURNING last_started_at",
            [sweep.name, sweep.lease_seconds, (sweep.every_seconds or 0) / 2],
        )
    return rows[0][0] if rows else None


def _record_end(
    sweep: Sweep,
    leased_at: datetime | None,
    took_seconds: float,
    *,
    result: str | None = None,
    error: str = "",
) -> None:
    """Record how a run ended, and release the lease if this run still has it; one statement."""
    is_failure = result is None
    ended = ("last_failed_at", "last_error") if is_failure else ("last_finished_at", "last_result")
    execute(
        f"INSERT INTO {_TABLE} AS s (name, last_started_at, last_finished_at, last_failed_at, "
        "last_result, last_error, runs, failures) VALUES (%s, "
        "coalesce(%s, now() - make_interval(secs => %s)), "
        "CASE WHEN %s THEN NULL ELSE now() END, CASE WHEN %s THEN now() END, %s, %s, 1, %s) "
        "ON CONFLICT (name) DO UPDATE SET "
        f"{', '.join(f'{column} = excluded.{column}' for column in ended)}, "
        "runs = s.runs + 1, failures = s.failures + excluded.failures, "
        "last_started_at = greatest(s.last_started_at, excluded.last_started_at), leased_until = "
        "CASE WHEN s.last_started_at = excluded.last_started_at THEN NULL ELSE s.leased_until END",
        [
            *(sweep.name, leased_at, took_seconds, is_failure, is_failure),
            *(result or "", error, int(is_failure)),
        ],
    )
