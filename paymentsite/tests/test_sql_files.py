"""What PostgreSQL enforces can be read in one place: the `.sql` files of the apps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger.database.guards import run_sql_file

PROJECT = Path(__file__).resolve().parents[2]
FILES = sorted(PROJECT.glob("*/sql/*.sql"))
TEXTS = {file: file.read_text() for file in FILES}
CODE = "".join(
    path.read_text()
    for pattern in ("*/migrations/*.py", "ledger/database/guards.py")
    for path in PROJECT.glob(pattern)
)


def test_there_are_files() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parts[-3]}/{file.stem}")
def test_every_file_says_first_what_it_enforces_and_is_run_by_a_migration(file: Path) -> None:
    assert re.match(r"-- [A-Z]", TEXTS[file]), "begin with a comment in plain words"
    assert re.search(rf'"{file.parts[-3]}",\s+"{file.stem}"', CODE), "no migration runs it"


@pytest.mark.parametrize(
    ("created", "present"),
    [
        ("TRIGGER", "SELECT DISTINCT tgname FROM pg_trigger WHERE NOT tgisinternal"),
        (
            "FUNCTION",
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
        ),
    ],
)
def test_every_trigger_and_function_of_the_database_is_in_a_file(
    database: None, owner_cursor: psycopg.Cursor[Any], created: str, present: str
) -> None:
    in_files = {
        name
        for text in TEXTS.values()
        for name in re.findall(
            rf"^CREATE (?:OR REPLACE |CONSTRAINT )?{created} (\w+)\b(?!\.)", text, re.M
        )
    }
    assert {name for (name,) in owner_cursor.execute(present).fetchall()} == in_files


def test_a_placeholder_without_a_value_is_refused_and_a_value_without_a_placeholder() -> None:
    with pytest.raises(ValueError, match="takes"):
        run_sql_file("ledger", "append_only")
    with pytest.raises(ValueError, match="takes"):
        run_sql_file("payments", "events_are_dispatched", table="payments_event")
    assert "ON payments_case" in str(
        run_sql_file("ledger", "append_only", table="payments_case").sql
    )


def test_no_temporary_table_stands_in_for_a_table_that_a_function_reads(
    database: None, owner_cursor: psycopg.Cursor[Any]
) -> None:
    """PostgreSQL looks into pg_temp first, unless a fixed search path names it last."""
    unfixed = owner_cursor.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND prosrc ~ '\\y(FROM|JOIN|INTO|UPDATE) +(ledger|payments|reconciliation)_'"
        " AND NOT 'search_path=pg_catalog, public, pg_temp' = ANY (coalesce(proconfig, '{}'))"
    ).fetchall()
    assert unfixed == []
