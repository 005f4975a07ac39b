"""Words are found in names too, and ceilings fall to the counts."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from paymentsite.tidy import figures, sources

_SETTINGS = """\
[limits]
"lines of the longest module" = 400

[ceilings]
"import circles" = 3

[words]
"blue frogs?" = { say = "green toad", most = 72 }
"red newts?" = { say = "newt 2", most = 5 }
"""


def test_a_ceiling_falls_to_the_count_and_never_rises() -> None:
    counts = {
        "lines of the longest module": 9,
        "import circles": 0,
        "blue frogs?": 7,
        "red newts?": 6,
    }
    assert figures.lower(counts, _SETTINGS) == (
        _SETTINGS.replace("= 3", "= 0").replace("most = 72", "most = 7")
    )


@pytest.mark.parametrize(
    "text", ["blue frogs", "Blue-Frog", "BlueFrog", "blue_frogs_of", "a\nblue frog"]
)
def test_a_banned_word_is_found_in_prose_and_in_names(text: str) -> None:
    assert len(_places(text)) == 1


@pytest.mark.parametrize("text", ["pblue frogs", "blue froging", "bluer frogs", "blue"])
def test_a_longer_word_is_another_word(text: str) -> None:
    assert _places(text) == []


def _places(text: str) -> list[str]:
    return figures.Word("blue frogs?", "green toad", 0).places({"page.md": figures.plain(text)})


def test_a_returned_table_is_not_counted_as_lines_to_read() -> None:
    function = ast.parse(
        "def table():\n    '''A table.'''\n    return {\n    1: 2,\n    3: 4,\n    }"
    )
    assert isinstance(function.body[0], ast.FunctionDef)
    assert sources.lines_to_read(function.body[0]) == 2


@pytest.mark.parametrize(
    ("is_fault", "fault", "fine"),
    [
        (figures.is_print, "print(1)", "log.info(1)"),
        (
            figures.is_swallowed,
            "try:\n    f()\nexcept OSError:\n    pass",
            "try:\n    f()\nexcept OSError:\n    g()",
        ),
        (figures.is_silent, "X = 1", "'What lives here.'\nX = 1"),
    ],
)
def test_what_no_module_may_have_is_found(
    is_fault: Callable[[ast.AST], bool], fault: str, fine: str
) -> None:
    assert any(map(is_fault, ast.walk(ast.parse(fault))))
    assert not any(map(is_fault, ast.walk(ast.parse(fine))))


def test_an_exception_is_seen_swallowed_wherever_it_stands() -> None:
    module = ast.parse(
        "class A:\n def a(self):\n  if a:\n   with b:\n    try:\n     f()\n    except E:\n     pass"
    )
    assert any(map(figures.is_swallowed, sources.statements(module)))


def test_a_module_that_inherits_all_its_tests_has_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inherits, empty = tmp_path / "test_inherits.py", tmp_path / "test_empty.py"
    inherits.write_text("class TestPsp(Suite):\n    token = 1\n")
    empty.write_text("class Kept(Suite):\n    pass\n\n\nclass TestPsp:\n    pass\n")
    monkeypatch.setattr(sources, "python_files", lambda: (inherits, empty))
    monkeypatch.setattr(sources, "PROJECT", tmp_path)
    figure = figures.FIGURES["test files without tests"]()
    assert (figure.value, figure.where) == (1, "test_empty.py")
