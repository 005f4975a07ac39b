"""How settlement reports look to us at every payment service provider: what it did with the money.

What may not live here: the name or a word of any PSP, I/O, Django.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ledger.money import Money


class LineKind(StrEnum):
    """Why what a PSP holds for us changed, in the reporting categories of the merchant API."""

    CHARGE = "charge"
    CHARGE_FAILURE = "charge_failure"
    """What was captured was taken back."""
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"
    DISPUTE = "dispute"
    """A chargeback took its amount."""
    DISPUTE_REVERSAL = "dispute_reversal"
    """What a chargeback had taken came back."""
    DISPUTE_FEE = "dispute_fee"
    """A fee of a dispute on a line of its own, or (negative) its return."""
    UNKNOWN = "unknown"
    """A kind that the adapter does not know: a person reads it."""


OPERATION_LINES = frozenset(
    {LineKind.CHARGE, LineKind.CHARGE_FAILURE, LineKind.REFUND, LineKind.REFUND_FAILURE}
)
DISPUTE_LINES = frozenset({LineKind.DISPUTE, LineKind.DISPUTE_REVERSAL, LineKind.DISPUTE_FEE})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportListing:
    """A report that can be fetched."""

    name: str
    """The PSP's name of it, unique within the account; names no path."""
    closed_at: datetime
    """From when on nothing was added to it (UTC)."""
    line_count: int | None
    """How many lines it has, where the PSP says so before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One line: what changed in what the PSP holds for us, and by what."""

    identity: str
    """The PSP's permanent id of the line; empty if it gives none, and equal lines may both be
    meant."""
    kind: LineKind
    psp_type: str
    """The PSP's own word for the kind."""
    psp_id: str
    """The PSP's id of the capture, refund or dispute."""
    psp_payment_id: str
    reference: str
    """Ours, as the PSP stored it: of the operation, or of a dispute's AUTHORIZE operation."""
    gross: Money
    """Before fees; negative where the PSP took money."""
    fee: Money
    """What the PSP charged for it; negative where it gave a fee back."""
    occurred_at: datetime

    @property
    def net(self) -> Money:
        """By how much what the PSP holds for us changed."""
        return self.gross - self.fee


class ReportUnreadable(Exception):
    """Not a whole report of this PSP; says where and why, without quoting what a person typed."""
