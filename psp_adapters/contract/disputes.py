"""Disputes at a PSP: their status and amounts, and our responses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Final

from ledger.money import Money
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.stored_text import ID_LENGTH_MAX, StoredText


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
class PspDispute(StoredText):
    """One dispute as the PSP shows it now: everything, not the last change."""

    TEXTS: ClassVar = {
        "payment_reference": ID_LENGTH_MAX,
        "reason": 64,
        "network_reason_code": 32,
    }
    IDS: ClassVar = ("psp_dispute_id", "psp_payment_id")

    psp_dispute_id: str
    psp_payment_id: str
    payment_reference: str
    """Our reference of the payment's AUTHORIZE operation; empty if the PSP does not say."""
    status: DisputeStatus
    began_as_inquiry: bool
    amount: Money
    reason: str
    """As the merchant API names it, such as `fraudulent` or `product_not_received`."""
    network_reason_code: str
    opened_at: datetime
    evidence_due_by: datetime | None
    """The deadline for evidence in the present stage (UTC); None if no evidence is taken."""
    fee: Money
    fee_returned: Money
    funds_withdrawn: bool
    funds_reinstated: bool
    charge_refundable: bool
    submissions: tuple[str, ...] = ()
    """Our references of the evidence that the PSP accepted."""
    acceptance: str = ""
    """Our reference of the acceptance, if we accepted the dispute."""

    @property
    def is_inquiry(self) -> bool:
        """Whether it is an inquiry, or was closed as one."""
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
    """False: it answers a chargeback. Accepting an inquiry costs nothing."""
    evidence: dict[str, str] = field(default_factory=dict)
    """Field names of the merchant API to texts; empty for an acceptance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeResult(StoredText):
    """The PSP's answer to a response: SUCCEEDED, DECLINED, UNKNOWN or NOT_SENT."""

    TEXTS: ClassVar = {"code": 64, "message": 500, "detail": 500}

    outcome: Outcome
    dispute: PspDispute | None = None
    """The dispute afterwards, if the answer shows it."""
    code: str = ""
    message: str = ""
    retry_after_seconds: float | None = None
    detail: str = ""


_OPEN: Final = frozenset({DisputeStatus.NEEDS_RESPONSE, DisputeStatus.WARNING_NEEDS_RESPONSE})
_UNDER_REVIEW: Final = frozenset({DisputeStatus.UNDER_REVIEW, DisputeStatus.WARNING_UNDER_REVIEW})


def result_before_sending(
    request: DisputeRequest, shown: PspDispute | None, *, accepts: bool
) -> DisputeResult | None:
    """The result if the dispute is not in a state for the response, or shows it; None: send it.

    For a PSP that takes no stage of the dispute with a response.
    """
    if shown is None:
        return response_declined("the dispute is unknown")
    if request.reference in (*shown.submissions, shown.acceptance):
        return DisputeResult(outcome=Outcome.SUCCEEDED, dispute=shown)
    if request.answers_inquiry != shown.is_inquiry:
        return response_declined(f"the dispute is in the other stage: {shown.status}")
    if shown.status in _UNDER_REVIEW and not accepts:
        return response_declined(
            "evidence was submitted before", code="dispute_evidence_already_submitted"
        )
    if shown.status not in _OPEN | _UNDER_REVIEW:
        return response_declined(f"the dispute is {shown.status}")
    return None


def response_declined(detail: str, *, code: str = "dispute_unexpected_state") -> DisputeResult:
    """The PSP did not take the response, and never will."""
    return DisputeResult(
        outcome=Outcome.DECLINED,
        code=code,
        message="The payment service provider refused the response to this dispute.",
        detail=detail,
    )
