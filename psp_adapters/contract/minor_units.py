"""Converts amounts between the platform's minor units and those of a PSP.

The platform counts as the merchant API does (`ledger.money`). PSPs differ: ISO 4217 has no decimals
for ISK, one PSP takes two, another none for IDR. An adapter names the currencies that its PSP
counts otherwise, and every amount of the adapter goes through here.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.exceptions import LedgerError
from ledger.money import CURRENCY_EXPONENTS, Money


class NotRepresentable(LedgerError):
    """The amount has a fraction that the other side cannot write."""


class MinorUnits:
    """How one PSP counts: `decimals` names the currencies with another number than ours."""

    def __init__(self, decimals: Mapping[str, int]) -> None:
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


def _shifted(minor: int, places: int, currency: str) -> int:
    """Move the decimal point; digits that would be lost are refused, never rounded."""
    factor: int = 10 ** abs(places)
    if places >= 0:
        return minor * factor
    whole, lost = divmod(minor, factor)
    if lost:
        raise NotRepresentable(f"{minor} minor units of {currency} have a fraction there")
    return whole
