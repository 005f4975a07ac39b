"""The import graph of all our packages, imports behind `TYPE_CHECKING` included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import grimp

from paymentsite.tidy.sources import APPS

Imports = Mapping[str, frozenset[str]]  # a module to the modules that it imports


@cache
def all_imports() -> Imports:
    """Every module of ours, tests and migrations as well."""
    graph = grimp.build_graph(*APPS, exclude_type_checking_imports=False, cache_dir=None)
    return {
        module: frozenset(graph.find_modules_directly_imported_by(module))
        for module in graph.modules
    }


def without_tests(imports: Imports) -> Imports:
    """The same, without modules in folders of tests or migrations."""
    kept = {m for m in imports if not {"tests", "migrations"} & set(m.split("."))}
    return {module: imports[module] & kept for module in kept}


def circles(imports: Imports) -> list[list[str]]:
    """Groups of modules in which each imports each other, directly or through others."""
    found = []
    done: set[str] = set()
    importers = reverse(imports)
    for module in sorted(imports):
        if module not in done:
            circle = reachable(module, imports) & reachable(module, importers)
            done |= circle
            if circle:
                found.append(sorted(circle))
    return found


def reachable(start: str, edges: Imports) -> set[str]:
    """Where one gets from `start` in one step or more; `start` itself only through a circle."""
    found: set[str] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting.extend(edges.get(module, ()))
    return found


def reverse(imports: Imports) -> Imports:
    """A module to the modules that import it."""
    importers: dict[str, set[str]] = {module: set() for module in imports}
    for module, imported in imports.items():
        for each in imported:
            importers.setdefault(each, set()).add(module)
    return {module: frozenset(names) for module, names in importers.items()}


def arrows(imports: Imports, package: str) -> set[tuple[str, str]]:
    """Pairs of direct children of `package` of which the first imports the second."""
    return {
        (room, other)
        for module, imported in imports.items()
        if (room := _room(module, package))
        for each in imported
        if (other := _room(each, package)) and other != room
    }


def _room(module: str, package: str) -> str:
    """The direct child of `package` that a module belongs to; empty if outside."""
    inside = module.removeprefix(f"{package}.")
    return inside.split(".")[0] if inside != module else ""
