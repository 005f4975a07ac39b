"""The chart of accounts: every account that may exist.

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


class Owner(StrEnum):
    """Whose account it is."""

    PSP_ACCOUNT = "psp_account"
    BANK_ACCOUNT = "bank_account"
    MERCHANT = "merchant"
    PLATFORM = "platform"


@dataclass(frozen=True, slots=True)
class ChartLine:
    """One code of the chart. `open_item`: zero for every payment once that payment is finished."""

    code: int
    name: str
    owner: Owner
    normal_side: Direction
    kind: AccountKind
    open_item: bool = False

    def of(self, dimension: str, currency: str) -> AccountRef:
        """The account of this code that belongs to `dimension`; empty for the platform."""
        return AccountRef(self.code, dimension, currency)


_D, _C = Direction.DEBIT, Direction.CREDIT
_PSP, _MERCHANT, _PLATFORM = Owner.PSP_ACCOUNT, Owner.MERCHANT, Owner.PLATFORM
_BANK = Owner.BANK_ACCOUNT
_MEMO, _REAL = AccountKind.MEMO, AccountKind.REAL

PSP_RECEIVABLE: Final = ChartLine(1100, "psp_receivable", _PSP, _D, _REAL, open_item=True)
"""Captured; the PSP has not reported its settlement yet."""
PSP_BALANCE: Final = ChartLine(1110, "psp_balance", _PSP, _D, _REAL)
"""What the PSP holds for us; in credit while it has taken more than it has settled to us."""
PAYOUT_IN_TRANSIT: Final = ChartLine(1120, "payout_in_transit", _PSP, _D, _REAL)
"""Paid out by the PSP, and not seen on a bank statement yet."""
PSP_RESERVE: Final = ChartLine(1130, "psp_reserve", _PSP, _D, _REAL)
"""Ours, and withheld by the PSP against its risk until it releases it."""
BANK: Final = ChartLine(1200, "bank", _BANK, _D, _REAL)
"""What our bank holds, as its statements say."""
DISPUTE_RECEIVABLE: Final = ChartLine(1300, "dispute_receivable", _PSP, _D, _REAL, open_item=True)
"""Withdrawn by the PSP for a chargeback that is not decided yet."""
FX_POSITION: Final = ChartLine(1900, "fx_position", _PSP, _D, _REAL)
"""What the PSP converted for us: in credit in the currency that we got, in debit in the one that
was paid."""
PSP_SUSPENSE: Final = ChartLine(1990, "psp_suspense", _PSP, _D, _REAL)
"""Changes of our balance with the PSP that are not explained yet, each with a case; of a bank
account, those of 1200."""
MERCHANT_PAYABLE: Final = ChartLine(2100, "merchant_payable", _MERCHANT, _C, _REAL)
"""What we owe the merchant."""
REFUND_IN_FLIGHT: Final = ChartLine(2200, "refund_in_flight", _PSP, _C, _REAL, open_item=True)
"""A refund the PSP accepted and has not reported as settled yet."""
DISPUTE_HELD: Final = ChartLine(2300, "dispute_held", _MERCHANT, _C, _REAL, open_item=True)
"""The merchant's money that is held back until a chargeback is decided."""
PLATFORM_FEE_INCOME: Final = ChartLine(4100, "platform_fee_income", _PLATFORM, _C, _REAL)
"""What the platform earns; one account per currency."""
PSP_MARKUP: Final = ChartLine(5100, "psp_markup", _PSP, _D, _REAL)
"""The PSP's own price of charges and refunds: its markup, or its commission where it states one fee
for everything."""
INTERCHANGE: Final = ChartLine(5110, "interchange", _PSP, _D, _REAL)
"""What the banks of the customers take of charges and refunds, where the PSP states it."""
SCHEME_FEE: Final = ChartLine(5120, "scheme_fee", _PSP, _D, _REAL)
"""What the card networks take of charges and refunds, where the PSP states it."""
DISPUTE_FEE: Final = ChartLine(5130, "dispute_fee", _PSP, _D, _REAL)
"""What the PSP charges us for disputes, less what merchants pay of it."""
ACCOUNT_FEE: Final = ChartLine(5600, "account_fee", _PSP, _D, _REAL)
"""What the PSP charges for the account as a whole, and not for one payment."""
OTHER_GAIN: Final = ChartLine(4300, "other_gain", _PSP, _C, _REAL)
"""What a PSP gave us and no operator could explain, written off as a gain."""
WRITE_OFF: Final = ChartLine(5400, "write_off", _PSP, _D, _REAL)
"""What a PSP took and no operator could explain, written off as a loss."""
CHARGEBACK_LOSS: Final = ChartLine(5200, "chargeback_loss", _PLATFORM, _D, _REAL)
"""What the platform lost in disputes that its merchants need not bear."""
AUTH_HELD: Final = ChartLine(9100, "auth_held", _PSP, _D, _MEMO, open_item=True)
"""Contingent: authorized money that is neither captured nor released."""
AUTH_CONTRA: Final = ChartLine(9200, "auth_contra", _PSP, _C, _MEMO, open_item=True)
"""The mirror of AUTH_HELD."""
DISPUTE_EXPOSURE: Final = ChartLine(9300, "dispute_exposure", _PSP, _D, _MEMO, open_item=True)
"""Contingent: inquiries that may become chargebacks."""
DISPUTE_EXPOSURE_CONTRA: Final = ChartLine(
    9400, "dispute_exposure_contra", _PSP, _C, _MEMO, open_item=True
)
"""The mirror of DISPUTE_EXPOSURE."""

CHART: Final[dict[int, ChartLine]] = {
    line.code: line
    for line in (
        *(PSP_RECEIVABLE, PSP_BALANCE, PAYOUT_IN_TRANSIT, PSP_RESERVE, DISPUTE_RECEIVABLE),
        *(PSP_SUSPENSE, MERCHANT_PAYABLE, REFUND_IN_FLIGHT, DISPUTE_HELD, PLATFORM_FEE_INCOME),
        *(PSP_MARKUP, INTERCHANGE, SCHEME_FEE, DISPUTE_FEE, CHARGEBACK_LOSS, ACCOUNT_FEE, BANK),
        *(FX_POSITION, OTHER_GAIN, WRITE_OFF),
        *(AUTH_HELD, AUTH_CONTRA, DISPUTE_EXPOSURE, DISPUTE_EXPOSURE_CONTRA),
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
