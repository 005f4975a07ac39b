"""The chart of accounts: every account that may exist, one function each.

An account is a code of the chart, a dimension (whose account it is) and a currency; its id follows
from these three, so posting looks no account up.
The same codes and kinds are a CHECK constraint of `ledger_account`; a test holds both equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

from ledger.money import currency_exponent

# Never change it: every account id of every installation follows from it.
_ACCOUNT_NAMESPACE: Final = UUID("3b0c1f6e-52a4-5d0b-9c77-6c1d2a9f41e8")
_DIMENSION_LENGTH_MAX: Final = 64


class Direction(StrEnum):
    """The side of a T-account."""

    DEBIT = "D"
    CREDIT = "C"

    @property
    def opposite(self) -> Direction:
        return Direction.CREDIT if self is Direction.DEBIT else Direction.DEBIT


class AccountKind(StrEnum):
    """Money that moved, or money that is only promised. One transaction never mixes the two."""

    MEMO = "memo"
    REAL = "real"


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One code of the chart. `open_item`: zero for every payment once that payment is finished."""

    code: int
    name: str
    normal_side: Direction
    kind: AccountKind
    open_item: bool = False


_D, _C = Direction.DEBIT, Direction.CREDIT
_MEMO, _REAL = AccountKind.MEMO, AccountKind.REAL

CHART: Final[dict[int, ChartLine]] = {
    line.code: line
    for line in (
        ChartLine(1100, "psp_receivable", _D, _REAL, open_item=True),
        ChartLine(1110, "psp_balance", _D, _REAL),
        ChartLine(1300, "dispute_receivable", _D, _REAL, open_item=True),
        ChartLine(2100, "merchant_payable", _C, _REAL),
        ChartLine(2200, "refund_in_flight", _C, _REAL, open_item=True),
        ChartLine(2300, "dispute_held", _C, _REAL, open_item=True),
        ChartLine(4100, "platform_fee_income", _C, _REAL),
        ChartLine(5130, "dispute_fee", _D, _REAL),
        ChartLine(5200, "chargeback_loss", _D, _REAL),
        ChartLine(9100, "auth_held", _D, _MEMO, open_item=True),
        ChartLine(9200, "auth_contra", _C, _MEMO, open_item=True),
        ChartLine(9300, "dispute_exposure", _D, _MEMO, open_item=True),
        ChartLine(9400, "dispute_exposure_contra", _C, _MEMO, open_item=True),
    )
}


@lru_cache(maxsize=65_536)
def _account_id(code: int, dimension: str, currency: str) -> UUID:
    return uuid5(_ACCOUNT_NAMESPACE, f"{code}|{dimension}|{currency}")


@dataclass(frozen=True, slots=True)
class AccountRef:
    """One account: a code of the chart, whose it is, and its currency."""

    code: int
    dimension: str
    currency: str

    def __post_init__(self) -> None:
        if self.code not in CHART:
            raise ValueError(f"account code {self.code} is not in the chart")
        # The separator is refused so that two accounts can never share one id.
        if "|" in self.dimension or len(self.dimension) > _DIMENSION_LENGTH_MAX:
            raise ValueError(f"not a dimension of an account: {self.dimension!r}")
        currency_exponent(self.currency)

    @property
    def id(self) -> UUID:
        return _account_id(self.code, self.dimension, self.currency)

    @property
    def line(self) -> ChartLine:
        return CHART[self.code]

    def __str__(self) -> str:
        """As a person reads it: `1100 psp_receivable sandbox USD`."""
        return f"{self.code} {self.line.name} {self.dimension} {self.currency}"


def psp_receivable(psp_account: str, currency: str) -> AccountRef:
    """Captured; the PSP has not reported its settlement yet."""
    return AccountRef(1100, psp_account, currency)


def psp_balance(psp_account: str, currency: str) -> AccountRef:
    """What the PSP holds for us; in credit while it has taken more than it has settled to us."""
    return AccountRef(1110, psp_account, currency)


def dispute_receivable(psp_account: str, currency: str) -> AccountRef:
    """Withdrawn by the PSP for a chargeback that is not decided yet."""
    return AccountRef(1300, psp_account, currency)


def merchant_payable(merchant: str, currency: str) -> AccountRef:
    """What we owe the merchant."""
    return AccountRef(2100, merchant, currency)


def refund_in_flight(psp_account: str, currency: str) -> AccountRef:
    """A refund the PSP accepted and has not reported as settled yet."""
    return AccountRef(2200, psp_account, currency)


def dispute_held(merchant: str, currency: str) -> AccountRef:
    """The merchant's money that is held back until a chargeback is decided."""
    return AccountRef(2300, merchant, currency)


def platform_fee_income(currency: str) -> AccountRef:
    """What the platform earns; one account per currency."""
    return AccountRef(4100, "", currency)


def dispute_fee(psp_account: str, currency: str) -> AccountRef:
    """What the PSP charges us for disputes, less what merchants pay of it."""
    return AccountRef(5130, psp_account, currency)


def chargeback_loss(currency: str) -> AccountRef:
    """What the platform lost in disputes that its merchants need not bear."""
    return AccountRef(5200, "", currency)


def auth_held(psp_account: str, currency: str) -> AccountRef:
    """Contingent: authorized money that is neither captured nor released."""
    return AccountRef(9100, psp_account, currency)


def auth_contra(psp_account: str, currency: str) -> AccountRef:
    """The mirror of `auth_held`."""
    return AccountRef(9200, psp_account, currency)


def dispute_exposure(psp_account: str, currency: str) -> AccountRef:
    """Contingent: inquiries that may become chargebacks."""
    return AccountRef(9300, psp_account, currency)


def dispute_exposure_contra(psp_account: str, currency: str) -> AccountRef:
    """The mirror of `dispute_exposure`."""
    return AccountRef(9400, psp_account, currency)
