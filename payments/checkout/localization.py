"""The language of a page, and amounts as its readers write them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from babel import Locale
from babel.numbers import NumberPattern, parse_pattern
from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

from ledger.money import Money, amount_step_minor

_DEFAULT: Final = "en"
_LOCALES: Final = {name: Locale.parse(name) for name in (_DEFAULT, "de")}


def language_of(request: HttpRequest, locale: str) -> str:
    """The session's language, else the best that the browser names, else English."""
    if locale in _LOCALES:
        return locale
    for accepted, _ in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
        if accepted.partition("-")[0] in _LOCALES:
            return accepted.partition("-")[0]
    return _DEFAULT


def localized(amount: Money, language: str) -> str:
    """`€12.50`, `12,50 €`: every digit of the amount, never rounded."""
    locale, value = _LOCALES[language], _value_of(amount)
    # Krónur are paid whole, although we count hundredths.
    step = Money(amount_step_minor(amount.currency), amount.currency)
    decimals = 0 if _value_of(step) == 1 else _decimals_of(value)
    formatted: str = _pattern(language, decimals).apply(
        value, locale, currency=amount.currency, currency_digits=False
    )
    return formatted


def _value_of(amount: Money) -> Decimal:
    return Decimal(str(amount).partition(" ")[0])


def _decimals_of(value: Decimal) -> int:
    return -int(value.as_tuple().exponent)


def _pattern(language: str, decimals: int) -> NumberPattern:
    """The currency pattern of a language with this number of decimals, as the data of CLDR has it.

    CLDR's own number of decimals is for display and drops some of ours.
    """
    pattern = parse_pattern(_LOCALES[language].currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    return pattern
