"""Maps operations and payments to the sandbox PSP's JSON and back. No I/O."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from ledger.exceptions import LedgerError
from ledger.money import Money
from psp_adapters.contract.answers import Contradiction, require_request, retry_after
from psp_adapters.contract.minor_units import MinorUnits
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.contract.payments import (
    FieldsKind,
    HostedFields,
    PaymentToken,
    PspOperation,
    PspOperationKind,
    PspPayment,
    PspPaymentStatus,
)
from psp_adapters.http import AnswerUnknown, HttpAnswer

Json = dict[str, Any]

FIELD_TOKEN_PREFIX: Final = "tok_fields_"  # noqa: S105
"""Of a token that the card fields made: it can be charged once."""

OUTCOMES: Final = {
    "succeeded": Outcome.SUCCEEDED,
    "pending": Outcome.PENDING,
    "requires_action": Outcome.REQUIRES_ACTION,
    "declined": Outcome.DECLINED,
    "failed": Outcome.DECLINED,
    "canceled": Outcome.DECLINED,
}
_PAYMENT_STATUSES: Final = {
    "requires_action": PspPaymentStatus.OPEN,
    "pending": PspPaymentStatus.OPEN,
    "declined": PspPaymentStatus.DECLINED,
    "failed": PspPaymentStatus.DECLINED,
    "canceled": PspPaymentStatus.DECLINED,
    "authorized": PspPaymentStatus.HELD,
    "partially_captured": PspPaymentStatus.HELD,
    "captured": PspPaymentStatus.CAPTURED,
    "partially_refunded": PspPaymentStatus.CAPTURED,
    "refunded": PspPaymentStatus.CAPTURED,
    "voided": PspPaymentStatus.RELEASED,
    "expired": PspPaymentStatus.EXPIRED,
}
# The sandbox PSP's error codes to the merchant API's.
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
ELSEWHERE: Final = frozenset({"issuer_not_available", "processing_error", "try_again_later"})
"""The decline codes, or codes without one, of charges that another account may take."""
AMOUNTS: Final = MinorUnits({"ISK": 0, "UGX": 0})
"""The sandbox PSP counts these as ISO 4217 does: in whole krónur and shillings."""
_EXPIRED: Final = "payment_expired"
"""The sandbox PSP's code for an operation after the hold expired."""
_INVALID_REQUESTS: Final = frozenset({"invalid_request", "not_found", "card_data_refused"})
"""Types of errors about the request itself, which no bank has seen."""
_PLAIN_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,59}")
_SECRETS: Final = re.compile(r"sandbox_\w+|Bearer\s+\S+|\d(?:[ -]?\d){11,}", re.IGNORECASE)
_MAX_DETAIL: Final = 500
_MAX_MESSAGE: Final = 200


def redacted(text: str) -> str:
    """`text` without keys or long numbers, at most 500 characters."""
    return _SECRETS.sub("[redacted]", text)[:_MAX_DETAIL]


def authorize_body(request: PspRequest) -> Json:
    """The body of POST /v1/payments."""
    return {
        "reference": request.reference,
        "order_id": request.order_id,
        "amount_minor": AMOUNTS.to_psp(request.amount),
        "currency": request.amount.currency,
        "token": request.token,
        "capture": request.capture,
        "challenge": _challenge_of(request),
        "return_url": request.return_url,
        "metadata": request.metadata,
        **_purchase(request),
        **_credential(request),
        **({"mandate": request.mandate} if request.mandate else {}),
    }


def _credential(request: PspRequest) -> Json:
    """What the charge says of a stored payment method; nothing for a method used once."""
    said = {
        "save_for": request.save_for,
        "off_session": request.off_session,
        "network_transaction_id": request.network_transaction_id,
    }
    return {"credential": said} if any(said.values()) else {}


def _challenge_of(request: PspRequest) -> str:
    if not request.challenge_allowed:
        return "forbid"
    return "request" if request.three_d_secure else "allow"


