"""How long something is tried, and when again: later and later, then a person is told. Pure.

What may not live here: what is tried.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

GIVE_UP_AFTER: Final = timedelta(days=3)
"""A report comes once a day, over a weekend on Monday: what one line waits for may come with it."""
TRIES_LEAST: Final = 3
"""Whoever was kept waiting for days is still tried more than once."""
_FIRST_SECONDS: Final = 10.0
_MOST_SECONDS: Final = 3600.0


def next_try(now: datetime, *, since: datetime) -> datetime:
    """After half of the time that has been tried for, at most an hour, with ±50 % jitter."""
    tried_seconds = (now - since).total_seconds()
    step = min(max(tried_seconds / 2, _FIRST_SECONDS), _MOST_SECONDS)
    return now + timedelta(seconds=step * random.uniform(0.5, 1.5))


def is_over(now: datetime, *, since: datetime, tries: int) -> bool:
    """Is it time to tell a person?"""
    return tries >= TRIES_LEAST and now - since >= GIVE_UP_AFTER
