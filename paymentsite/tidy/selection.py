"""Chooses the tests of what changed, and of what imports it, nearest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from paymentsite.tidy.imports import Imports, reachable, reverse


@dataclass(frozen=True)
class Chosen:
    """Test modules in the order in which they are worth running, and those that are left out."""

    run: tuple[str, ...]
    left: tuple[str, ...]


def choose(changed: Iterable[str], imports: Imports) -> Chosen:
    """Choose test modules for changed modules.

    First those that changed, then those named after a changed module, then those that import one,
    then the same two for modules that import a changed one. Left are tests that reach a changed
    module through more modules than that. Within a step those that import least come first: they
    are about little else.
    """
    importers = reverse(imports)
    modules = {module for module in changed if module in imports}
    product = {module for module in modules if not _in_tests(module)}
    support = modules - product
    near = _with_packages(product, importers)
    further = {m for each in near for m in importers.get(each, ()) if not _in_tests(m)} - near
    steps = (
        support,
        _named_after(product, imports),
        _tests_importing(near | support, importers),
        _named_after(further, imports),
        _tests_importing(_with_packages(further, importers), importers),
    )
    order: dict[str, None] = {}
    for step in steps:
        tests = filter(is_test, step)
        order.update(dict.fromkeys(sorted(tests, key=lambda test: (len(imports[test]), test))))
    reached = {m for module in modules for m in reachable(module, importers) if is_test(m)}
    return Chosen(tuple(order), tuple(sorted(reached - order.keys())))


def is_test(module: str) -> bool:
    """Whether pytest collects it."""
    return _in_tests(module) and module.rpartition(".")[2].startswith("test_")


def _in_tests(module: str) -> bool:
    return "tests" in module.split(".")


def _named_after(modules: Iterable[str], imports: Imports) -> set[str]:
    """`test_<module>` in the same app."""
    names = {(module.split(".")[0], f"test_{module.rpartition('.')[2]}") for module in modules}
    return {test for test in imports if (test.split(".")[0], test.rpartition(".")[2]) in names}


def _with_packages(modules: set[str], importers: Imports) -> set[str]:
    """The modules and the packages that export them: a test imports the package."""
    return modules | {
        package
        for module in modules
        for package in importers.get(module, ())
        if module.startswith(f"{package}.")
    }


def _tests_importing(modules: set[str], importers: Imports) -> set[str]:
    """Tests that import one of them, or a support module of tests that does."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        for importer in importers.get(waiting.pop(), ()):
            if _in_tests(importer) and importer not in found:
                found.add(importer)
                if not is_test(importer):
                    waiting.append(importer)
    return found


def modules_of(files: Iterable[str], imports: Imports) -> set[str]:
    """The modules of files that are named from the project's folder on, as git names them.

    A changed `conftest.py` changes every test in its folder, though none imports it.
    """
    names = {file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in files}
    folders = tuple(name.removesuffix("conftest") for name in names if name.endswith(".conftest"))
    return {
        module
        for module in imports
        if module in names or (is_test(module) and module.startswith(folders))
    }
