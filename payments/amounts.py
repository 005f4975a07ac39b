"""The smallest and largest amount that one payment may have, per currency.

Limits of a PSP, and what is left to capture or refund, are not checked here.
"""

from __future__ import annotations

from typing import Final

from ledger.money import Money
from payments.exceptions import AmountRefused

# The minima that Stripe publishes, in minor units. A currency without one starts at 1 minor unit.
_MINIMUM_MINOR: Final[dict[str, int]] = {
    "AED": 200,
    "AUD": 50,
    "BGN": 100,
    "BRL": 50,
    "CAD": 50,
    "CHF": 50,
    "CZK": 1500,
    "DKK": 250,
    "EUR": 50,
    "GBP": 30,
    "HKD": 400,
    "HUF": 17500,
    "INR": 50,
    "JPY": 50,
    "MXN": 1000,
    "MYR": 200,
    "NOK": 300,
    "NZD": 50,
    "PLN": 200,
    "RON": 200,
    "SEK": 300,
    "SGD": 50,
    "THB": 1000,
    "USD": 50,
}

# Eight digits, except where eight digits of minor units buy too little.
_MAXIMUM_MINOR: Final[dict[str, int]] = {
    "COP": 9_999_999_999,
    "HUF": 9_999_999_999,
    "IDR": 999_999_999_999,
    "INR": 999_999_999,
    "LBP": 999_999_999_999,
}
_USUAL_MAXIMUM_MINOR: Final = 99_999_999
LARGEST_MINOR: Final = max(_MAXIMUM_MINOR.values())
"""No amount of any currency is larger."""


def minimum(currency: str) -> Money:
    """The smallest payment in this currency."""
    return Money(_MINIMUM_MINOR.get(currency, 1), currency)


def maximum(currency: str) -> Money:
    """The largest payment in this currency."""
    return Money(_MAXIMUM_MINOR.get(currency, _USUAL_MAXIMUM_MINOR), currency)


def check_amount_limits(amount: Money, *, param: str = "amount") -> None:
    """Refuse a payment's amount outside its currency's limits.

    Raises AmountRefused with the code `amount_too_small` or `amount_too_large`.
    """
    lowest, highest = minimum(amount.currency), maximum(amount.currency)
    if amount < lowest:
        raise AmountRefused(
            f"The amount must be at least {lowest}.",
            code="amount_too_small",
            param=param,
        )
    if amount > highest:
        raise AmountRefused(
            f"The amount must be no more than {highest}.",
            code="amount_too_large",
            param=param,
        )
