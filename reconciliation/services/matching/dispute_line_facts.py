"""What a settlement line says of its dispute: the money it must have moved, and, alone, its word.

A line never tells a status; it tells that the PSP took an amount or gave it back, and what follows
from that. Pure. What may not live here: queries, asking, recording.
"""

from __future__ import annotations

from typing import Final

from ledger.money import Money
from payments.models import Dispute, PaymentIntent
from payments.states import DISPUTE_INQUIRY
from psp_adapters.contract.disputes import DisputeStatus, PspDispute
from psp_adapters.contract.settlement_reports import LineKind, ReportLine

_UNREASONED: Final = "general"
"""A report gives no reason; a notification or a look-up may, before or after."""
_KEPT_GIVEN_BACK: Final = frozenset({DisputeStatus.WON, DisputeStatus.PREVENTED})


class LineComesTooEarly(Exception):
    """It is about a dispute of which only another line can tell."""


def changes_told_by(line: ReportLine) -> dict[str, Money]:
    """By posting rule, by how much 1110 (what the PSP holds for us) changed if the line is true.

    Raises LineContradicted for what no dispute could have.
    """
    signs = {LineKind.DISPUTE: -1, LineKind.DISPUTE_REVERSAL: 1, LineKind.DISPUTE_FEE: 0}
    minor = line.gross.minor
    if (minor > 0) - (minor < 0) != signs[line.kind]:
        raise LineContradicted(f"a line of the kind {line.kind} about {line.gross}")
    told: dict[str, Money] = {}
    if minor:
        told["dispute_withdrawn" if minor < 0 else "dispute_won"] = line.gross
    if line.fee:
        change = Money.zero(line.fee.currency) - line.fee
        told["dispute_fee" if line.fee.minor > 0 else "dispute_fee_returned"] = change
    if not told:
        raise LineContradicted(f"a line of the kind {line.kind} that moved nothing")
    return told


def word_of_line(line: ReportLine, dispute: Dispute | None) -> PspDispute:
    """The dispute as it stands by our rows (None: we know of none), once the line is true as well.

    Whichever order lines come in, they lead to the same word. Raises LineComesTooEarly for a fee
    of an unknown dispute and the return of an unknown fee, and LineContradicted.
    """
    told = changes_told_by(line)
    if dispute is None and "dispute_withdrawn" not in told and "dispute_won" not in told:
        raise LineComesTooEarly("the line of the dispute itself has not come yet")
    zero = Money.zero(line.gross.currency)
    fee = line.fee if "dispute_fee" in told else _of(dispute, "fee_minor", zero)
    if "dispute_fee_returned" in told and not fee:
        raise LineComesTooEarly("the line of the fee that came back has not come yet")
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
            if "dispute_fee_returned" in told
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
    """Where the dispute stands at least, now that this money moved."""
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


class LineContradicted(Exception):
    """What a line says and what we hold cannot both be true."""

    def __init__(self, why: str, *, intent: PaymentIntent | None = None) -> None:
        super().__init__(why)
        self.intent = intent
        """The payment that it is about, where that is known."""
