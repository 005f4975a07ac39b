"""README and docs/ name only files, commands, links and names of the code that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from django.core.management import get_commands

from payments.states import CaseKind
from paymentsite.tidy.observability import DASHBOARD, RULES
from paymentsite.tidy.sources import PROJECT, name, python_files, text

PAGES: Final = (PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")))
# Stations of a diagram are named from one of these on.
ROOMS: Final = ("", "payments/services/", "reconciliation/services/")
# Names of PostgreSQL, Debezium and Redis, and of what is still to be built.
NOT_OURS: Final = {
    *("confirmed_flush_lsn", "max_slot_wal_keep_size", "no_data", "pg_current_wal_lsn"),
    *("checkpoint_timeout", "default_toast_compression", "max_wal_size", "wal_buffers"),
    *(
        "wal_compression",
        "pg_dump",
        "pg_replication_slots",
        "pg_resetwal",
        "pg_wal_lsn_diff",
        "wal_status",
    ),
    *("--deploy", "--epoch", "--pidfile", "internal_api", "sync_replication_slots"),
    "publish_via_partition_root",
}
FENCED: Final = re.compile(r"^```.*?^```", flags=re.MULTILINE | re.DOTALL)
FILE: Final = re.compile(r"(?<![\w./<>-])[\w./-]+(?:\.(?:py|sql|md)|/)(?![\w<*.{])")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@each_page
def test_a_name_in_a_page_is_in_the_code(page: Path) -> None:
    """Names with an underscore; not those of test tokens, which are put together from parts."""
    found = {word for span in spans(page) for word in re.findall(r"\w+", span)}
    names = {word for word in found if re.fullmatch(r"_*(?!pm_|tok_)\w+_\w*[^\W_]", word)}
    gone = {word for word in names if word.removesuffix("_total") not in names_in_code()}
    assert gone - NOT_OURS == set(), "say its present name, or add what is not ours to NOT_OURS"


@each_page
def test_a_name_with_hyphens_in_a_page_is_in_the_code(page: Path) -> None:
    names = [span for span in spans(page) if re.fullmatch(r"[a-z]+(-[a-z]+)+", span)]
    assert [span for span in names if span not in code()] == []


@each_page
def test_a_file_or_folder_that_a_page_names_exists(page: Path) -> None:
    found = {path for span in spans(page) for path in FILE.findall(span)}
    named = {path for path in found if not path.startswith(("/", "var/", ".venv/"))}
    gone = {path for path in named if not any(each.endswith(f"/{path}") for each in paths())}
    assert {path for path in gone if Path(path).name not in NOT_OURS} == set()


@each_page
def test_a_module_in_a_diagram_exists(page: Path) -> None:
    diagrams = [block for block in FENCED.findall(text(page)) if block.startswith("```mermaid")]
    stations = {path for each in diagrams for path in re.findall(r"[a-z_]+(?:/[a-z_]+)+", each)}
    gone = {
        path
        for path in stations
        if not any(f"/{room}{path}{end}" in paths() for room in ROOMS for end in (".py", "/"))
    }
    assert gone == set()


@each_page
def test_a_command_that_a_page_names_exists(page: Path) -> None:
    typed = "\n".join([*spans(page), *FENCED.findall(text(page))])
    assert set(re.findall(r"manage\.py (\w+)", typed)) - set(get_commands()) == set()
    targets = set(re.findall(r"\bmake ([a-z-]+)", typed))
    assert {each for each in targets if f"\n{each}:" not in text(PROJECT / "Makefile")} == set()
    options = set(re.findall(r"(?<![\w-])--[a-z]+(?:-[a-z]+)*", typed))
    gone = {option for option in options if f'"{option}"' not in code()}
    assert gone - NOT_OURS == set()


@each_page
def test_a_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", text(page)):
        target, _, heading = link.partition("#")
        other = page.parent / target if target else page
        if "://" not in link:
            assert other.is_file(), link
            assert heading in ("", *headings(other)), link


def test_every_kind_of_case_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", text(PROJECT / "docs" / "cases.md"), flags=re.MULTILINE)
    assert set(rows) == {kind.value for kind in CaseKind}


def spans(page: Path) -> list[str]:
    """What a page marks as code inside its sentences."""
    return re.findall(r"`([^`\n]+)`", FENCED.sub("", text(page)))


@cache
def code() -> str:
    """Everything but the pages."""
    return "\n".join(map(text, (*python_files(), *sql_files(), PROJECT / "Makefile")))


@cache
def names_in_code() -> frozenset[str]:
    return frozenset(re.findall(r"\w+", code() + "\n".join(paths())))


@cache
def paths() -> frozenset[str]:
    """Files and folders from the project's folder on, each with a slash before it."""
    loose = (PROJECT / "manage.py", *PAGES, RULES, DASHBOARD)
    files = {f"/{name(path)}" for path in (*python_files(), *sql_files(), *loose)}
    return frozenset(files | {f"{folder}/" for file in files for folder in Path(file).parents})


def sql_files() -> list[Path]:
    return sorted(PROJECT.glob("*/sql/**/*.sql"))


def headings(page: Path) -> list[str]:
    """As links name them."""
    lines = re.findall(r"^#+ (.*)$", text(page), flags=re.MULTILINE)
    return [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines]
