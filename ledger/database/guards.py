"""Run the files of an app's `sql/` folder in its migrations: what PostgreSQL itself enforces.

Three files of `ledger/sql/` are templates for one table of any app: a state machine, permanent
columns, rows that are only added.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from django.apps import apps
from django.db.migrations import RunSQL

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


def run_sql_file(app: str, name: str, **values: str) -> RunSQL:
    """The operation that runs `<app>/sql/<name>.sql`, with each `{placeholder}` replaced.

    Values are put in as they are: names and lists that the code knows, never a user's text.
    Raises ValueError if the file's placeholders are not exactly the given values.
    """
    text = (Path(apps.get_app_config(app).path) / "sql" / f"{name}.sql").read_text()
    wanted = set(_PLACEHOLDER.findall(text))
    if wanted != set(values):
        raise ValueError(f"{name}.sql takes {sorted(wanted)}, given are {sorted(values)}")
    return RunSQL(_PLACEHOLDER.sub(lambda found: values[found[1]], text))


def state_machine(
    table: str, transitions: Mapping[str, Collection[str]], *, initial: Collection[str]
) -> RunSQL:
    """The operation that lets rows of `table` start and move only as a table of `states` says.

    A database keeps the moves of the day it was migrated. So a change of `states` needs a migration
    that runs this again: it replaces the triggers of before.
    """
    moves = [
        f"{source}>{target}"
        for source, targets in transitions.items()
        for target in sorted(targets)
    ]
    return run_sql_file(
        "ledger",
        "state_machine",
        table=table,
        initial=" ".join(sorted(initial)),
        moves=" ".join(moves),
    )


def permanent_columns(table: str, columns: str) -> RunSQL:
    """The operation that keeps these columns, separated by spaces, as they were when written."""
    names = columns.split()
    return run_sql_file(
        "ledger",
        "permanent_columns",
        table=table,
        columns=", ".join(names),
        old=", ".join(f"OLD.{name}" for name in names),
        new=", ".join(f"NEW.{name}" for name in names),
    )


def append_only(table: str) -> RunSQL:
    """The operation that lets rows of `table` be added and read, never changed or deleted."""
    return run_sql_file("ledger", "append_only", table=table)
