"""Money: an integer of minor units with its currency, and the table of currencies we accept.

Minor units are those of the merchant API, also in the books: ISO 4217's, but for ISK, UGX and MGA.
An adapter converts them for a PSP that counts otherwise (`psp_adapters.contract.minor_units`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import total_ordering
from typing import Final

from ledger.exceptions import CurrencyMismatch, UnknownCurrency

# Currency to number of decimals. From ISO 4217 (2026), and where the merchant API differs from it,
# as Stripe publishes it (docs.stripe.com/currencies): ISK and UGX are written with two decimals
# although they have none, MGA with none although its subunit is a fifth.
_TWO_DECIMALS: Final = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BWP BYN BZD CAD "
    "CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL "
    "HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP "
    "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR "
    "SBD SCR SEK SGD SHP SLE SOS SRD STN SZL THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU UZS WST "
    "XCD YER ZAR ZMW"
)
_NO_DECIMALS: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"

CURRENCY_EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO_DECIMALS.split(), 2),
    **dict.fromkeys(_NO_DECIMALS.split(), 0),
    **dict.fromkeys(_THREE_DECIMALS.split(), 3),
}
AMOUNT_STEPS_MINOR: Final[dict[str, int]] = {
    **dict.fromkeys(("ISK", "UGX"), 100),
    **dict.fromkeys(_THREE_DECIMALS.split(), 10),
}
"""Of what a payment's amount must be a multiple, where it is not 1: whole krónur and shillings, and
no last digit of three (card networks carry two decimals). The same source."""


def currency_exponent(currency: str) -> int:
    """Decimals of the minor unit of `currency`; refuses with UnknownCurrency."""
    try:
        return CURRENCY_EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(currency) from None


def amount_step_minor(currency: str) -> int:
    """Of how many minor units every amount of a payment in `currency` is a multiple."""
    return AMOUNT_STEPS_MINOR.get(currency, 1)


def exchanged(amount: Money, rate: Fraction, currency: str) -> Fraction:
    """An amount in minor units of `currency`, exactly, at so many of it for one of the other."""
    shift = currency_exponent(currency) - currency_exponent(amount.currency)
    return amount.minor * rate * Fraction(10) ** shift


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents, yen, fils) of one currency (upper-case ISO 4217 code).

    Negative amounts are allowed as differences; nothing that moves money takes one.
    """

    minor: int
    currency: str

    def __post_init__(self) -> None:
        if type(self.minor) is not int:
            raise TypeError(f"minor units are a plain int, not {type(self.minor).__name__}")
        if self.currency not in CURRENCY_EXPONENTS:
            raise UnknownCurrency(self.currency)

    @classmethod
    def zero(cls, currency: str) -> Money:
        return cls(0, currency)

    def __add__(self, other: Money) -> Money:
        self._require_same_currency(other)
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._require_same_currency(other)
        return Money(self.minor - other.minor, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._require_same_currency(other)
        return self.minor < other.minor

    def __bool__(self) -> bool:
        return self.minor != 0

    @property
    def decimal(self) -> str:
        """The amount without its currency: `12.50`, `1000`, `-1.234`."""
        exponent = CURRENCY_EXPONENTS[self.currency]
        sign = "-" if self.minor < 0 else ""
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        if not exponent:
            return f"{sign}{digits}"
        return f"{sign}{digits[:-exponent]}.{digits[-exponent:]}"

    def __str__(self) -> str:
        """The amount as a person reads it: `12.50 USD`, `1000 JPY`, `1.234 KWD`."""
        return f"{self.decimal} {self.currency}"

    def _require_same_currency(self, other: Money) -> None:
        if self.currency != other.currency:
            raise CurrencyMismatch(self.currency, other.currency)