def modify_body(request: PspRequest) -> Json:
    """The body of an increment, capture, void or refund."""
    body: Json = {"reference": request.reference}
    if request.kind is not OperationKind.VOID:
        body["amount_minor"] = AMOUNTS.to_psp(request.amount)
    if request.kind is OperationKind.CAPTURE:
        body["final"] = request.final
    return body | _purchase(request)


def _purchase(request: PspRequest) -> Json:
    """What was bought, if it is known; the sandbox PSP stores it as it comes.

    Amounts are in the merchant API's minor units, also where the PSP counts others.
    """
    return {} if request.purchase is None else {"purchase": asdict(request.purchase)}


def result_of_answer(request: PspRequest, answer: HttpAnswer) -> PspResult:
    """Read the answer to a money operation; every doubt is UNKNOWN."""
    status = answer.status
    if status == 429:
        return PspResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if status not in (200, 402) and not 400 <= status < 500:
        return unknown(f"answered {status}")
    try:
        body = answer.json()
        if status in (200, 402):
            view = body if status == 200 else body["operation"]
            return _checked_result(request, view)
        return _refused(status, body["error"])
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


def result_of_operation(view: Json, *, kind: OperationKind, reference: str) -> PspResult:
    """Read one operation as the PSP shows it. An empty reference skips the check of it.

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
    amount = AMOUNTS.from_psp(view["amount_minor"], view["currency"])
    expires_at = time_of(view["payment"]["expires_at"])
    code, decline_code, message, elsewhere = "", "", "", False
    if outcome is Outcome.DECLINED:
        error = view.get("error") or {}
        code, decline_code, message = decline_of(error)
        elsewhere = kind is OperationKind.AUTHORIZE and may_try_elsewhere(error)
    held_minor = view["payment"].get("held_minor")
    held = None if held_minor is None else AMOUNTS.from_psp(held_minor, view["currency"])
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
        elsewhere=elsewhere,
        redirect_url=redirect_url,
        expires_at=expires_at,
        held=held,
        available_at_once=view["payment"].get("settles_at_once") is True,
        network_transaction_id=str(view.get("network_transaction_id") or ""),
    )


def payment_of(view: Json, *, psp_payment_id: str) -> PspPayment:
    """Read a whole payment as the PSP shows it.

    Raises Contradiction if it is another payment, KeyError, TypeError, ValueError or LedgerError if
    it is not readable.
    """
    if view["id"] != psp_payment_id:
        raise Contradiction("another payment")
    currency = view["currency"]
    operations = [_operation_of(each) for each in view["operations"]]
    if view["expired_minor"]:
        operations.append(
            PspOperation(
                kind=PspOperationKind.EXPIRE,
                psp_id=psp_payment_id,
                reference="",
                amount=AMOUNTS.from_psp(view["expired_minor"], currency),
                outcome=Outcome.SUCCEEDED,
                at=time_of(view["expired_at"]),
            )
        )
    return PspPayment(
        psp_payment_id=psp_payment_id,
        status=_PAYMENT_STATUSES[view["status"]],
        held=AMOUNTS.from_psp(view["held_minor"], currency),
        expires_at=time_of(view["expires_at"]),
        operations=tuple(sorted(operations, key=lambda operation: operation.at)),
        available_at_once=view["settles_at_once"] is True,
    )


def _operation_of(view: Json) -> PspOperation:
    if not (isinstance(view["id"], str) and view["id"] and isinstance(view["reference"], str)):
        raise TypeError("an operation has an id, and a reference even if it is empty")
    outcome = OUTCOMES[view["status"]]
    code, decline_code, message = "", "", ""
    if outcome is Outcome.DECLINED:
        code, decline_code, message = decline_of(view.get("error") or {})
    return PspOperation(
        kind=PspOperationKind(view["kind"]),
        psp_id=view["id"],
        reference=view["reference"],
        amount=AMOUNTS.from_psp(view["amount_minor"], view["currency"]),
        outcome=outcome,
        at=time_of(view["created_at"]),
        final=bool(view["final"]),
        code=code,
        decline_code=decline_code,
        message=message,
        network_transaction_id=str(view.get("network_transaction_id") or ""),
    )


def time_of(text: str) -> datetime:
    """The moment that a text names; raises Contradiction if it has no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise Contradiction("a time without its zone")
    return moment


