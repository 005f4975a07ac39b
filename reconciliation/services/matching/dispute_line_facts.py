"""Derives what a settlement line reports of its dispute: money moved, and what that says of the
dispute's status.

A line reports no status, only that the PSP took or returned an amount, and what follows from that.
Pure.
"""

from __future__ import annotations

from typing import Final

from ledger.money import Money
from payments.models import Dispute, PaymentIntent
from payments.states import DISPUTE_INQUIRY
from psp_adapters.contract.disputes import DisputeStatus, PspDispute
from psp_adapters.contract.settlement_reports import LineKind, ReportLine
from reconciliation.discrepancies import Discrepancy

MALFORMED: Final = Discrepancy.MALFORMED_LINE
_UNREASONED: Final = "general"
"""A report gives no reason; a notification or a look-up may, before or after."""
_KEPT_GIVEN_BACK: Final = frozenset({DisputeStatus.WON, DisputeStatus.PREVENTED})


class LineTooEarly(Exception):
    """Its dispute, or its fee, must be recorded from another line first."""


def reported_changes(line: ReportLine) -> dict[str, Money]:
    """By posting rule: the change of 1110 (what the PSP holds for us) that the line reports.

    Raises LineConflict for a sign or an amount that no dispute can have.
    """
    signs = {LineKind.DISPUTE: -1, LineKind.DISPUTE_REVERSAL: 1, LineKind.DISPUTE_FEE: 0}
    minor = line.gross.minor
    if (minor > 0) - (minor < 0) != signs[line.kind]:
        raise LineConflict(f"a line of the kind {line.kind} about {line.gross}", code=MALFORMED)
    changes: dict[str, Money] = {}
    if minor:
        changes["dispute_withdrawn" if minor < 0 else "dispute_won"] = line.gross
    if line.fee:
        change = Money.zero(line.fee.currency) - line.fee
        changes["dispute_fee" if line.fee.minor > 0 else "dispute_fee_returned"] = change
    if not changes:
        raise LineConflict(f"a line of the kind {line.kind} that moved nothing", code=MALFORMED)
    return changes


def statement_of_line(line: ReportLine, dispute: Dispute | None) -> PspDispute:
    """The dispute's state after applying this line to our row, or to none.

    The result does not depend on the order of lines. Raises LineTooEarly for a fee of an unknown
    dispute and the return of an unknown fee, and LineConflict.
    """
    changes = reported_changes(line)
    if dispute is None and "dispute_withdrawn" not in changes and "dispute_won" not in changes:
        raise LineTooEarly("the line of the dispute itself has not come yet")
    zero = Money.zero(line.gross.currency)
    fee = line.fee if "dispute_fee" in changes else _of(dispute, "fee_minor", zero)
    if "dispute_fee_returned" in changes and not fee:
        raise LineTooEarly("the line of the fee that came back has not come yet")
    return PspDispute(
        psp_dispute_id=line.psp_id,
        psp_payment_id=line.psp_payment_id,
        payment_reference=line.reference,
        status=_status(line.kind, dispute),
        began_as_inquiry=dispute is not None and dispute.began_as_inquiry,
        amount=_amount(line, dispute),
        reason=dispute.reason if dispute is not None else _UNREASONED,
        network_reason_code=dispute.network_reason_code if dispute is not None else "",
        opened_at=dispute.opened_at if dispute is not None else line.occurred_at,
        evidence_due_by=dispute.evidence_due_by if dispute is not None else None,
        fee=fee,
        fee_returned=(
            zero - line.fee
            if "dispute_fee_returned" in changes
            else _of(dispute, "fee_returned_minor", zero)
        ),
        funds_withdrawn=line.kind is not LineKind.DISPUTE_FEE
        or (dispute is not None and dispute.funds_withdrawn_at is not None),
        funds_reinstated=line.kind is LineKind.DISPUTE_REVERSAL
        or (dispute is not None and dispute.funds_reinstated_at is not None),
        charge_refundable=dispute is not None and dispute.is_charge_refundable,
    )


def _amount(line: ReportLine, dispute: Dispute | None) -> Money:
    if line.kind is LineKind.DISPUTE:
        return Money.zero(line.gross.currency) - line.gross
    if line.kind is LineKind.DISPUTE_REVERSAL:
        return line.gross
    assert dispute is not None, "a fee alone opens no dispute"
    return dispute.amount


def _status(kind: LineKind, dispute: Dispute | None) -> DisputeStatus:
    """The status that the dispute has at least, since this money moved."""
    present = DisputeStatus(dispute.status) if dispute is not None else DisputeStatus.NEEDS_RESPONSE
    if kind is LineKind.DISPUTE_REVERSAL:
        return present if present in _KEPT_GIVEN_BACK else DisputeStatus.WON
    if kind is LineKind.DISPUTE and present in DISPUTE_INQUIRY:
        return DisputeStatus.NEEDS_RESPONSE  # Money was taken: it is a chargeback by now.
    return present


def _of(dispute: Dispute | None, column: str, zero: Money) -> Money:
    if dispute is None:
        return zero
    return Money(getattr(dispute, column), dispute.currency)


def of_amounts(reported: Money, ours: Money) -> Discrepancy:
    """The code of two amounts that differ."""
    if reported.currency != ours.currency:
        return Discrepancy.CURRENCY_MISMATCH
    return Discrepancy.AMOUNT_MISMATCH


class LineConflict(Exception):
    """The line and our records cannot both be true."""

    def __init__(self, why: str, *, code: Discrepancy, intent: PaymentIntent | None = None) -> None:
        super().__init__(why)
        self.code = code
        self.intent = intent
        """The payment that the line is about, where that is known."""
