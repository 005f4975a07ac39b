"""Tests of every combination (`@pytest.mark.matrix`): all of them take minutes, so that a usual run
plays some, in which each value of each parameter occurs. Of a long list of like cases it plays
`matrix(most=…)`. `make matrix` plays all.

What may not live here: the tests.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the chosen combinations show already."""
    if os.environ.get("WHOLE_MATRIX"):
        return
    by_test: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("matrix") is not None:
            by_test[item.nodeid.partition("[")[0]].append(item)
    spared = [item for group in by_test.values() for item in set(group) - set(_played(group))]
    if spared:
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in set(spared)]


def _played(group: Sequence[pytest.Item]) -> list[pytest.Item]:
    marker = group[0].get_closest_marker("matrix")
    most = marker.kwargs.get("most") if marker is not None else None
    return chosen(group) if most is None else spread(group, most)


def spread(items: Sequence[pytest.Item], most: int) -> list[pytest.Item]:
    """So many of a list, from its beginning to its end; the same in each run."""
    if len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


def chosen(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """The fewest, or nearly, in which every value occurs; the same in each run."""
    missing = {value for item in items for value in _values(item)}
    taken: list[pytest.Item] = []
    while missing:
        best = max(items, key=lambda item: len(missing & _values(item)))
        missing -= _values(best)
        taken.append(best)
    return taken


def _values(item: pytest.Item) -> set[tuple[str, str]]:
    callspec = getattr(item, "callspec", None)
    return {(name, repr(value)) for name, value in callspec.params.items()} if callspec else set()
