"""Acorn's answers in the contract's terms. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from psp_adapters.contract.answers import (
    UNREADABLE,
    Answer,
    Contradiction,
    Json,
    require_request,
    retry_after,
    text,
)
from psp_adapters.contract.minor_units import MinorUnits
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.contract.payments import (
    PaymentToken,
    PspOperation,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
)

K, S = OperationKind, PspPaymentStatus
AMOUNTS: Final = MinorUnits({})
VERBS: Final = {K.CAPTURE: "take", K.VOID: "drop", K.REFUND: "return"}
KINDS: Final = {verb: PspOperationKind(kind.value) for kind, verb in VERBS.items()}
STATES: Final = {
    "held": (Outcome.SUCCEEDED, S.HELD),
    "taken": (Outcome.SUCCEEDED, S.CAPTURED),
    "dropped": (Outcome.SUCCEEDED, S.RELEASED),
    "ask": (Outcome.REQUIRES_ACTION, S.OPEN),
    "no": (Outcome.DECLINED, S.DECLINED),
}
REASONS: Final = {
    "broke": ("card_declined", "insufficient_funds"),
    "ask": ("authentication_required", "authentication_required"),
    "failed": ("payment_intent_authentication_failure", ""),
}


def result_of_answer(request: PspRequest, answer: Answer) -> PspResult:
    """Every doubt is UNKNOWN."""
    status = answer.status
    if status == 422:
        return refused(f"answered {status}", code="" if request.kind is K.AUTHORIZE else "too_much")
    if status in (401, 429):
        wait_seconds = retry_after(answer.headers) if status == 429 else None
        detail = f"answered {status}"
        return PspResult(outcome=Outcome.NOT_SENT, retry_after_seconds=wait_seconds, detail=detail)
    try:
        if status != 200:
            raise Contradiction("no status that we know")
        result = result_of(answer.body, kind=request.kind, reference=request.reference)
        if result is None:
            raise Contradiction("it does not show what was asked for")
        return require_request(result, request)
    except Contradiction as contradiction:
        why = str(contradiction)
    except UNREADABLE as error:  # whose text may quote the body
        why = type(error).__name__
    return PspResult(outcome=Outcome.UNKNOWN, detail=f"answered {status}: {why}")


def refused(detail: str, *, code: str = "") -> PspResult:
    return PspResult(
        outcome=Outcome.DECLINED,
        code="processing_error" if code else REQUEST_REFUSED,
        message="The payment provider did not accept the request.",
        detail=detail,
    )


def result_of(view: Json, *, kind: OperationKind, reference: str) -> PspResult | None:
    """One operation in a payment; None if the payment does not show it."""
    payment = payment_of(view)
    found = [each for each in payment.operations if each.kind == PspOperationKind(kind.value)]
    for each in found:
        if kind is K.AUTHORIZE and reference and each.reference != reference:
            raise Contradiction("another reference")
        if not reference or each.reference == reference:
            return PspResult(
                outcome=each.outcome,
                psp_id=each.psp_id,
                psp_payment_id=payment.psp_payment_id,
                amount=each.amount,
                code=each.code,
                decline_code=each.decline_code,
                message=each.message,
                redirect_url=view["go"] if each.outcome is Outcome.REQUIRES_ACTION else "",
                expires_at=payment.expires_at,
                held=payment.held,
            )
    return None


def payment_of(view: Json) -> PspPayment:
    currency, (outcome, status) = text(view["cur"]), STATES[view["state"]]
    code, decline_code = ("", "")
    if outcome is Outcome.DECLINED:
        code, decline_code = REASONS.get(view["why"], ("card_declined", "generic_decline"))
    first = PspOperation(
        kind=PspOperationKind.AUTHORIZE,
        psp_id=text(view["id"]),
        reference=view["ref"],
        amount=AMOUNTS.from_psp(view["cents"], currency),
        outcome=outcome,
        at=moment_of(view["at"]),
        code=code,
        decline_code=decline_code,
        message="The payment was declined." if code else "",
    )
    later = [
        PspOperation(
            kind=KINDS[each["what"]],
            psp_id=text(each["id"]),
            reference=each["ref"],
            amount=AMOUNTS.from_psp(each["cents"], currency),
            outcome=Outcome.SUCCEEDED,
            at=moment_of(each["at"]),
        )
        for each in view["steps"]
    ]
    return PspPayment(
        psp_payment_id=first.psp_id,
        status=status,
        held=AMOUNTS.from_psp(view["held"], currency),
        expires_at=moment_of(view["until"]),
        operations=(first, *later),
    )


def token_of(view: Json, *, token: str) -> PaymentToken:
    return PaymentToken(
        token=token,
        method_type="card",
        brand=view["brand"],
        last4=view["last4"],
        expiry_month=view["month"],
        expiry_year=view["year"],
        fingerprint=view["print"],
    )


def moment_of(seconds: int) -> datetime:
    """A time as Acorn writes it."""
    return datetime.fromtimestamp(seconds, UTC)
