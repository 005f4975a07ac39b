"""Amounts come back from a PSP as they were sent, in every currency; nothing is rounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.exceptions import UnknownCurrency
from ledger.money import CURRENCY_EXPONENTS, Money, amount_step_minor
from psp_adapters.contract.minor_units import MinorUnits, NotRepresentable

WHOLE = MinorUnits({"ISK": 0, "UGX": 0})
MORE = MinorUnits({"MGA": 2, "CLP": 2})


@given(st.integers(0, 10**10), st.sampled_from(sorted(CURRENCY_EXPONENTS)))
def test_every_payable_amount_comes_back_as_it_was_sent(count: int, currency: str) -> None:
    amount = Money(count * amount_step_minor(currency), currency)
    for units in (WHOLE, MORE):
        assert units.from_psp(units.to_psp(amount), currency) == amount


@pytest.mark.parametrize(
    ("units", "amount", "there"),
    [
        (WHOLE, Money(500_000, "ISK"), 5_000),
        (WHOLE, Money(500_000, "USD"), 500_000),
        (MORE, Money(500, "MGA"), 50_000),
        (MORE, Money(500, "CLP"), 50_000),
    ],
)
def test_the_decimal_point_moves_as_the_psp_counts(
    units: MinorUnits, amount: Money, there: int
) -> None:
    assert units.to_psp(amount) == there
    assert units.from_psp(there, amount.currency) == amount


def test_a_fraction_is_refused_and_not_rounded() -> None:
    with pytest.raises(NotRepresentable):
        WHOLE.to_psp(Money(5_050, "ISK"))
    with pytest.raises(NotRepresentable):
        MORE.from_psp(550, "MGA")


@pytest.mark.parametrize("minor", [1.0, "1", True, None])
def test_only_an_integer_is_an_amount(minor: object) -> None:
    for currency in ("ISK", "USD"):
        with pytest.raises(TypeError):
            WHOLE.from_psp(minor, currency)
    with pytest.raises(UnknownCurrency):
        WHOLE.from_psp(1, "XXX")


@pytest.mark.parametrize(
    ("units", "amount", "written"),
    [
        (WHOLE, Money(1250, "USD"), "12.50"),
        (WHOLE, Money(-5, "USD"), "-0.05"),
        (WHOLE, Money(500_000, "ISK"), "5000"),
        (MORE, Money(500, "CLP"), "500.00"),
        (WHOLE, Money(1230, "KWD"), "1.230"),
    ],
)
def test_decimal_numbers_have_the_decimals_of_the_psp(
    units: MinorUnits, amount: Money, written: str
) -> None:
    assert units.to_major(amount) == written
    assert units.from_major(written, amount.currency) == amount
    if "." in written:
        assert units.from_major(f"{written}0", amount.currency) == amount
        with pytest.raises(NotRepresentable):
            units.from_major(f"{written}1", amount.currency)


@pytest.mark.parametrize("said", ["", "1,00", "1e3", "NaN", "+1", " 1", "1.", "٣", "9" * 16])
def test_what_is_no_decimal_number_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        WHOLE.from_major(said, "USD")


def test_parts_of_a_minor_unit_are_summed_before_they_are_rounded() -> None:
    assert WHOLE.nearest_sum(["2.5410", "0.6050"], "EUR") == Money(315, "EUR")
    assert WHOLE.nearest_sum([], "EUR") == Money(0, "EUR")
    with pytest.raises(ArithmeticError):
        WHOLE.nearest_sum(["x"], "EUR")
