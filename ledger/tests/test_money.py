"""Money: plain integers of one currency, and nothing that is not that."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.exceptions import CurrencyMismatch, UnknownCurrency
from ledger.money import CURRENCY_EXPONENTS, Money, amount_step_minor, currency_exponent

minors = st.integers(min_value=-(2**63), max_value=2**63 - 1)
currencies = st.sampled_from(sorted(CURRENCY_EXPONENTS))


@given(minors, minors, currencies)
def test_what_is_added_can_be_taken_away_again(a: int, b: int, currency: str) -> None:
    left, right = Money(a, currency), Money(b, currency)
    assert (left + right) - right == left
    assert left + right == right + left
    assert left + Money.zero(currency) == left


@given(minors, minors, currencies)
def test_order_is_the_order_of_minor_units(a: int, b: int, currency: str) -> None:
    left, right = Money(a, currency), Money(b, currency)
    assert (left < right) == (a < b)
    assert (left <= right) == (a <= b)
    assert (left > right) == (a > b)
    assert (left >= right) == (a >= b)


@given(minors, currencies)
def test_the_decimal_amount_is_exact(minor: int, currency: str) -> None:
    digits, shown_currency = str(Money(minor, currency)).split(" ")
    assert shown_currency == currency
    assert Decimal(digits).scaleb(currency_exponent(currency)) == minor
    _, _, decimals = digits.partition(".")
    assert len(decimals) == currency_exponent(currency)


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (1250, "USD", "12.50 USD"),
        (5, "EUR", "0.05 EUR"),
        (-5, "EUR", "-0.05 EUR"),
        (1000, "JPY", "1000 JPY"),
        (1234, "KWD", "1.234 KWD"),
        (7, "KWD", "0.007 KWD"),
        (0, "JPY", "0 JPY"),
    ],
)
def test_each_currency_has_its_own_decimals(minor: int, currency: str, shown: str) -> None:
    assert str(Money(minor, currency)) == shown


@pytest.mark.parametrize("minor", [1.0, "1", Decimal(1), True, None])
def test_only_a_plain_int_is_an_amount(minor: object) -> None:
    with pytest.raises(TypeError):
        Money(minor, "USD")  # type: ignore[arg-type]


@pytest.mark.parametrize("currency", ["usd", "XXX", "", "US", "EURO", "€"])
def test_a_currency_we_do_not_keep_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency):
        Money(1, currency)
    with pytest.raises(UnknownCurrency):
        currency_exponent(currency)


def test_two_currencies_never_meet() -> None:
    dollars, euros = Money(1, "USD"), Money(1, "EUR")
    with pytest.raises(CurrencyMismatch):
        dollars + euros
    with pytest.raises(CurrencyMismatch):
        dollars - euros
    with pytest.raises(CurrencyMismatch):
        _ = dollars < euros
    assert dollars != euros


def test_zero_is_false_and_a_debt_is_not() -> None:
    assert not Money.zero("USD")
    assert Money(-1, "USD")


PUBLISHED_WITHOUT_DECIMALS = (
    *("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"),
    *("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"),
)
"""docs.stripe.com/currencies, zero-decimal currencies but for UGX, which is a special case."""
PUBLISHED_THREE_DECIMALS = ("BHD", "JOD", "KWD", "OMR", "TND")


def test_decimals_are_those_that_the_merchant_api_publishes() -> None:
    def with_decimals(decimals: int) -> set[str]:
        return {code for code, found in CURRENCY_EXPONENTS.items() if found == decimals}

    assert with_decimals(0) == set(PUBLISHED_WITHOUT_DECIMALS)
    assert with_decimals(3) == {*PUBLISHED_THREE_DECIMALS, "IQD", "LYD"}
    assert {"ISK", "UGX"} <= with_decimals(2)


def test_only_whole_kronur_and_shillings_and_no_last_digit_of_three_can_be_paid() -> None:
    steps = {code: amount_step_minor(code) for code in CURRENCY_EXPONENTS}
    assert {code for code, step in steps.items() if step == 100} == {"ISK", "UGX"}
    three = {code for code, decimals in CURRENCY_EXPONENTS.items() if decimals == 3}
    assert {code for code, step in steps.items() if step == 10} == three
    assert set(steps.values()) == {1, 10, 100}
