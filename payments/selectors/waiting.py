"""How much is waiting, and for how long: asked by whoever watches the platform.

Each query reads a partial index of what is open and stops after a fixed number of rows, so that
none grows with data or with what has piled up. What may not live here: one merchant's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.statements import execute, table_of
from payments.models import Operation, PspNotification
from payments.states import NotificationStatus, OperationStatus

COUNT_MOST: Final = 10_000
"""More than this is counted as this: it is as bad."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Operations whose outcome nobody knows."""

    count: int
    oldest_seconds: float


def operations_in_doubt() -> Doubt:
    """Those that the PSP left open (`UNKNOWN`); one still being sent is in nobody's doubt yet."""
    count, oldest_seconds = execute(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM "
        f"(SELECT created_at FROM {table_of(Operation)} "
        f"WHERE status = '{OperationStatus.UNKNOWN.value}' "
        "ORDER BY created_at LIMIT %s) oldest",
        [COUNT_MOST],
    )[0]
    return Doubt(count, oldest_seconds)


def recovery_overdue_seconds() -> float:
    """For how long the operation that has been due for longest is due; 0 if none is."""
    return _overdue_seconds(table_of(Operation), "next_check_at")


def notifications_waiting() -> int:
    """Notifications stored or failing."""
    return _count(table_of(PspNotification), "next_try_at IS NOT NULL")


def notifications_overdue_seconds() -> float:
    """For how long the notification that has been due for longest is due; 0 if none is."""
    return _overdue_seconds(table_of(PspNotification), "next_try_at")


def notifications_dead() -> int:
    """Notifications on the dead-letter list."""
    return _count(table_of(PspNotification), f"status = '{NotificationStatus.DEAD.value}'")


def _count(table: str, condition: str) -> int:
    rows = execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT %s) found",
        [COUNT_MOST],
    )
    counted: int = rows[0][0]
    return counted


def _overdue_seconds(table: str, column: str) -> float:
    rows = execute(
        f"SELECT greatest(extract(epoch FROM now() - min({column})), 0)::float8 FROM {table} "
        f"WHERE {column} IS NOT NULL"
    )
    seconds: float | None = rows[0][0]
    return seconds or 0.0
