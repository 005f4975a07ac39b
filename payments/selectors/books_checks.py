"""Reads how the verifications of the books go, for the metrics.

Each query reads the row of a check, or an index, and a bounded number of rows. What may not live
here: checking, one merchant's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledger.database.statements import execute, table_of
from payments.models import BooksCheck, Case, Event
from payments.states import CaseKind, CaseStatus

DIFFERENCES_MOST: Final = 1_000
RECENT: Final = "recent payments"
EVERYTHING: Final = "everything"


@dataclass(frozen=True, slots=True)
class LastPass:
    """The progress of the daily verification."""

    seconds_ago: float
    """Since a pass ended that left nothing out; if none ever did, since the first began."""
    unchecked: int
    """What the last pass, or the one under way, left out."""


def books_differences() -> int:
    """Open cases about books and payments that do not agree."""
    rows = execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table_of(Case)} "
        f"WHERE status = '{CaseStatus.OPEN.value}' AND kind = '{CaseKind.BOOKS_DIFFER.value}' "
        "LIMIT %s) found",
        [DIFFERENCES_MOST],
    )
    counted: int = rows[0][0]
    return counted


def recent_check_behind_seconds() -> float:
    """Age of the oldest event whose payment was not compared with the books yet; 0 if all were."""
    rows = execute(
        f"SELECT greatest(extract(epoch FROM now() - created_at), 0)::float8 FROM {table_of(Event)}"
        f" WHERE id > (SELECT position FROM {table_of(BooksCheck)} WHERE name = '{RECENT}') "
        "ORDER BY id LIMIT 1"
    )
    return rows[0][0] if rows else 0.0


def last_pass() -> LastPass | None:
    """The progress of the daily verification; None before its first pass began."""
    rows = execute(
        "SELECT extract(epoch FROM clock_timestamp() - coalesce(finished_at, added_at))::float8, "
        f"unchecked FROM {table_of(BooksCheck)} WHERE name = '{EVERYTHING}'"
    )
    return LastPass(*rows[0]) if rows else None
