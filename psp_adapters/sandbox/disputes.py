"""Maps disputes and our responses to the sandbox PSP's JSON and back. No I/O."""

from __future__ import annotations

from typing import Any, Final

from ledger.exceptions import LedgerError
from psp_adapters.contract.answers import Contradiction, retry_after
from psp_adapters.contract.disputes import DisputeRequest, DisputeResult, DisputeStatus, PspDispute
from psp_adapters.contract.operations import Outcome
from psp_adapters.http import AnswerUnknown, HttpAnswer
from psp_adapters.sandbox.mapping import AMOUNTS, Json, redacted, time_of

_REASONS: Final = frozenset(
    {
        *("bank_cannot_process", "credit_not_processed", "customer_initiated"),
        *("debit_not_authorized", "duplicate", "fraudulent", "general"),
        *("incorrect_account_details", "insufficient_funds", "product_not_received"),
        *("product_unacceptable", "subscription_canceled", "unrecognized"),
    }
)
# Codes of a refusal to the merchant API's error codes.
_CODES: Final = {
    "evidence_already_submitted": "dispute_evidence_already_submitted",
    "evidence_past_due": "dispute_past_due",
    "dispute_state": "dispute_unexpected_state",
    "dispute_stage": "dispute_unexpected_state",
}
_UNREADABLE: Final = (AnswerUnknown, KeyError, TypeError, ValueError, LedgerError, Contradiction)


def response_body(request: DisputeRequest, *, accepts: bool) -> Json:
    """The body of a submission of evidence, or of an acceptance."""
    stage = "inquiry" if request.answers_inquiry else "chargeback"
    body: Json = {"reference": request.reference, "stage": stage}
    return body if accepts else {**body, "evidence": request.evidence}


def dispute_of(view: Json, *, psp_dispute_id: str) -> PspDispute:
    """Read one dispute as the PSP shows it.

    Raises Contradiction if it is not the one asked for, KeyError, TypeError, ValueError or
    LedgerError if it is not readable.
    """
    if view["id"] != psp_dispute_id:
        raise Contradiction("another dispute")
    currency = view["currency"]
    reason = view["reason"] if view["reason"] in _REASONS else "general"
    return PspDispute(
        psp_dispute_id=psp_dispute_id,
        psp_payment_id=_text(view["payment_id"]),
        payment_reference=_text(view["reference"]),
        status=DisputeStatus(view["status"]),
        began_as_inquiry=_flag(view["inquiry"]),
        amount=AMOUNTS.from_psp(view["amount_minor"], currency),
        reason=reason,
        network_reason_code=_text(view["network_reason_code"]),
        opened_at=time_of(view["created_at"]),
        evidence_due_by=time_of(view["evidence_due_by"]),
        fee=AMOUNTS.from_psp(view["fee_minor"], currency),
        fee_returned=AMOUNTS.from_psp(view["fee_returned_minor"], currency),
        funds_withdrawn=_flag(view["funds_withdrawn"]),
        funds_reinstated=_flag(view["funds_reinstated"]),
        charge_refundable=_flag(view["refundable"]),
        submissions=tuple(_text(each["reference"]) for each in view["submissions"]),
        acceptance=_text(view["accepted_reference"]),
    )


def result_of_answer(request: DisputeRequest, answer: HttpAnswer) -> DisputeResult:
    """Read the answer to a response; every doubt is UNKNOWN."""
    if answer.status == 429:
        return DisputeResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if answer.status != 200 and not 400 <= answer.status < 500:
        return unknown(f"answered {answer.status}")
    try:
        view = answer.json()
        if answer.status == 200:
            dispute = dispute_of(view, psp_dispute_id=request.psp_dispute_id)
            if request.reference not in (*dispute.submissions, dispute.acceptance):
                return unknown("answered 200, but does not name our response")
            return DisputeResult(outcome=Outcome.SUCCEEDED, dispute=dispute)
        return _refused(answer.status, view["error"])
    except _UNREADABLE as error:
        return unknown(f"answered {answer.status}, unreadable: {type(error).__name__}")


def unknown(detail: str) -> DisputeResult:
    """The PSP may or may not have accepted the response."""
    return DisputeResult(outcome=Outcome.UNKNOWN, detail=redacted(detail))


def not_sent(detail: str) -> DisputeResult:
    """The PSP certainly did not accept the response."""
    return DisputeResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))


def _refused(status: int, error: Json) -> DisputeResult:
    kind, code = str(error["type"]), str(error.get("code", ""))
    detail = redacted(f"answered {status} {kind} {code}: {error.get('message')}")
    if kind in ("idempotency_mismatch", "in_flight") or status in (408, 425):
        return DisputeResult(outcome=Outcome.UNKNOWN, detail=detail)
    if status in (401, 403):
        return DisputeResult(outcome=Outcome.NOT_SENT, detail=detail)
    return DisputeResult(
        outcome=Outcome.DECLINED,
        code=_CODES.get(code, "dispute_unexpected_state"),
        message="The payment service provider refused the response to this dispute.",
        detail=detail,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is not a string")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("a flag is neither true nor false")
    return value
