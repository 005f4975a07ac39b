"""Which entry of an account's costs is about a charge, and what it says exactly."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from ledger.money import Money
from payments.services.psp_gateway.agreed_fees import WHOLE, agreed_fees

COSTS: list[dict[str, Any]] = [
    {"basis_points": 300},
    {"method": "card", "basis_points": 250},
    {"currency": "EUR", "fixed_minor": 10},
    {"currency": "EUR", "method": "card", "basis_points": 140, "fixed_minor": 25},
    {"currency": "EUR", "method": "card", "brand": "amex", "basis_points": 245},
    {"currency": "EUR", "component": "markup", "fixed_minor": 11},
    {"component": "markup", "brand": "amex", "basis_points": 1},
]


@pytest.mark.parametrize(
    ("currency", "method_type", "brand", "agreed"),
    [
        ("USD", "ideal", "", {WHOLE: 30}),
        ("USD", "card", "visa", {WHOLE: 25}),
        ("USD", "card", "amex", {WHOLE: 25, "markup": Fraction(1, 10)}),
        ("EUR", "ideal", "", {WHOLE: 10, "markup": 11}),
        ("EUR", "card", "visa", {WHOLE: 39, "markup": 11}),
        ("EUR", "card", "amex", {WHOLE: Fraction(49, 2), "markup": 11}),
    ],
)
def test_the_most_exact_entry_counts_for_the_fee_and_for_each_component(
    currency: str, method_type: str, brand: str, agreed: dict[str, Any]
) -> None:
    amount = Money(1_000, currency)
    assert agreed_fees(COSTS, amount=amount, method_type=method_type, brand=brand) == agreed


def test_without_an_entry_nothing_is_agreed() -> None:
    costs = [{"method": "ideal", "basis_points": 1}]
    assert agreed_fees(costs, amount=Money(1, "EUR"), method_type="card", brand="visa") == {}
