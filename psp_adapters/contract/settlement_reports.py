"""Settlement reports of a PSP: which can be fetched, and their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final

from ledger.money import Money

_RATE: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,16})?")


class LineKind(StrEnum):
    """Why our balance at the PSP changed, in the reporting categories of the merchant API."""

    CHARGE = "charge"
    CHARGE_FAILURE = "charge_failure"
    """A capture was reversed."""
    PARTIAL_CAPTURE_REVERSAL = "partial_capture_reversal"
    """Of a charge reported with all that was authorized, the part that was not captured."""
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    """A chargeback took its amount."""
    DISPUTE_REVERSAL = "dispute_reversal"
    """A chargeback's amount was returned."""
    DISPUTE_FEE = "dispute_fee"
    """A dispute's fee on a line of its own; negative if it was returned."""
    FEE = "fee"
    """The PSP charges for the account, and not for one payment; positive if it returned a fee."""
    RESERVE = "risk_reserved_funds"
    """The PSP withholds a part of the balance; positive if it released a part."""
    PAYOUT = "payout"
    """The PSP sent money to the bank."""
    PAYOUT_REVERSAL = "payout_reversal"
    """Money of a payout came back from the bank."""
    UNKNOWN = "unknown"
    """A kind that the adapter does not know; an operator decides."""


CHARGE_LINES = frozenset(
    {LineKind.CHARGE, LineKind.CHARGE_FAILURE, LineKind.PARTIAL_CAPTURE_REVERSAL}
)
REFUND_LINES = frozenset({LineKind.REFUND, LineKind.REFUND_FAILURE})
OPERATION_LINES = CHARGE_LINES | REFUND_LINES
DISPUTE_LINES = frozenset({LineKind.DISPUTE, LineKind.DISPUTE_REVERSAL, LineKind.DISPUTE_FEE})
ACCOUNT_LINES = frozenset(
    {LineKind.FEE, LineKind.RESERVE, LineKind.PAYOUT, LineKind.PAYOUT_REVERSAL}
)
"""Of the account as a whole: they name no payment."""
PAYOUT_LINES = frozenset({LineKind.PAYOUT, LineKind.PAYOUT_REVERSAL})
"""Between our balance with the PSP and our bank."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportListing:
    """A report that can be fetched."""

    name: str
    """The PSP's name of it, unique within the account, safe in a path."""
    closed_at: datetime
    """When the PSP closed it (UTC); nothing is added afterwards."""
    line_count: int | None
    """Its number of lines, if the PSP states it in advance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeeParts:
    """A fee by component; each is negative if the PSP returned it."""

    markup: Money
    """The PSP's own price: its markup, or its commission."""
    interchange: Money
    """Of the customer's bank."""
    scheme_fee: Money
    """Of the card network."""

    @property
    def total(self) -> Money:
        return self.markup + self.interchange + self.scheme_fee


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a line was before the PSP converted it into the currency of our balance."""

    paid: Money
    """Before fees, in the currency of the payment; with the sign of the gross."""
    rate: str
    """As the PSP states it, a decimal number: so many of our balance's currency for one. Empty if
    it states none."""

    def __post_init__(self) -> None:
        if self.rate and not _RATE.fullmatch(self.rate):
            raise ValueError("not a rate of exchange")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One line: a change of our balance at the PSP, and what caused it."""

    identity: str
    """The PSP's permanent id of the line. Empty if it gives none: then equal lines may be two."""
    kind: LineKind
    psp_type: str
    """The PSP's own name of the kind."""
    psp_id: str
    """The PSP's id of the capture, refund, dispute or payout."""
    psp_payment_id: str
    reference: str
    """Ours, as the PSP stored it: of the operation, or of a dispute's AUTHORIZE operation."""
    gross: Money
    """Before fees; negative if the PSP took money."""
    fee: Money
    """What the PSP charged for it; negative if it returned a fee."""
    occurred_at: datetime
    stated_fee_parts: FeeParts | None = None
    """The fee by component; None if the PSP states one amount. A sum other than the fee is the
    PSP's contradiction: the line is read, and becomes a case."""
    psp_payout_id: str = ""
    """The PSP's id of the payout, or the batch of one, that the line is in; the payout's own line
    has it too. Empty if the PSP does not say."""
    conversion: Conversion | None = None
    """Of a charge or refund whose payment is in another currency than `gross`."""
    available_on: date | None = None
    """The day from which on its money can be paid out; None if the PSP does not say it."""

    @property
    def paid(self) -> Money:
        """The gross in the currency of the payment."""
        return self.gross if self.conversion is None else self.conversion.paid

    @property
    def fee_parts(self) -> FeeParts:
        """The fee by component; one amount for everything is the PSP's own price."""
        none = Money.zero(self.fee.currency)
        undivided = FeeParts(markup=self.fee, interchange=none, scheme_fee=none)
        return self.stated_fee_parts or undivided

    @property
    def net(self) -> Money:
        """By how much our balance at the PSP changed."""
        return self.gross - self.fee


class ReportUnreadable(Exception):
    """Not a whole report of this PSP; says where and why, without quoting free text."""
