"""Runs one sweep: takes its lease, does the work, records the result.

Lease and times use the database's clock, so that a second beat, a duplicate message or a worker
with a wrong clock never run it twice at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import structlog
from django.db import transaction

from ledger.database.statements import execute
from paymentsite.models import SweepRun
from paymentsite.sweeps import Sweep

log = structlog.get_logger(__name__)

_TABLE: Final = SweepRun._meta.db_table
_RESULT_LENGTH: Final = 200
_ERROR_LENGTH: Final = 500


def run_sweep(sweep: Sweep, work: Callable[[], Any]) -> Any:
    """Do the work of a sweep and return its result; None if another run has the lease.

    An exception of the work is recorded and raised again.
    """
    started_at = _begin(sweep)
    if started_at is None:
        log.info("sweep skipped: another run has the lease", sweep=sweep.name)
        return None
    try:
        result = work()
    except Exception as error:
        _note_failure(sweep, started_at, error)
        raise
    _note_success(sweep, started_at, result)
    return result


def _begin(sweep: Sweep) -> datetime | None:
    """Take the lease; returns when this run began, or None if it must not run.

    A sweep with a lease is also skipped if it succeeded less than half a period ago: then two beats
    send ticks, and one of them is enough.
    """
    if sweep.lease_seconds is None:
        now: datetime = execute("SELECT now()")[0][0]
        return now
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


def _note_success(sweep: Sweep, started_at: datetime, result: Any) -> None:
    text = "" if result is None else str(result)[:_RESULT_LENGTH]
    _note(
        sweep,
        started_at,
        "last_finished_at = now(), last_result = %s, runs = s.runs + 1",
        [text],
    )


def _note_failure(sweep: Sweep, started_at: datetime, error: Exception) -> None:
    text = f"{type(error).__name__}: {error}"[:_ERROR_LENGTH]
    _note(
        sweep,
        started_at,
        "last_failed_at = now(), last_error = %s, failures = s.failures + 1, runs = s.runs + 1",
        [text],
    )


def _note(sweep: Sweep, started_at: datetime, changes: str, values: list[str]) -> None:
    """Record how a run ended, and release the lease if this run still has it."""
    with transaction.atomic(durable=True):
        execute(
            f"INSERT INTO {_TABLE} (name, last_started_at, last_result, last_error, runs, failures)"
            " VALUES (%s, %s, '', '', 0, 0) ON CONFLICT (name) DO NOTHING RETURNING name",
            [sweep.name, started_at],
        )
        execute(
            f"UPDATE {_TABLE} s SET {changes}, last_started_at = greatest(s.last_started_at, %s), "
            "leased_until = CASE WHEN s.last_started_at = %s THEN NULL ELSE s.leased_until END "
            "WHERE name = %s RETURNING name",
            [*values, started_at, started_at, sweep.name],
        )
