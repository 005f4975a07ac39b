"""Maps operations to Mollie's requests, and its refusals back. No I/O.

Each payment, capture and refund has our reference in its metadata. A release of a hold has no
object at Mollie: a note of it is stored in the payment's metadata before.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from ledger.money import Money
from psp_adapters.contract.answers import (
    UNREADABLE,
    Answer,
    Contradiction,
    OtherMode,
    retry_after,
    text,
)
from psp_adapters.contract.card_numbers import masked_card_numbers
from psp_adapters.contract.minor_units import MinorUnits
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.mollie import vocabulary

Json = dict[str, Any]
K = OperationKind

AMOUNTS: Final = MinorUnits({"ISK": 0})
"""Mollie writes krónur without decimals."""
KEY_LENGTH_MAX: Final = 255
"""Of an idempotency key."""
BARE_METHOD: Final = "method:"
"""Before the type of a method that begins without a token."""
REFERENCE: Final = "reference"
FINAL: Final = "final"
"""Whether a capture of ours was the last; in its metadata."""
FIRST: Final = "first"
"""The `sequenceType` of a payment that makes a mandate."""
VOID: Final = "void"
"""Our reference of the void, in the metadata of its payment."""
_KEPT_TOKEN: Final = re.compile(r"(cst_[A-Za-z0-9_]{1,60})/(mdt_[A-Za-z0-9_]{1,60})")
"""Of a method that was kept: its customer at Mollie, and the mandate."""
_CARD_TOKEN: Final = re.compile(r"tkn_[A-Za-z0-9_]{1,120}")
_SECRETS: Final = re.compile(r"\b(?:live|test|access)_\w+|Bearer\s+\S+")
_MAX_DETAIL: Final = 500
_MAX_MESSAGE: Final = 200
_MAX_DESCRIPTION: Final = 255


def require_mode(view: Any, *, livemode: bool) -> None:
    """Raise OtherMode if the object says that it is of the other mode than the key."""
    mode = "live" if livemode else "test"
    if isinstance(view, dict) and view.get("mode") not in (None, mode):
        raise OtherMode("it is of the other mode, test or live")


def redacted(said: str) -> str:
    """`said` without keys and card numbers, at most 500 characters."""
    return masked_card_numbers(_SECRETS.sub("[redacted]", said[: 4 * _MAX_DETAIL]))[:_MAX_DETAIL]


def method_type_of(token: str) -> str:
    """The type of the payment method that a token stands for; empty if it is no token."""
    bare = token.removeprefix(BARE_METHOD)
    if bare != token:
        return bare if bare in vocabulary.METHODS else ""
    return "card" if _CARD_TOKEN.fullmatch(token) else ""


def token_parts(token: str) -> tuple[str, str] | None:
    """The customer and the mandate of a kept method; None if it is no such token."""
    match = _KEPT_TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def kept_token(view: Json) -> str:
    """The token of later payments that a first payment made; empty if it made none (yet)."""
    token = f"{view.get('customerId')}/{view.get('mandateId')}"
    is_first = view.get("sequenceType") == FIRST
    return token if is_first and _KEPT_TOKEN.fullmatch(token) else ""


def refusal_before_sending(request: PspRequest) -> PspResult | None:
    """Why a charge is not sent; None if it is."""
    if token_parts(request.token) is not None:
        return None
    if not method_type_of(request.token):
        return refused_unsent("the token has not the form of one")
    if not request.challenge_allowed:
        return challenge_needed()
    if not request.return_url and request.token.startswith(BARE_METHOD):
        return refused_unsent("the customer needs an address to come back to")
    return None


def needs_customer(request: PspRequest) -> bool:
    """Whether a charge is to keep a method that is not kept yet."""
    return bool(request.save_for) and token_parts(request.token) is None


def authorize_body(request: PspRequest, *, webhook_url: str, customer: str = "") -> Json:
    """The body of POST /v2/payments; with a customer, of a first payment that makes a mandate."""
    kept = token_parts(request.token)
    if kept is not None:
        return _recurring_body(request, kept, webhook_url=webhook_url)
    method_type = method_type_of(request.token)
    texts = {"order_id": masked_card_numbers(request.order_id)} if request.order_id else {}
    body: Json = {
        "amount": amount_view(request.amount),
        "description": _description(request),
        "method": vocabulary.METHODS[method_type],
        "redirectUrl": request.return_url,
        "webhookUrl": webhook_url,
        "metadata": {**texts, REFERENCE: request.reference},
    }
    if method_type == "card" and not request.capture:
        body["captureMode"] = "manual"
    if not request.token.startswith(BARE_METHOD):
        body["cardToken"] = request.token
    return body | {"customerId": customer, "sequenceType": FIRST} if customer else body


def _recurring_body(request: PspRequest, kept: tuple[str, str], *, webhook_url: str) -> Json:
    """The body of a charge by a mandate: the customer goes nowhere."""
    customer, mandate = kept
    texts = {"order_id": masked_card_numbers(request.order_id)} if request.order_id else {}
    body: Json = {
        "amount": amount_view(request.amount),
        "description": _description(request),
        "sequenceType": "recurring",
        "customerId": customer,
        "mandateId": mandate,
        "webhookUrl": webhook_url,
        "metadata": {**texts, REFERENCE: request.reference},
    }
    return body if request.capture else {**body, "captureMode": "manual"}


def capture_body(request: PspRequest) -> Json:
    """The body of POST /v2/payments/:id/captures."""
    return {
        "amount": amount_view(request.amount),
        "description": _description(request),
        "metadata": {REFERENCE: request.reference, FINAL: request.final},
    }


def refund_body(request: PspRequest) -> Json:
    """The body of POST /v2/payments/:id/refunds."""
    return {
        "amount": amount_view(request.amount),
        "description": _description(request),
        "metadata": {REFERENCE: request.reference},
    }


def noted_metadata(view: Json, request: PspRequest) -> Json:
    """The metadata of a payment with the note of a void; Mollie replaces all of it."""
    return {**metadata_of(view), VOID: request.reference}


def _description(request: PspRequest) -> str:
    """What the customer and the merchant read at Mollie."""
    said = request.order_id or request.payment_reference or request.reference
    return masked_card_numbers(said)[:_MAX_DESCRIPTION]


def amount_view(amount: Money) -> Json:
    """An amount as Mollie writes it: a decimal number as text."""
    return {"currency": amount.currency, "value": AMOUNTS.to_major(amount)}


def money_of(view: Any) -> Money:
    """An amount that Mollie wrote."""
    return AMOUNTS.from_major(text(view["value"]), text(view["currency"]))


def metadata_of(view: Json) -> Json:
    """The metadata of an object; what is not ours may be anything."""
    found = view.get("metadata")
    return found if isinstance(found, dict) else {}


def reference_of(view: Json) -> str:
    """Our reference in the metadata of an object; empty if it has none."""
    found = metadata_of(view).get(REFERENCE)
    return found if isinstance(found, str) else ""


def moment_of(value: Any) -> datetime:
    """The time that Mollie wrote, with its zone."""
    moment = datetime.fromisoformat(text(value))
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return moment.astimezone(UTC)


def not_sent(detail: str, retry_after_seconds: float | None = None) -> PspResult:
    """It certainly did not happen."""
    return PspResult(
        outcome=Outcome.NOT_SENT,
        detail=redacted(detail),
        retry_after_seconds=retry_after_seconds,
    )


def unknown(detail: str, *, contradicts_us: bool = False) -> PspResult:
    """It may or may not have happened."""
    return PspResult(
        outcome=Outcome.UNKNOWN, detail=redacted(detail), contradicts_us=contradicts_us
    )


def refused_unsent(detail: str) -> PspResult:
    """We refuse to send it: a mistake of ours or of the merchant."""
    return PspResult(
        outcome=Outcome.DECLINED,
        code=REQUEST_REFUSED,
        message="The payment provider did not accept the request as valid.",
        detail=redacted(detail),
    )


def challenge_needed() -> PspResult:
    """A charge that may not send the customer to another page, which every charge here may do."""
    return PspResult(
        outcome=Outcome.DECLINED,
        code="authentication_required",
        decline_code="authentication_required",
        message="This payment needs the customer.",
        detail="not sent: Mollie decides whether the customer is asked, and cannot be told not to",
    )


def failure_of(request: PspRequest, answer: Answer) -> PspResult:
    """Read the answer to a money operation that was no success; every doubt is UNKNOWN."""
    status = answer.status
    if status == 429:
        return PspResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if not 400 <= status < 500:
        return unknown(f"answered {status}")
    try:
        body = answer.body
        if body["status"] != status:
            raise Contradiction("another status than that of the answer")
        detail = f"answered {status} {body['title']} {body.get('field') or ''}: {body['detail']}"
        reason = (body.get("extra") or {}).get("failureReason") or ""
    except (Contradiction, *UNREADABLE) as error:
        return unknown(f"answered {status}, unreadable: {type(error).__name__}")
    if status == 401:
        # Our credentials are refused; the customer's bank was not even asked.
        return not_sent(f"answered {status} {body['title']}")
    if status in (403, 408, 409, 425):
        # 409: another request with this key, or an equal refund, is under way. Perhaps our own.
        return unknown(detail)
    if request.kind is K.AUTHORIZE and reason:
        code, decline_code, message = vocabulary.decline_of(str(reason), "failed", "")
        return _declined(code, decline_code, message, detail)
    if request.kind is K.AUTHORIZE or status == 404:
        return refused_unsent(detail)
    message = "The payment service provider refused the request."
    return _declined("processing_error", "", message, detail)


def _declined(code: str, decline_code: str, message: str, detail: str) -> PspResult:
    return PspResult(
        outcome=Outcome.DECLINED,
        code=code,
        decline_code=decline_code,
        message=sentence_of(message),
        detail=redacted(detail),
    )


def sentence_of(message: str) -> str:
    """A sentence for the merchant, without keys."""
    return _SECRETS.sub("[redacted]", message)[:_MAX_MESSAGE]
