"""Counts what makes the code hard to read, and holds each count under the ceiling in `.tidy.toml`.

`python -m paymentsite.tidy.figures` prints one line a figure, `--words` one more a banned word,
and `--lower` writes the present counts into `.tidy.toml` where they are below their ceiling.
"""

from __future__ import annotations

import ast
import configparser
import gc
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from paymentsite.launcher.progress import say
from paymentsite.tidy import imports, sources

CEILINGS = sources.PROJECT / ".tidy.toml"
_SERVICES = "payments.services"
_SERVICES_CONTRACT = "importlinter:contract:payments-services"
_SMALL_MODULE_LINES = 50
_VAGUE_ACTORS = r"\b((some|no|any)body|who(ever))\b"
# Where a person reads the output of a program that we start by hand.
_MAY_PRINT = ("paymentsite/launcher/", "/management/commands/", "/__main__.py", "bench/")
_LEASES = r"FOR (NO KEY )?UPDATE( OF \w+)? SKIP LOCKED|skip_locked=True"


@dataclass(frozen=True)
class Figure:
    """One count; `where` names what it is about, if it is about one thing."""

    value: int
    where: str = ""


def _services() -> list[Path]:
    folder = sources.PROJECT / _SERVICES.replace(".", "/")
    return [path for path in folder.glob("*.py") if path.name != "__init__.py"]


def _services_layers() -> Figure:
    read = configparser.ConfigParser()
    read.read(sources.PROJECT / ".importlinter")
    return Figure(len(read[_SERVICES_CONTRACT]["layers"].split("\n")[1:]))


def _services_arrows() -> Figure:
    found = imports.arrows(imports.all_imports(), _SERVICES)
    rooms = {room for arrow in found for room in arrow}
    return Figure(len(found), f"among {len(rooms)} rooms")


def import_circles() -> list[list[str]]:
    """Circles among our modules without tests, imports behind `TYPE_CHECKING` included."""
    return imports.circles(imports.without_tests(imports.all_imports()))


def _circles() -> Figure:
    found = import_circles()
    return Figure(len(found), "; ".join(" ".join(_shortened(circle)) for circle in found))


def _shortened(circle: list[str]) -> list[str]:
    return [".".join(module.split(".")[-2:]) for module in circle]


def _fullest_folder(paths: Iterable[Path]) -> Figure:
    folders = Counter(path.parent for path in paths if path.name != "__init__.py")
    folder, files = folders.most_common(1)[0]
    return Figure(files, sources.name(folder))


def _named_modules() -> list[Path]:
    return [path for path in sources.shipped_files() if path.name != "__init__.py"]


def _small_modules() -> Figure:
    small = sum(sources.lines(path) < _SMALL_MODULE_LINES for path in _named_modules())
    return Figure(small, f"of {len(_named_modules())}")


def _matches(pattern: str, paths: Iterable[Path], *, flags: re.RegexFlag = re.I) -> Figure:
    compiled = re.compile(pattern, flags)
    return Figure(sum(len(compiled.findall(sources.text(path))) for path in paths))


def _product_lines() -> Figure:
    return Figure(sum(sources.lines(path) for path in sources.product_files()))


def _longest_module() -> Figure:
    paths = [path for path in sources.python_files() if not sources.is_migration(path)]
    longest = max(paths, key=sources.lines)
    return Figure(sources.lines(longest), sources.name(longest))


def _longest_function() -> Figure:
    return max(
        (
            Figure(sources.lines_to_read(node), f"{sources.name(path)}:{node.lineno} {node.name}")
            for path in sources.python_files()
            if not sources.is_migration(path)
            for node in sources.functions(path)
        ),
        key=lambda figure: figure.value,
    )


def _places(
    paths: Iterable[Path],
    is_fault: Callable[[ast.AST], bool],
    nodes: Callable[[ast.Module], Iterable[ast.AST]],
) -> Figure:
    """Counts the places in these files at which something stands that no module may have.

    `nodes` are those of a module that can be one: to walk through all takes seconds.
    """
    found = [
        f"{sources.name(path)}:{getattr(node, 'lineno', 1)}"
        for path in paths
        for node in nodes(sources.tree(path))
        if is_fault(node)
    ]
    return Figure(len(found), " ".join(found))


def is_print(node: ast.AST) -> bool:
    """Product code logs: `structlog.get_logger(__name__)`."""
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    )


def is_swallowed(node: ast.AST) -> bool:
    """Handle the exception, or suppress the one that is expected with `contextlib.suppress`."""
    return isinstance(node, ast.ExceptHandler) and all(
        isinstance(statement, ast.Pass) for statement in node.body
    )


def is_silent(node: ast.AST) -> bool:
    """A module opens with what lives there."""
    return isinstance(node, ast.Module) and bool(node.body) and not ast.get_docstring(node)


def _may_print_wrongly() -> list[Path]:
    return [
        path
        for path in sources.python_files()
        if not sources.is_test(path)
        and not any(part in sources.name(path) for part in _MAY_PRINT)
        and re.search(r"\bprint\b", sources.text(path))
    ]


def _test_files_without_tests() -> Figure:
    empty = [
        sources.name(path)
        for path in sources.python_files()
        if path.name.startswith("test_")
        and not any(node.name.startswith("test_") for node in sources.functions(path))
        and not any(node.name.startswith("Test") and node.bases for node in sources.classes(path))
    ]
    return Figure(len(empty), " ".join(empty))


