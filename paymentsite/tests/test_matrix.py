"""A usual run plays few of all combinations, but every value of every parameter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from paymentsite.tests.fixtures.matrix import chosen, spread


def combinations(*names: str, sizes: tuple[int, ...]) -> list[Any]:
    items: list[dict[str, int]] = [{}]
    for name, size in zip(names, sizes, strict=True):
        items = [{**item, name: value} for item in items for value in range(size)]
    return [SimpleNamespace(callspec=SimpleNamespace(params=item)) for item in items]


def test_each_value_of_each_parameter_is_played() -> None:
    items = combinations("step", "command", "repeats", sizes=(8, 5, 2))
    played = [item.callspec.params for item in chosen(items)]
    assert {p["step"] for p in played} == set(range(8))
    assert {p["command"] for p in played} == set(range(5))
    assert {p["repeats"] for p in played} == {0, 1}
    assert len(played) == 8


def test_the_choice_is_the_same_in_each_run() -> None:
    items = combinations("step", "command", sizes=(8, 5))
    assert chosen(items) == chosen(items)


def test_of_a_long_list_a_few_are_played_from_all_of_it() -> None:
    items = combinations("case", sizes=(40,))
    assert [item.callspec.params["case"] for item in spread(items, 4)] == [0, 10, 20, 30]
    assert spread(items[:3], 4) == items[:3]
