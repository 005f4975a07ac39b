"""The sandbox PSP's vocabulary, and nothing else that knows it: requests out, results in. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from ledger.exceptions import LedgerError
from ledger.money import Money
from psp_adapters.contract.operations import OperationKind, Outcome, PspRequest, PspResult
from psp_adapters.contract.payments import ActKind, PaymentStanding, PspAct, PspPayment
from psp_adapters.contract.tokens import PaymentToken
from psp_adapters.http import AnswerUnknown, HttpAnswer

Json = dict[str, Any]

OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "declined": Outcome.DECLINED,
    "failed": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
_STANDINGS: Final = {
    "requires_action": PaymentStanding.OPEN,
    "pending": PaymentStanding.OPEN,
    "declined": PaymentStanding.DECLINED,
    "failed": PaymentStanding.DECLINED,
    "canceled": PaymentStanding.DECLINED,
    "authorized": PaymentStanding.HELD,
    "partially_captured": PaymentStanding.HELD,
    "captured": PaymentStanding.CAPTURED,
    "partially_refunded": PaymentStanding.CAPTURED,
    "refunded": PaymentStanding.CAPTURED,
    "voided": PaymentStanding.RELEASED,
    "expired": PaymentStanding.EXPIRED,
}
# The sandbox's word to the merchant API's error code.
_CODES: Final = {
    "card_declined": "card_declined",
    "expired_card": "expired_card",
    "incorrect_cvc": "incorrect_cvc",
    "processing_error": "processing_error",
    "authentication_required": "authentication_required",
    "authentication_failed": "payment_intent_authentication_failure",
    "bank_declined": "bank_account_declined",
    "refund_failed": "processing_error",
    "returned": "processing_error",
}
_EXPIRED: Final = "payment_expired"
"""The sandbox's word for a change that comes after the hold ran out."""
_PLAIN_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SECRETS: Final = re.compile(r"sandbox_\w+|Bearer\s+\S+|\d(?:[ -]?\d){11,}", re.IGNORECASE)
_MAX_DETAIL: Final = 500
_MAX_MESSAGE: Final = 200


class Contradiction(Exception):
    """The answer is readable but cannot be the answer to what was asked."""


def redacted(text: str) -> str:
    """`text` without keys or long numbers, at most 500 characters."""
    return _SECRETS.sub("[redacted]", text)[:_MAX_DETAIL]


def authorize_body(request: PspRequest) -> Json:
    """The body of POST /v1/payments."""
    return {
        "reference": request.reference,
        "order_id": request.order_id,
        "amount_minor": request.amount.minor,
        "currency": request.amount.currency,
        "token": request.token,
        "capture": request.capture,
        "challenge": "allow" if request.challenge_allowed else "forbid",
        "return_url": request.return_url,
        "metadata": request.metadata,
    }


def modify_body(request: PspRequest) -> Json:
    """The body of an increment, capture, void or refund."""
    body: Json = {"reference": request.reference}
    if request.kind is not OperationKind.VOID:
        body["amount_minor"] = request.amount.minor
    if request.kind is OperationKind.CAPTURE:
        body["final"] = request.final
    return body


def result_of_answer(request: PspRequest, answer: HttpAnswer) -> PspResult:
    """What an answer to a money request says; every doubt is UNKNOWN."""
    status = answer.status
    if status == 429:
        return PspResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer),
            detail="429 rate limited",
        )
    if status not in (200, 402) and not 400 <= status < 500:
        return unknown(f"answered {status}")
    try:
        words = answer.json()
        if status in (200, 402):
            view = words if status == 200 else words["operation"]
            return _checked_result(request, view)
        return _refused(status, words["error"])
    except Contradiction as contradiction:
        return unknown(f"answered {status}, contradictory: {contradiction}")
    except (AnswerUnknown, KeyError, TypeError, ValueError, LedgerError) as error:
        return unknown(f"answered {status}, unreadable: {type(error).__name__}")


def unknown(detail: str) -> PspResult:
    """It may or may not have happened."""
    return PspResult(outcome=Outcome.UNKNOWN, detail=redacted(detail))


def not_sent(detail: str) -> PspResult:
    """It certainly did not happen."""
    return PspResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))


def retry_after(answer: HttpAnswer) -> float:
    """Seconds to wait by the Retry-After header; 1 if it is missing or unreadable."""
    text = answer.headers.get("retry-after", "")
    if text.isascii() and text.isdigit() and len(text) < 6:
        return float(text)
    return 1.0


def result_of_operation(view: Json, *, kind: OperationKind, reference: str) -> PspResult:
    """What the PSP shows of one operation; with an empty reference, whoever began it.

    Raises Contradiction if it is not the operation asked for, KeyError, TypeError, ValueError or
    LedgerError if it is not readable.
    """
    if view["kind"] != kind.value:
        raise Contradiction("another kind of operation")
    if reference and view["reference"] != reference:
        raise Contradiction("another reference")
    psp_id, payment_id = view["id"], view["payment_id"]
    if not (isinstance(psp_id, str) and isinstance(payment_id, str) and psp_id and payment_id):
        raise Contradiction("no id")
    outcome = OUTCOMES[view["status"]]
    amount = Money(view["amount_minor"], view["currency"])
    expires_at = _time_of(view["payment"]["expires_at"])
    code, decline_code, message = "", "", ""
    if outcome is Outcome.DECLINED:
        code, decline_code, message = _decline(view.get("error") or {})
    held_minor = view["payment"].get("held_minor")
    held = None if held_minor is None else Money(held_minor, view["currency"])
    redirect_url = view["challenge_url"] if outcome is Outcome.REQUIRES_ACTION else ""
    if not isinstance(redirect_url, str):
        raise Contradiction("no address of the challenge")
    return PspResult(
        outcome=outcome,
        psp_id=psp_id,
        psp_payment_id=payment_id,
        amount=amount,
        code=code,
        decline_code=decline_code,
        message=message,
        redirect_url=redirect_url,
        expires_at=expires_at,
        held=held,
        available_at_once=view["payment"].get("settles_at_once") is True,
    )


