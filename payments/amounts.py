"""The smallest and largest amount of a payment, per currency, its divisibility, and our fee.

Limits of a PSP, and what is left to capture or refund, are not checked here.
"""

from __future__ import annotations

from typing import Final

from ledger.money import Money, amount_step_minor
from payments.exceptions import AmountRefused

# The minima that Stripe publishes, in minor units. A currency without one starts at
# its smallest amount.
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
    return Money(_MINIMUM_MINOR.get(currency, amount_step_minor(currency)), currency)


def maximum(currency: str) -> Money:
    """The largest payment in this currency."""
    highest_minor = _MAXIMUM_MINOR.get(currency, _USUAL_MAXIMUM_MINOR)
    return Money(highest_minor - highest_minor % amount_step_minor(currency), currency)


def check_divisibility(amount: Money, *, param: str = "amount") -> None:
    """Refuse an amount that its currency cannot be paid in: half a króna, a last digit of a dinar.

    Raises AmountRefused with the code `invalid_charge_amount`.
    """
    step_minor = amount_step_minor(amount.currency)
    if amount.minor % step_minor:
        lower_minor = amount.minor - amount.minor % step_minor
        raise AmountRefused(
            f"An amount in {amount.currency} must be divisible by {step_minor}: write "
            f"{lower_minor} or {lower_minor + step_minor} instead of {amount.minor}.",
            code="invalid_charge_amount",
            param=param,
        )


def platform_fee(captured_before: Money, amount: Money, *, basis_points: int) -> Money:
    """The platform's fee of a capture, once `captured_before` of the charge was captured.

    The fee of all captures together is that of their sum, rounded down to an amount that the
    currency can be paid in. So it does not depend on how a charge is captured: what rounding leaves
    of one capture comes with a later one.
    """
    after = captured_before + amount
    minor = _fee_minor(after, basis_points) - _fee_minor(captured_before, basis_points)
    return Money(minor, amount.currency)


def _fee_minor(amount: Money, basis_points: int) -> int:
    fee_minor = amount.minor * basis_points // 10_000
    return fee_minor - fee_minor % amount_step_minor(amount.currency)


def check_amount_limits(amount: Money, *, param: str = "amount") -> None:
    """Refuse a payment's amount outside its currency's limits.

    Raises AmountRefused with the code `amount_too_small`, `amount_too_large` or
    `invalid_charge_amount`.
    """
    check_divisibility(amount, param=param)
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
