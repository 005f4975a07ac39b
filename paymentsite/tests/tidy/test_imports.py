"""Circles and arrows of an import graph, on made-up modules."""

from __future__ import annotations

from paymentsite.tidy.imports import Imports, all_imports, arrows, circles, without_tests


def _graph(**imports: str) -> Imports:
    named = {module.replace("__", "."): imported for module, imported in imports.items()}
    return {module: frozenset(imported.split()) for module, imported in named.items()}


def test_modules_that_import_each_other_are_one_circle() -> None:
    graph = _graph(a="b", b="c", c="a d", d="e", e="d", f="a", g="")
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]


def test_without_a_circle_there_is_none() -> None:
    assert circles(_graph(a="b c", b="c", c="")) == []


def test_tests_and_migrations_are_no_part_of_the_product() -> None:
    graph = _graph(shop="", shop__tests__shop="shop", shop__migrations__first="shop")
    assert without_tests(graph) == {"shop": frozenset()}


def test_an_arrow_leads_from_one_room_to_another() -> None:
    graph = _graph(
        shop__cash__till="shop__cash__coins shop.books",
        shop__cash__coins="shop.books shop bank",
        shop__books="",
        shop="shop.cash",
        bank="shop.books",
    )
    assert arrows(graph, "shop") == {("cash", "books")}


def test_imports_for_types_alone_are_seen() -> None:
    importer = "paymentsite.tests.tidy.imported_for_types"
    assert "paymentsite.tidy.imports" in all_imports()[importer]
