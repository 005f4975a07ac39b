"""Rules of the house that no other tool holds. Every finding says what to do instead."""

from __future__ import annotations

import ast

from paymentsite.tidy import figures
from paymentsite.tidy.sources import (
    APPS,
    PROJECT,
    functions,
    is_migration,
    is_test,
    name,
    python_files,
    tree,
)

TOP_LEVEL = {
    *("manage.py", "Makefile", "README.md", "requirements.txt", "requirements-dev.txt"),
    *("pytest.ini", "templates", "docs", "var", *APPS),
}
VAGUE_NAMES = {"util", "helper", "common", "base", "misc", "manager"}
NAMED_BY_DJANGO = {"paymentsite/postgresql/base.py"}
# Where a person reads the output of a program that we start by hand.
MAY_PRINT = ("paymentsite/launcher/", "/management/commands/", "/__main__.py", "bench/")


def test_there_are_files_to_check() -> None:
    assert len(python_files()) > 40


def test_the_top_level_is_as_decided() -> None:
    found = {path.name for path in PROJECT.iterdir() if not path.name.startswith(".")}
    assert found - TOP_LEVEL - {"__pycache__"} == set(), "put it into one of the folders"


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = [
        name(path)
        for path in python_files()
        if path.stem.strip("_").removesuffix("s") in VAGUE_NAMES
        and name(path) not in NAMED_BY_DJANGO
    ]
    assert vague == [], "name the file after what is in it"


def test_no_figure_is_above_its_ceiling() -> None:
    """One test for all: each process that counts parses every module first."""
    found = {figure: figures.FIGURES[figure]() for figure in figures.ceilings()}
    above = [
        f"{figure}: {found[figure].value} {found[figure].where}, at most {most}"
        for figure, most in figures.ceilings().items()
        if found[figure].value > most
    ]
    assert above == [], figures.CEILINGS.name


def test_every_module_says_what_lives_there() -> None:
    silent = [
        name(path)
        for path in python_files()
        if not is_migration(path) and tree(path).body and not ast.get_docstring(tree(path))
    ]
    assert silent == [], "open the module with what lives there, and what may not"


def test_product_code_does_not_print() -> None:
    printing = [
        f"{name(path)}:{node.lineno}"
        for path in python_files()
        if not is_test(path) and not any(part in name(path) for part in MAY_PRINT)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert printing == [], "log it: structlog.get_logger(__name__)"


def test_banned_words_only_become_rarer() -> None:
    """One test for all: each process that counts reads every text first."""
    found = [(word, word.places(figures.plain_texts())) for word in figures.banned_words()]
    too_many = [
        f"{word.pattern}: {len(places)} times, at most {word.most}: say {word.say}\n"
        + "\n".join(places)
        for word, places in found
        if len(places) > word.most
    ]
    assert too_many == [], figures.CEILINGS.name


def test_exceptions_are_not_swallowed() -> None:
    swallowed = [
        f"{name(path)}:{node.lineno}"
        for path in python_files()
        if not is_test(path)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and all(isinstance(statement, ast.Pass) for statement in node.body)
    ]
    assert swallowed == [], "handle it, or contextlib.suppress the one error that is expected"


def test_a_test_file_has_tests() -> None:
    empty = [
        name(path)
        for path in python_files()
        if path.name.startswith("test_")
        and not any(node.name.startswith("test_") for node in functions(path))
    ]
    assert empty == []