def token_of(view: Json) -> PaymentToken:
    """Read a token's description; raises KeyError or TypeError if it is not readable."""
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


def _checked_result(request: PspRequest, view: Json) -> PspResult:
    """The result, once it is certain that it is about this request."""
    result = result_of_operation(view, kind=request.kind, reference=request.reference)
    return require_request(result, request)


def _refused(status: int, error: Json) -> PspResult:
    """A 4xx without an operation."""
    kind = str(error["type"])
    detail = redacted(f"answered {status} {kind} {error.get('code', '')}: {error.get('message')}")
    if kind == "idempotency_mismatch":
        # A bug of ours: another request was executed under this key. Nothing more may be sent.
        return PspResult(outcome=Outcome.UNKNOWN, contradicts_us=True, detail=detail)
    if status in (408, 425) or kind == "in_flight":
        return PspResult(outcome=Outcome.UNKNOWN, detail=detail)
    if status in (401, 403):
        # Our credentials are refused; the customer's card was not even tried.
        return PspResult(outcome=Outcome.NOT_SENT, detail=detail)
    if error.get("code") == _EXPIRED:
        return PspResult(
            outcome=Outcome.DECLINED,
            code="charge_expired_for_capture",
            message="The authorization has expired; nothing is held any more.",
            detail=detail,
        )
    if kind in _INVALID_REQUESTS:
        return PspResult(
            outcome=Outcome.DECLINED,
            code=REQUEST_REFUSED,
            message="The payment provider did not accept the request as valid.",
            detail=detail,
        )
    return PspResult(
        outcome=Outcome.DECLINED,
        code="processing_error",
        message="The payment service provider refused the request.",
        detail=detail,
    )


def decline_of(error: object) -> tuple[str, str, str]:
    """Code, decline code and message, as the merchant API names them."""
    if not isinstance(error, dict):
        raise TypeError("a reason is an object")
    code = _CODES.get(str(error.get("code", "")), "card_declined")
    decline_code = str(error.get("decline_code", ""))
    if decline_code and not _PLAIN_CODE.fullmatch(decline_code):
        decline_code = "generic_decline"
    message = str(error.get("message", "")) or "The payment was declined."
    return code, decline_code, _SECRETS.sub("[redacted]", message)[:_MAX_MESSAGE]


def may_try_elsewhere(error: Json) -> bool:
    """Whether another account may take a charge that was declined for this reason."""
    return str(error.get("decline_code") or error.get("code") or "") in ELSEWHERE


def hosted_fields_of(base_url: str, account: str, page_origin: str) -> HostedFields:
    """The card fields of an account for pages of one origin."""
    parts = urlsplit(base_url)
    public_key = f"pk_sandbox_{account}"
    query = urlencode({"key": public_key, "origin": page_origin})
    return HostedFields(
        kind=FieldsKind.FRAME,
        origin=f"{parts.scheme}://{parts.netloc}",
        url=f"{base_url.rstrip('/')}/fields?{query}",
        public_key=public_key,
    )


def balance_of(view: Json) -> tuple[Money, ...]:
    """What the PSP holds for us, by currency; raises ValueError if one comes twice."""
    amounts = tuple(
        AMOUNTS.from_psp(each["amount_minor"], each["currency"]) for each in view["data"]
    )
    if len({each.currency for each in amounts}) != len(amounts):
        raise ValueError("two balances of one currency")
    return amounts
