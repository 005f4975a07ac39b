"""Rules of the house that no other tool holds. Every finding says what to do instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
APPS = ("paymentsite", "payments", "ledger", "reconciliation", "psp_adapters", "bench")
TOP_LEVEL = {
    *("manage.py", "Makefile", "README.md", "requirements.txt", "requirements-dev.txt"),
    *("pytest.ini", "templates", "docs", "var", *APPS),
}
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
VAGUE_NAMES = {"util", "helper", "common", "base", "misc", "manager"}
NAMED_BY_DJANGO = {"paymentsite/postgresql/base.py"}
# Word to what is said instead. A PSP's own spelling may stand in that PSP's folder.
WORDS = {
    r"authoris": "authoriz…",
    r"cancelled": "canceled",
    r"cancelling": "canceling",
    r"capturable_cents|amount_cents": "…_minor",
    r"\bTODO\b|\bFIXME\b": "finish it, or leave it out",
}
# Where a person reads the output of a program that we start by hand.
MAY_PRINT = ("paymentsite/launcher/", "/management/commands/", "/__main__.py", "bench/")


def _python_files() -> list[Path]:
    return [
        path
        for app in APPS
        for path in sorted((PROJECT / app).rglob("*.py"))
        if "__pycache__" not in path.parts
    ]


def _texts() -> list[Path]:
    patterns = ("*.md", "docs/**/*.md", "templates/**/*.html", "Makefile")
    return [*_python_files(), *(path for each in patterns for path in PROJECT.glob(each))]


def _name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def _is_migration(path: Path) -> bool:
    return "migrations" in path.parts


def _is_test(path: Path) -> bool:
    return "tests" in path.parts


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _lines_of(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _lines_of_table(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """A dictionary that a function returns, field by field, is read like data."""
    last = function.body[-1]
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Dict):
        return _lines_of(last.value)
    return 0


def test_there_is_something_to_look_at() -> None:
    assert len(_python_files()) > 40


def test_the_top_level_is_as_decided() -> None:
    found = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")}
    assert found - TOP_LEVEL - {"__pycache__"} == set(), "put it into one of the folders"


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [
        _name(path)
        for path in _python_files()
        if path.stem.strip("_").removesuffix("s") in VAGUE_NAMES
        and _name(path) not in NAMED_BY_DJANGO
    ]
    assert vague == [], "name the file after what is in it"


def test_every_module_can_be_read_in_one_go() -> None:
    long = {
        _name(path): lines
        for path in _python_files()
        if not _is_migration(path)
        and (lines := len(path.read_text().splitlines())) > MODULE_LINES_MAX
    }
    assert long == {}, f"at most {MODULE_LINES_MAX} lines: split by what belongs together"


def test_every_function_can_be_seen_at_once() -> None:
    long = [
        f"{_name(path)}:{node.lineno} {node.name}"
        for path in _python_files()
        if not _is_migration(path)
        for node in _functions(path)
        if _lines_of(node) - _lines_of_table(node) > FUNCTION_LINES_MAX
    ]
    assert long == [], f"at most {FUNCTION_LINES_MAX} lines: name its parts"


def test_every_module_says_what_lives_there() -> None:
    silent = [
        _name(path)
        for path in _python_files()
        if not _is_migration(path) and _tree(path).body and not ast.get_docstring(_tree(path))
    ]
    assert silent == [], "open the module with what lives there, and what may not"


def test_product_code_does_not_print() -> None:
    printing = [
        f"{_name(path)}:{node.lineno}"
        for path in _python_files()
        if not _is_test(path) and not any(part in _name(path) for part in MAY_PRINT)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == [], "log it: structlog.get_logger(__name__)"


@pytest.mark.parametrize(("word", "instead"), sorted(WORDS.items()))
def test_one_word_for_one_thing(word: str, instead: str) -> None:
    pattern = re.compile(word)
    found = [
        f"{_name(path)}:{number}: {line.strip()}"
        for path in _texts()
        if path != Path(__file__) and path.exists()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == [], f"say {instead}"


def test_exceptions_are_not_swallowed() -> None:
    swallowed = [
        f"{_name(path)}:{node.lineno}"
        for path in _python_files()
        if not _is_test(path)
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert swallowed == [], "handle it, or contextlib.suppress the one error that is expected"


def test_a_test_file_has_tests() -> None:
    empty = [
        _name(path)
        for path in _python_files()
        if path.name.startswith("test_")
        and not any(node.name.startswith("test_") for node in _functions(path))
    ]
    assert empty == []
