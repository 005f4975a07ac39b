"""The wait between attempts grows, until the row is a case for an operator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from payments.services.jobs.backoff import (
    ATTEMPTS_MIN,
    GIVE_UP_AFTER,
    is_time_to_give_up,
    next_attempt,
)

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tried", "least", "most"),
    [
        (timedelta(0), 1, 3),
        (timedelta(minutes=1), 15, 45),
        (timedelta(hours=1), 900, 2_700),
        (timedelta(hours=6), 1_800, 5_400),
    ],
)
def test_the_wait_is_half_of_the_time_tried_within_fifty_percent(
    tried: timedelta, least: float, most: float
) -> None:
    now = SINCE + tried
    first = timedelta(seconds=2)
    waits = [(next_attempt(now, since=SINCE, first=first) - now).total_seconds() for _ in range(50)]
    assert all(least <= wait <= most for wait in waits)
    assert len(set(waits)) > 1, "many rows that failed together do not come back together"


def test_a_clock_that_was_set_back_still_waits() -> None:
    now = SINCE - timedelta(hours=1)
    assert next_attempt(now, since=SINCE) > now


def test_retrying_ends_after_days_and_several_attempts() -> None:
    late, early = SINCE + GIVE_UP_AFTER, SINCE + GIVE_UP_AFTER - timedelta(seconds=1)
    assert is_time_to_give_up(late, since=SINCE, attempts=ATTEMPTS_MIN)
    assert not is_time_to_give_up(late, since=SINCE, attempts=ATTEMPTS_MIN - 1)
    assert not is_time_to_give_up(early, since=SINCE, attempts=ATTEMPTS_MIN)
