"""Converts amounts between the platform's minor units and those of a PSP.

The platform counts as the merchant API does (`ledger.money`). PSPs differ: ISO 4217 has no decimals
for ISK, one PSP takes two, another none for IDR. An adapter names the currencies that its PSP
counts otherwise, and every amount of the adapter goes through here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from ledger.exceptions import LedgerError
from ledger.money import CURRENCY_EXPONENTS, Money

_MAJOR: Final = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,6}))?")


class NotRepresentable(LedgerError):
    """The amount has a fraction that the other side cannot write."""


class MinorUnits:
    """How one PSP counts: `decimals` names the currencies with another number than ours."""

    def __init__(self, decimals: Mapping[str, int]) -> None:
        self._decimals = CURRENCY_EXPONENTS | dict(decimals)
        self._shifts = {
            currency: CURRENCY_EXPONENTS[currency] - there for currency, there in decimals.items()
        }

    def to_psp(self, amount: Money) -> int:
        """The amount in the PSP's minor unit; raises NotRepresentable."""
        return _shifted(amount.minor, -self._shifts.get(amount.currency, 0), amount.currency)

    def from_psp(self, minor: object, currency: str) -> Money:
        """What the PSP wrote as `minor`.

        Raises NotRepresentable, UnknownCurrency, and TypeError if it is no integer.
        """
        shift = self._shifts.get(currency, 0)
        if type(minor) is not int or not shift:
            return Money(minor, currency)  # type: ignore[arg-type]
        return Money(_shifted(minor, shift, currency), currency)

    def to_major(self, amount: Money) -> str:
        """The amount as a decimal number with all decimals that the PSP counts, such as `10.00`.

        Raises NotRepresentable.
        """
        decimals = self._decimals[amount.currency]
        minor = self.to_psp(amount)
        sign, digits = "-" if minor < 0 else "", str(abs(minor)).rjust(decimals + 1, "0")
        if not decimals:
            return f"{sign}{digits}"
        return f"{sign}{digits[:-decimals]}.{digits[-decimals:]}"

    def from_major(self, said: str, currency: str) -> Money:
        """What the PSP wrote as a decimal number; digits beyond its decimals must be zeros.

        Raises NotRepresentable, UnknownCurrency, and ValueError if it is no such number.
        """
        match = _MAJOR.fullmatch(said)
        if match is None:
            raise ValueError("not an amount")
        sign, whole, fraction = match.groups()
        decimals = self._decimals.get(currency, 0)
        digits = (fraction or "").ljust(decimals, "0")
        if digits[decimals:].strip("0"):
            raise NotRepresentable(f"more decimals than {currency} has there")
        return self.from_psp(int(f"{sign}{whole}{digits[:decimals]}"), currency)

    def nearest_sum(self, said: Iterable[str], currency: str) -> Money:
        """The sum of decimal numbers with more decimals than the PSP counts, for comparison only.

        Raises NotRepresentable, UnknownCurrency, and ArithmeticError for what is no number.
        """
        total = sum((Decimal(each) for each in said), Decimal(0))
        least = Decimal(1).scaleb(-self._decimals.get(currency, 0))
        return self.from_major(str(total.quantize(least, ROUND_HALF_EVEN)), currency)


def _shifted(minor: int, places: int, currency: str) -> int:
    """Move the decimal point; digits that would be lost are refused, never rounded."""
    factor: int = 10 ** abs(places)
    if places >= 0:
        return minor * factor
    whole, lost = divmod(minor, factor)
    if lost:
        raise NotRepresentable(f"{minor} minor units of {currency} have a fraction there")
    return whole
