"""How disputes look to us at every payment service provider: where they stand, and responses.

What may not live here: the name or a word of any PSP, I/O, Django.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ledger.money import Money
from psp_adapters.contract.operations import Outcome


class DisputeStatus(StrEnum):
    """The state of a dispute, as the merchant API names it. A warning is an inquiry."""

    WARNING_NEEDS_RESPONSE = "warning_needs_response"
    WARNING_UNDER_REVIEW = "warning_under_review"
    WARNING_CLOSED = "warning_closed"
    NEEDS_RESPONSE = "needs_response"
    UNDER_REVIEW = "under_review"
    WON = "won"
    LOST = "lost"
    PREVENTED = "prevented"


@dataclass(frozen=True, slots=True, kw_only=True)
class PspDispute:
    """Everything a PSP says of one dispute as it stands: its whole word, not the last change."""

    psp_dispute_id: str
    psp_payment_id: str
    payment_reference: str
    """Our reference of the AUTHORIZE operation of the disputed payment; empty if not said."""
    status: DisputeStatus
    began_as_inquiry: bool
    amount: Money
    reason: str
    """The merchant API's word, such as `fraudulent` or `product_not_received`."""
    network_reason_code: str
    opened_at: datetime
    evidence_due_by: datetime | None
    """The last moment for evidence of the present stage (UTC); None: none is taken."""
    fee: Money
    fee_returned: Money
    funds_withdrawn: bool
    funds_reinstated: bool
    charge_refundable: bool
    submissions: tuple[str, ...] = ()
    """Our references of the evidence that was taken."""
    acceptance: str = ""
    """Our reference of the acceptance, if we gave in."""

    @property
    def is_inquiry(self) -> bool:
        """Is it one, or did it end as one?"""
        return self.status.startswith("warning_")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeRequest:
    """A response to a dispute, ready to be sent. Repeating it means sending exactly this again."""

    psp_key: str
    """The response's permanent idempotency key at the PSP."""
    reference: str
    """Our reference of this response; the PSP shows it with the dispute."""
    psp_dispute_id: str
    answers_inquiry: bool
    """Else a chargeback, which the word that closes an inquiry for nothing would lose."""
    evidence: dict[str, str] = field(default_factory=dict)
    """Field names of the merchant API to texts; empty for an acceptance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeResult:
    """What the PSP said to a response: SUCCEEDED, DECLINED, UNKNOWN or NOT_SENT."""

    outcome: Outcome
    dispute: PspDispute | None = None
    """The dispute after it, where the answer shows it."""
    code: str = ""
    message: str = ""
    retry_after_seconds: float | None = None
    detail: str = ""