def payment_of(view: Json, *, psp_payment_id: str) -> PspPayment:
    """What the PSP shows of a whole payment.

    Raises Contradiction if it is another payment, KeyError, TypeError, ValueError or LedgerError if
    it is not readable.
    """
    if view["id"] != psp_payment_id:
        raise Contradiction("another payment")
    currency = view["currency"]
    acts = [_act_of(each) for each in view["operations"]]
    if view["expired_minor"]:
        acts.append(
            PspAct(
                kind=ActKind.EXPIRE,
                psp_id=psp_payment_id,
                reference="",
                amount=Money(view["expired_minor"], currency),
                outcome=Outcome.SUCCEEDED,
                at=_time_of(view["expired_at"]),
            )
        )
    return PspPayment(
        psp_payment_id=psp_payment_id,
        standing=_STANDINGS[view["status"]],
        held=Money(view["held_minor"], currency),
        expires_at=_time_of(view["expires_at"]),
        acts=tuple(sorted(acts, key=lambda act: act.at)),
    )


def _act_of(view: Json) -> PspAct:
    if not (isinstance(view["id"], str) and view["id"] and isinstance(view["reference"], str)):
        raise TypeError("an operation has an id, and a reference even if it is empty")
    return PspAct(
        kind=ActKind(view["kind"]),
        psp_id=view["id"],
        reference=view["reference"],
        amount=Money(view["amount_minor"], view["currency"]),
        outcome=OUTCOMES[view["status"]],
        at=_time_of(view["created_at"]),
        final=bool(view["final"]),
    )


def _time_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise Contradiction("a time without its zone")
    return moment


def token_of(view: Json) -> PaymentToken:
    """What the PSP tells of a token; raises KeyError or TypeError if it is not readable."""
    if not (isinstance(view["token"], str) and isinstance(view["method_type"], str)):
        raise TypeError("token and method_type are strings")
    return PaymentToken(
        token=view["token"],
        method_type=view["method_type"],
        brand=view["brand"],
        funding=view["funding"],
        last4=view["last4"],
        expiry_month=view["exp_month"],
        expiry_year=view["exp_year"],
        country=view["country"],
        fingerprint=view["fingerprint"],
    )


def looks_like_card_number(token: str) -> bool:
    """Digits and separators only: no token of any PSP, and not to be sent anywhere."""
    digits = token.replace(" ", "").replace("-", "")
    return digits.isdigit() and len(digits) >= 12


def _checked_result(request: PspRequest, view: Json) -> PspResult:
    """The result, once it is certain that it speaks of this request."""
    result = result_of_operation(view, kind=request.kind, reference=request.reference)
    if request.psp_payment_id and result.psp_payment_id != request.psp_payment_id:
        raise Contradiction("another payment")
    if result.amount is None or result.amount.currency != request.amount.currency:
        raise Contradiction("another currency")
    # A void takes no amount: what the PSP let go is its word, and the caller's to compare.
    if request.kind is not OperationKind.VOID and result.amount != request.amount:
        raise Contradiction("another amount")
    return result


def _refused(status: int, error: Json) -> PspResult:
    """A 4xx without an operation."""
    kind = str(error["type"])
    detail = redacted(f"answered {status} {kind} {error.get('code', '')}: {error.get('message')}")
    if kind == "idempotency_mismatch":
        # Our bug: something was done under this key, and it was not this. Nothing may go on.
        return PspResult(outcome=Outcome.UNKNOWN, contradicts_us=True, detail=detail)
    if status in (408, 425) or kind == "in_flight":
        return PspResult(outcome=Outcome.UNKNOWN, detail=detail)
    if status in (401, 403):
        # Our credentials are refused, not the customer's card: it was not even looked at.
        return PspResult(outcome=Outcome.NOT_SENT, detail=detail)
    if error.get("code") == _EXPIRED:
        return PspResult(
            outcome=Outcome.DECLINED,
            code="charge_expired_for_capture",
            message="The authorization has expired; nothing is held any more.",
            detail=detail,
        )
    return PspResult(
        outcome=Outcome.DECLINED,
        code="processing_error",
        message="The payment service provider refused the request.",
        detail=detail,
    )


def _decline(error: object) -> tuple[str, str, str]:
    """Code, decline code and message in the merchant API's words."""
    if not isinstance(error, dict):
        raise TypeError("a reason is an object")
    code = _CODES.get(str(error.get("code", "")), "card_declined")
    decline_code = str(error.get("decline_code", ""))
    if decline_code and not _PLAIN_WORD.fullmatch(decline_code):
        decline_code = "generic_decline"
    message = str(error.get("message", "")) or "The payment was declined."
    return code, decline_code, _SECRETS.sub("[redacted]", message)[:_MAX_MESSAGE]
