"""How files and folders may be named. What stands in them is counted by `make lint`."""

from __future__ import annotations

from paymentsite.tidy.sources import APPS, PROJECT, name, python_files

TOP_LEVEL = {
    *("manage.py", "Makefile", "README.md", "requirements.txt", "requirements-dev.txt"),
    *("pytest.ini", "templates", "docs", "var", *APPS),
}
VAGUE_NAMES = {"util", "helper", "common", "base", "misc", "manager"}
NAMED_BY_DJANGO = {"paymentsite/postgresql/base.py"}


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
