"""The current time, as this process knows the database's clock."""

from __future__ import annotations

from datetime import datetime

from ledger.database.clock import database_clock


def now_utc() -> datetime:
    """The database's time: leases and schedules of all hosts go by one clock."""
    return database_clock.now()
