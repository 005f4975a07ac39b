"""Maps Mollie's chargebacks to disputes. No I/O.

Mollie says when a chargeback was received and whether it was reversed. It takes no evidence through
its API, and tells no deadline and no fee.
"""

from __future__ import annotations

from typing import Final

from ledger.money import Money
from psp_adapters.contract.answers import Contradiction, text
from psp_adapters.contract.disputes import DisputeResult, DisputeStatus, PspDispute
from psp_adapters.contract.operations import Outcome
from psp_adapters.mollie import vocabulary
from psp_adapters.mollie.mapping import Json, moment_of, money_of, reference_of

EMBEDDED_PAYMENT: Final = "payment"


def dispute_of(view: Json, *, psp_dispute_id: str) -> PspDispute:
    """Read one chargeback, with its payment embedded if Mollie does so.

    Raises Contradiction if it is not the one asked for, or one of UNREADABLE.
    """
    if view["id"] != psp_dispute_id:
        raise Contradiction("another chargeback")
    amount = money_of(view["amount"])
    reason = str((view.get("reason") or {}).get("code") or "")
    payment = (view.get("_embedded") or {}).get(EMBEDDED_PAYMENT) or {}
    is_reversed = bool(view.get("reversedAt"))
    return PspDispute(
        psp_dispute_id=psp_dispute_id,
        psp_payment_id=text(view["paymentId"]),
        payment_reference=reference_of(payment),
        status=DisputeStatus.WON if is_reversed else DisputeStatus.NEEDS_RESPONSE,
        began_as_inquiry=False,
        amount=amount,
        reason=vocabulary.DISPUTE_REASONS.get(reason, "general"),
        network_reason_code=reason,
        opened_at=moment_of(view["createdAt"]),
        evidence_due_by=None,
        fee=Money.zero(amount.currency),
        fee_returned=Money.zero(amount.currency),
        funds_withdrawn=True,
        funds_reinstated=is_reversed,
        charge_refundable=False,
    )


def answered_elsewhere() -> DisputeResult:
    """The result of every response: Mollie takes none through its API."""
    return DisputeResult(
        outcome=Outcome.DECLINED,
        code="dispute_unexpected_state",
        message="Chargebacks of this provider are answered in its own dashboard.",
    )
