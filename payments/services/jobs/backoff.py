"""Computes when a failed attempt is repeated, and when to give up. Pure."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

GIVE_UP_AFTER: Final = timedelta(days=3)
"""A settlement report comes daily, over a weekend on Monday; what a line waits for may be in it."""
ATTEMPTS_MIN: Final = 3
"""A row that could not be attempted for days still gets several attempts."""
_FIRST: Final = timedelta(seconds=10)
_MOST: Final = timedelta(hours=1)


def next_attempt(
    now: datetime, *, since: datetime, first: timedelta = _FIRST, most: timedelta = _MOST
) -> datetime:
    """When to try again: after half of the time tried since `since`, with ±50 % jitter.

    The wait is at least `first` and at most `most`, before the jitter.
    """
    return now + min(max((now - since) / 2, first), most) * random.uniform(0.5, 1.5)


def is_time_to_give_up(now: datetime, *, since: datetime, attempts: int) -> bool:
    """Whether it has failed for GIVE_UP_AFTER and ATTEMPTS_MIN times, so that a case opens."""
    return attempts >= ATTEMPTS_MIN and now - since >= GIVE_UP_AFTER
