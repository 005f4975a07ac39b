"""Fill the SQL templates that guard one table: its state machine, its permanent columns, its rows.

The templates are in `payments/sql/`; the migrations of payments and of reconciliation use them.
"""

from __future__ import annotations

from collections.abc import Collection

from django.db.migrations import RunSQL

from ledger.database.sql_files import run_sql_file
from payments.states import Table


def state_machine(table: str, transitions: Table, *, initial: Collection[str]) -> RunSQL:
    """The operation that lets rows of `table` start and move as a table of `states` says, only.

    A database keeps the moves of the day it was migrated. So a change of `states` needs a migration
    that runs this again: it replaces the triggers of before.
    """
    moves = [
        f"{source}>{target}"
        for source, targets in transitions.items()
        for target in sorted(targets)
    ]
    return run_sql_file(
        "payments",
        "state_machine",
        table=table,
        initial=" ".join(sorted(initial)),
        moves=" ".join(moves),
    )


def permanent_columns(table: str, columns: str) -> RunSQL:
    """The operation that keeps these columns, separated by spaces, as they were when written."""
    names = columns.split()
    return run_sql_file(
        "payments",
        "permanent_columns",
        table=table,
        columns=", ".join(names),
        old=", ".join(f"OLD.{name}" for name in names),
        new=", ".join(f"NEW.{name}" for name in names),
    )


def append_only(table: str) -> RunSQL:
    """The operation that lets rows of `table` be added and read, never changed or deleted."""
    return run_sql_file("payments", "append_only", table=table)
