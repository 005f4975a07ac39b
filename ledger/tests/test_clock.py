"""The process keeps the database's time, even if this host's clock is wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from ledger.database import clock
from ledger.database.clock import DatabaseClock, database_clock

HOUR = 3600.0


def observed(*, ahead_seconds: float) -> DatabaseClock:
    """A clock that was told a time ahead of this host's."""
    known, at = DatabaseClock(), time.monotonic()
    known.observe(time.time() + ahead_seconds, asked_at=at, answered_at=at)
    return known


def test_until_the_first_reading_the_hosts_clock_is_used() -> None:
    fresh = DatabaseClock()
    assert fresh.is_due()
    assert abs(fresh.now() - datetime.now(UTC)) < timedelta(seconds=1)


def test_the_time_is_the_databases_and_not_the_hosts() -> None:
    ahead = observed(ahead_seconds=HOUR)
    assert not ahead.is_due()
    assert abs(ahead.now() - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=1)


def test_a_clock_of_the_host_that_is_set_back_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = observed(ahead_seconds=0)
    before = known.now()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - HOUR)
    assert timedelta(0) <= known.now() - before < timedelta(seconds=1)


def test_a_slow_reading_does_not_replace_a_fresh_good_one() -> None:
    known, at = observed(ahead_seconds=0), time.monotonic()
    known.observe(time.time() + HOUR, asked_at=at, answered_at=at + 1.0)
    assert abs(known.now() - datetime.now(UTC)) < timedelta(seconds=1)
    known.observe(time.time() + HOUR, asked_at=at, answered_at=at + clock._TRUSTED_SECONDS + 1)
    assert known.now() - datetime.now(UTC) > timedelta(minutes=50)


def test_it_is_never_ahead_of_the_database_however_slow_the_answer() -> None:
    known = DatabaseClock()
    read_at, at = time.time(), time.monotonic()  # Read in the last moment of a slow answer.
    known.observe(read_at, asked_at=at - 60.0, answered_at=at)
    assert known.now().timestamp() <= time.time()
    assert known.now() - datetime.fromtimestamp(read_at, UTC) < timedelta(seconds=1)


def test_a_connection_reads_the_clock_when_it_is_made_and_when_it_is_checked(
    database: None,
) -> None:
    database_clock._known = None
    connection.close()
    connection.ensure_connection()
    assert not database_clock.is_due()
    database_clock._known = None
    assert connection.is_usable()
    assert not database_clock.is_due()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [said] = cursor.fetchone()
    assert abs(database_clock.now() - said) < timedelta(seconds=1)