# Most have a ceiling of the same name in .tidy.toml. Product is without bench, tests, migrations.
FIGURES: dict[str, Callable[[], Figure]] = {
    "loose modules in payments/services": lambda: Figure(len(_services())),
    "import layers of payments/services": _services_layers,
    "import arrows in payments/services": _services_arrows,
    "import circles": _circles,
    "files in the fullest folder, product": lambda: _fullest_folder(sources.product_files()),
    "files in the fullest folder, bench": lambda: _fullest_folder(
        set(sources.shipped_files()) - set(sources.product_files())
    ),
    "files in the fullest folder, tests": lambda: _fullest_folder(sources.files_of_tests()),
    "modules under 50 lines, with bench": _small_modules,
    "'may not live here', with bench": lambda: _matches(
        "may not live here", sources.shipped_files()
    ),
    "vague actors in product": lambda: _matches(_VAGUE_ACTORS, sources.product_files()),
    "'word' in product": lambda: _matches(r"\bwords?\b", sources.product_files()),
    "statements that skip locked rows": lambda: _matches(
        _LEASES, sources.product_files(), flags=re.NOFLAG
    ),
    "lines of product": _product_lines,
    "lines of the longest module": _longest_module,
    "lines of the longest function": _longest_function,
    "modules that do not say what lives there": lambda: _places(
        (path for path in sources.python_files() if not sources.is_migration(path)),
        is_silent,
        lambda module: [module],
    ),
    "print() in product": lambda: _places(_may_print_wrongly(), is_print, ast.walk),
    "exceptions swallowed": lambda: _places(
        (path for path in sources.python_files() if not sources.is_test(path)),
        is_swallowed,
        sources.statements,
    ),
    "test files without tests": _test_files_without_tests,
}


@dataclass(frozen=True)
class Word:
    """A banned word: what is said instead, and how often it may still occur."""

    pattern: str
    say: str
    most: int

    def places(self, texts: Mapping[str, str]) -> list[str]:
        """Where it occurs in `texts` (file to plain text), as `file:line`."""
        # The character before is checked afterwards: a pattern that begins with its word is faster.
        compiled = re.compile(rf"(?:{self.pattern})(?![a-z])")
        return [
            f"{file}:{text.count(chr(10), 0, found.start()) + 1}"
            for file, text in texts.items()
            for found in compiled.finditer(text)
            if not text[max(found.start() - 1, 0) : found.start()].isalpha()
        ]


def plain(text: str) -> str:
    """In lower case, and names taken apart: `DueQueue` and `due_queue` become `due queue`."""
    return re.sub(r"[_-]|(?<=[a-z])(?=[A-Z])", " ", text).lower()


@cache
def plain_texts() -> dict[str, str]:
    """Every text of the project."""
    return {sources.name(path): plain(sources.text(path)) for path in sources.texts()}


@cache
def _settings() -> dict[str, dict[str, Any]]:
    return tomllib.loads(CEILINGS.read_text())


def ceilings() -> dict[str, int]:
    """The highest value that a figure may have; one without is only printed."""
    return {**_settings()["limits"], **_settings()["ceilings"]}


def banned_words() -> list[Word]:
    """The words of `.tidy.toml`."""
    return [Word(pattern, **entry) for pattern, entry in _settings()["words"].items()]


def lower(counts: Mapping[str, int], settings: str) -> str:
    """`.tidy.toml` with each count that is below its ceiling in the ceiling's place."""

    def lowered(line: re.Match[str]) -> str:
        most = min(int(line["most"]), counts.get(line["key"], int(line["most"])))
        return f'"{line["key"]}"{line["between"]}{most}{line["end"]}'

    limits, ceilings_ = settings.split("[ceilings]")
    line = r'^"(?P<key>[^"]+)"(?P<between> = .*?)(?P<most>\d+)(?P<end>( })?)$'
    return f"{limits}[ceilings]{re.sub(line, lowered, ceilings_, flags=re.M)}"


def main(arguments: list[str]) -> int:
    """Print every figure with its ceiling; 1 if one is above it."""
    gc.disable()  # to look for garbage among a million syntax nodes takes as long as the rest
    above = []
    counts = {}
    for name, measure in FIGURES.items():
        figure, most = measure(), ceilings().get(name)
        counts[name] = figure.value
        above += [name] * (most is not None and figure.value > most)
        ceiling = "" if most is None else f" ({most})"
        say(f"{name}: {figure.value}{ceiling} {figure.where}".rstrip())
    words = banned_words()
    for word in words:
        places = word.places(plain_texts())
        count = counts[word.pattern] = len(places)
        if "--words" in arguments or count > word.most:
            say(f"  '{word.pattern}', say {word.say}: {count} ({word.most})")
        if count > word.most:
            above.append(word.pattern)
            say("\n".join(f"    {place}" for place in places))
    total = sum(counts[word.pattern] for word in words)
    say(f"banned words: {total} ({sum(word.most for word in words)})")
    if "--lower" in arguments:
        CEILINGS.write_text(lower(counts, CEILINGS.read_text()))
    if above:
        say(f"above the ceiling in {CEILINGS.name}: {', '.join(above)}")
    return bool(above)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
