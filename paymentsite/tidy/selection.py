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


def choose(changed: Iterable[str], imports: Imports, *, most: int = 24) -> Chosen:
    """Choose test modules for changed modules: all that changed themselves, then up to `most`.

    First those named after a changed module, then those that import one, then the same two for
    modules that import a changed one, then those that get there through a support module of tests.
    Left are all others that reach a changed module. Within a step those that import least come
    first: they are about little else.
    """
    importers = reverse(imports)
    modules = {module for module in changed if module in imports}
    product = {module for module in modules if not _in_tests(module)}
    near = _with_packages(product, importers) | (modules - product)
    further = _with_packages(
        {m for each in near for m in importers.get(each, ()) if not _in_tests(m)} - near, importers
    )
    steps = (
        modules,
        _named_after(product, imports),
        _importing(near, importers),
        _named_after(further, imports),
        _importing(further, importers),
        _importing(_support_modules(near, importers), importers),
    )
    order: dict[str, None] = {}
    for step in steps:
        tests = filter(is_test, step)
        order.update(dict.fromkeys(sorted(tests, key=lambda test: (len(imports[test]), test))))
    run = tuple(order)[: max(most, len(set(filter(is_test, modules))))]
    reached = {m for module in modules for m in reachable(module, importers) if is_test(m)}
    return Chosen(run, tuple(sorted((reached | order.keys()) - set(run))))


def is_test(module: str) -> bool:
    """Whether pytest collects it."""
    return _in_tests(module) and module.rpartition(".")[2].startswith("test_")


def _in_tests(module: str) -> bool:
    return "tests" in module.split(".")


def _named_after(modules: Iterable[str], imports: Imports) -> set[str]:
    """`test_<module>` and `test_<module>_…` of the same app, and all in a folder of that name."""
    names = {(module.split(".")[0], module.rpartition(".")[2]) for module in modules}
    return {
        test
        for test in imports
        if is_test(test)
        for app, name in names
        if test.startswith(f"{app}.tests.")
        and (
            f"{test}_".startswith(f"{test.rpartition('.')[0]}.test_{name}_") or f".{name}." in test
        )
    }


def _with_packages(modules: set[str], importers: Imports) -> set[str]:
    """The modules and the packages that export them: a test imports the package."""
    return modules | {
        package
        for module in modules
        for package in importers.get(module, ())
        if module.startswith(f"{package}.")
    }


def _importing(modules: set[str], importers: Imports) -> set[str]:
    return {importer for module in modules for importer in importers.get(module, ())}


def _support_modules(modules: set[str], importers: Imports) -> set[str]:
    """What tests import that is no test, and leads to one of `modules` through others such."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        for importer in importers.get(waiting.pop(), ()):
            if _in_tests(importer) and not is_test(importer) and importer not in found:
                found.add(importer)
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
