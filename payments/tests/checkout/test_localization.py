"""Amounts and texts in the languages of the page: every digit, every sentence."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from ledger.money import CURRENCY_EXPONENTS, Money
from payments.checkout import texts
from payments.checkout.localization import localized

PROJECT = Path(__file__).resolve().parents[3]
CATALOG = PROJECT / "payments" / "locale" / "de" / "LC_MESSAGES" / "django.po"


@pytest.mark.parametrize(
    ("minor", "currency", "english", "german"),
    [
        (1250, "EUR", "€12.50", "12,50 €"),
        (123456, "USD", "$1,234.56", "1.234,56 $"),
        (500, "JPY", "¥500", "500 ¥"),
        (500000, "ISK", "ISK 5,000", "5.000 ISK"),
        (5120, "KWD", "KWD 5.120", "5,120 KWD"),
        (123456, "LBP", "LBP 1,234.56", "1.234,56 LBP"),
    ],
)
def test_amounts_are_written_as_readers_write_them(
    minor: int, currency: str, english: str, german: str
) -> None:
    amount = Money(minor, currency)
    assert plain(localized(amount, "en")) == english
    assert plain(localized(amount, "de")) == german


def plain(text: str) -> str:
    """With ordinary blanks, and one between letters and digits."""
    return re.sub(r"(?<=[A-Z])(?=\d)", " ", re.sub(r"\s", " ", text))


@pytest.mark.parametrize("currency", sorted(CURRENCY_EXPONENTS))
def test_no_digit_of_an_amount_is_lost(currency: str) -> None:
    digits = re.sub(r"\D", "", localized(Money(12_345_600, currency), "de"))
    assert "12345600".startswith(digits)
    assert len(digits) >= 6


def test_every_text_of_the_page_is_translated_and_compiled() -> None:
    said = set()
    for template in (PROJECT / "templates" / "checkout").glob("*.html"):
        said |= set(re.findall(r'{% translate "([^"]+)" %}', template.read_text()))
    for node in ast.walk(ast.parse(Path(texts.__file__).read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "gettext"):
            said.add(ast.literal_eval(node.args[0]))
    with CATALOG.open("rb") as source, CATALOG.with_suffix(".mo").open("rb") as compiled:
        written = {m.id: m.string for m in read_po(source) if m.id}
        loaded = {m.id: m.string for m in read_mo(compiled) if m.id}
    assert said == set(written)
    assert loaded == written, "run pybabel compile -D django -d payments/locale"
    assert all(written.values())
