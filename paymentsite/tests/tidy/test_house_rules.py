"""How files are named, and which know the decimals of amounts. `make lint` counts the rest."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from paymentsite.tidy.sources import APPS, PROJECT, name, product_files, python_files, text, tree

TOP_LEVEL = {
    *("manage.py", "Makefile", "README.md", "requirements.txt", "requirements-dev.txt"),
    *("pytest.ini", "templates", "docs", "var", *APPS),
}
VAGUE_NAMES = {"util", "helper", "common", "base", "misc", "manager"}
NAMED_BY_DJANGO = {"paymentsite/postgresql/base.py"}
# Money.__str__ for people, MinorUnits for PSPs; the third hands an amount's text to CLDR.
KNOWS_DECIMALS = {
    *("ledger/money.py", "psp_adapters/contract/minor_units.py"),
    "payments/checkout/localization.py",
}
SCALES = (ast.Div, ast.FloorDiv, ast.Mod, ast.Mult, ast.Pow)


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


def decimals_known_in(module: ast.Module) -> Iterator[ast.AST]:
    """Where a module reads a currency's decimals, or moves the decimal point of an amount."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name | ast.Attribute):
            if (node.id if isinstance(node, ast.Name) else node.attr) in ("Decimal", "quantize"):
                yield node
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "CURRENCY_EXPONENTS":
            yield node
        elif isinstance(node, ast.BinOp) and isinstance(node.op, SCALES):
            by = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            if by & {10, 100, 1000} and "minor" in ast.unparse(node.left):
                yield node
        elif (
            isinstance(node, ast.FormattedValue)
            and node.format_spec is not None
            and "f" in ast.unparse(node.format_spec)[2:]
            and "minor" in ast.unparse(node.value)
        ):
            yield node


def test_few_modules_know_the_decimals_of_amounts() -> None:
    for export in (
        "row.writerow([line.amount_minor / 100])",
        "gross_minor // 10**2",
        "(Decimal(minor) / 100).quantize(STEP)",
        "10 ** CURRENCY_EXPONENTS[currency]",
        'f"{total_minor:.2f}"',
    ):
        assert list(decimals_known_in(ast.parse(export))), export
    of_amounts = [path for path in product_files() if "minor" in text(path)]
    found = {name(path) for path in of_amounts if any(decimals_known_in(tree(path)))}
    assert found == KNOWS_DECIMALS, "render amounts by str(Money(minor, currency))"
