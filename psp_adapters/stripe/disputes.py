"""Maps disputes and our responses to Stripe's objects and back. No I/O.

A response stores our reference in the dispute's metadata. Stripe takes no stage of a dispute with a
response: `contract.disputes.result_before_sending` compares it with the dispute as it is shown.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any, Final

from ledger.money import Money
from psp_adapters.contract.answers import UNREADABLE, Answer, Contradiction, retry_after, text
from psp_adapters.contract.card_numbers import masked_card_numbers
from psp_adapters.contract.disputes import (
    DisputeRequest,
    DisputeResult,
    DisputeStatus,
    PspDispute,
    response_declined,
)
from psp_adapters.contract.operations import Outcome
from psp_adapters.stripe import vocabulary
from psp_adapters.stripe.mapping import REFERENCE, Json, moment_of, money_of, redacted

logger = logging.getLogger(__name__)

S = DisputeStatus
EXPAND: Final = {"expand": ["payment_intent"]}
SUBMISSION: Final = "submission_reference"
ACCEPTANCE: Final = "acceptance_reference"
_ESCALATED_AFTER: Final = timedelta(days=1)
"""A chargeback takes the money as it is opened; an inquiry that became one takes it later."""
_OPEN: Final = frozenset({S.NEEDS_RESPONSE, S.WARNING_NEEDS_RESPONSE})
_ACCEPTED: Final = frozenset({S.LOST, S.WARNING_CLOSED})
_REASONS: Final = frozenset(
    {
        *("bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated"),
        *("debit_not_authorized", "duplicate", "fraudulent", "general", "noncompliant"),
        *("incorrect_account_details", "insufficient_funds", "product_not_received"),
        *("product_unacceptable", "subscription_canceled", "unrecognized"),
    }
)


def response_body(request: DisputeRequest, *, accepts: bool) -> Json:
    """The body of POST /v1/disputes/:id: final evidence, or the note of an acceptance."""
    if accepts:
        return {"metadata": {ACCEPTANCE: request.reference}, **EXPAND}
    return {
        "evidence": {name: masked_card_numbers(said) for name, said in request.evidence.items()},
        "submit": True,
        "metadata": {SUBMISSION: request.reference},
        **EXPAND,
    }


def dispute_of(view: Json, *, psp_dispute_id: str) -> PspDispute:
    """Read one dispute as Stripe shows it, with its payment intent expanded.

    Raises Contradiction if it is not the one asked for, KeyError, TypeError, ValueError or
    LedgerError if it is not readable.
    """
    if view["id"] != psp_dispute_id:
        raise Contradiction("another dispute")
    intent = view["payment_intent"]
    metadata, details = view.get("metadata") or {}, view["evidence_details"]
    card = (view.get("payment_method_details") or {}).get("card") or {}
    status = DisputeStatus(view["status"])
    moved = {each["reporting_category"]: each for each in view["balance_transactions"]}
    withdrawn, reinstated = moved.get("dispute"), moved.get("dispute_reversal")
    due_by = details["due_by"] if status in _OPEN else None
    was_submitted = bool(details["submission_count"]) and metadata.get(SUBMISSION)
    return PspDispute(
        psp_dispute_id=psp_dispute_id,
        psp_payment_id=text(intent["id"] if isinstance(intent, dict) else intent),
        payment_reference=(
            intent["metadata"].get(REFERENCE, "") if isinstance(intent, dict) else ""
        ),
        status=status,
        began_as_inquiry=(
            status.startswith("warning_")
            or card.get("case_type") == "inquiry"
            or _was_escalated(view["created"], withdrawn)
        ),
        amount=money_of(view["amount"], view["currency"]),
        reason=view["reason"] if view["reason"] in _REASONS else "general",
        network_reason_code=str(
            view.get("network_reason_code") or card.get("network_reason_code") or ""
        ),
        opened_at=moment_of(view["created"]),
        evidence_due_by=None if due_by is None else moment_of(due_by),
        fee=_fee(withdrawn, view["currency"]),
        fee_returned=_returned(_fee(reinstated, view["currency"])),
        funds_withdrawn=withdrawn is not None,
        funds_reinstated=reinstated is not None,
        charge_refundable=view["is_charge_refundable"] is True,
        submissions=(metadata[SUBMISSION],) if was_submitted else (),
        acceptance=metadata.get(ACCEPTANCE, "") if status in _ACCEPTED else "",
    )


def _was_escalated(opened_at: Any, withdrawn: Json | None) -> bool:
    """Whether the money was taken so long after the dispute began that it began as an inquiry."""
    taken_at = (withdrawn or {}).get("created")
    if taken_at is None:
        return False
    return moment_of(taken_at) - moment_of(opened_at) > _ESCALATED_AFTER


def _returned(fee: Money) -> Money:
    """A fee that was returned is negative in Stripe's transaction."""
    return Money.zero(fee.currency) - fee


def _fee(transaction: Json | None, currency: str) -> Money:
    if transaction is None:
        return money_of(0, currency)
    fee = money_of(transaction["fee"], transaction["currency"])
    if transaction["currency"] != currency:
        # The books take a fee in the payment's currency only. The dispute has a deadline.
        logger.warning("left out the fee %s of a dispute in %s", fee, currency)
        return money_of(0, currency)
    return fee


def result_of_answer(
    request: DisputeRequest, answer: Answer, *, is_note: bool = False
) -> DisputeResult:
    """Read the answer to a response, or to its note; every doubt is UNKNOWN."""
    if answer.status == 429 and not vocabulary.is_in_use(answer.body):
        return DisputeResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if answer.status != 200 and not 400 <= answer.status < 500:
        return unknown(f"answered {answer.status}")
    try:
        if answer.status != 200:
            return _refused(answer.status, answer.body["error"])
        dispute = dispute_of(answer.body, psp_dispute_id=request.psp_dispute_id)
    except (Contradiction, *UNREADABLE) as error:
        return unknown(f"answered {answer.status}, unreadable: {type(error).__name__}")
    if not is_note and request.reference not in (*dispute.submissions, dispute.acceptance):
        return unknown("answered 200, but does not show our response")
    return DisputeResult(outcome=Outcome.SUCCEEDED, dispute=dispute)


def unknown(detail: str) -> DisputeResult:
    """Stripe may or may not have accepted the response."""
    return DisputeResult(outcome=Outcome.UNKNOWN, detail=redacted(detail))


def not_sent(detail: str) -> DisputeResult:
    """Stripe certainly did not accept the response."""
    return DisputeResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))


def _refused(status: int, error: dict[str, Any]) -> DisputeResult:
    kind, code = str(error["type"]), str(error.get("code") or "")
    detail = f"answered {status} {kind} {code}: {error.get('message')}"
    in_doubt = kind == "idempotency_error" or code in vocabulary.IN_USE_CODES
    if in_doubt or status in (403, 408, 409, 424, 425):
        return unknown(detail)
    if status == 401:
        return not_sent(f"answered {status} {kind} {code}")
    return response_declined(redacted(detail))
