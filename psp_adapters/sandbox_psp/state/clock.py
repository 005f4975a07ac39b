"""The simulator's clock: real time plus what the control API has advanced it by."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


class Clock:
    """Milliseconds since 1970 (UTC), shifted forward on command."""

    def __init__(self) -> None:
        self.offset_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.offset_ms


def iso(at_ms: int) -> str:
    """`2026-01-31T12:00:00.123Z`."""
    return f"{_iso_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=256)
def _iso_second(at_seconds: int) -> str:
    """Every answer shows two times, and most of them share their second."""
    return f"{datetime.fromtimestamp(at_seconds, UTC):%Y-%m-%dT%H:%M:%S}"
