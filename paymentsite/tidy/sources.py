"""The files of the project, and what is in them: which are product, tests or migrations."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
PRODUCT_APPS = ("paymentsite", "payments", "ledger", "reconciliation", "psp_adapters")
APPS = (*PRODUCT_APPS, "bench")
_TEXTS = ("*.md", "docs/**/*.md", "templates/**/*.html", "*/sql/**/*.sql", "Makefile")

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def python_files() -> tuple[Path, ...]:
    """Every module of ours: product, bench, tests and migrations."""
    return tuple(
        path
        for app in APPS
        for path in sorted((PROJECT / app).rglob("*.py"))
        if "__pycache__" not in path.parts
    )


@cache
def shipped_files() -> tuple[Path, ...]:
    """Product and bench: no tests, no migrations, no checks of the code."""
    return tuple(
        path
        for path in python_files()
        if not is_test(path) and not is_migration(path) and "tidy" not in _parts(path)
    )


@cache
def product_files() -> tuple[Path, ...]:
    """What runs where money moves: `shipped_files` without bench."""
    return tuple(path for path in shipped_files() if _parts(path)[0] in PRODUCT_APPS)


@cache
def files_of_tests() -> tuple[Path, ...]:
    """Modules in a folder of tests, support modules included."""
    return tuple(path for path in python_files() if is_test(path))


@cache
def texts() -> tuple[Path, ...]:
    """Everything that a person reads: modules, SQL, templates and documents."""
    found = {path for pattern in _TEXTS for path in PROJECT.glob(pattern)}
    return (*python_files(), *sorted(found))


@cache
def text(path: Path) -> str:
    """The file's content."""
    return path.read_text()


@cache
def tree(path: Path) -> ast.Module:
    """The module's syntax tree."""
    return ast.parse(text(path), filename=str(path))


def name(path: Path) -> str:
    """The path as it is written in findings, from the project's folder on."""
    return path.relative_to(PROJECT).as_posix()


def lines(path: Path) -> int:
    """Number of lines."""
    return len(text(path).splitlines())


def is_migration(path: Path) -> bool:
    """Whether it stands in a folder of migrations."""
    return "migrations" in _parts(path)


def is_test(path: Path) -> bool:
    """Whether it stands in a folder of tests."""
    return "tests" in _parts(path)


def functions(path: Path) -> Iterator[Function]:
    """Every function and method of a module, those inside functions as well."""
    return (node for node in statements(tree(path)) if isinstance(node, Function))


def classes(path: Path) -> Iterator[ast.ClassDef]:
    """Every class of a module."""
    return (node for node in statements(tree(path)) if isinstance(node, ast.ClassDef))


def statements(module: ast.Module) -> Iterator[ast.AST]:
    """The module, its statements, and those inside them; exception handlers as well."""
    waiting: list[ast.AST] = [module]
    while waiting:
        node = waiting.pop()
        yield node
        # Statements stand in statements; to look into every expression takes five times as long.
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, field, ())
            if isinstance(inner, list):  # not the one expression of a lambda
                waiting.extend(inner)


def lines_to_read(function: Function) -> int:
    """Lines of a function, without the dictionary that it returns: that is read like data."""
    last = function.body[-1]
    table = last.value if isinstance(last, ast.Return) else None
    return _lines_of(function) - (_lines_of(table) if isinstance(table, ast.Dict) else 0)


def _parts(path: Path) -> tuple[str, ...]:
    return path.relative_to(PROJECT).parts


def _lines_of(node: ast.stmt | ast.expr) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1
