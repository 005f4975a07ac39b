"""Maps operations to Adyen's requests, and its answers back. No I/O.

An authorization is answered with its result. Every later operation is only accepted at first: the
answer says `received`, and a notification says how it ended.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from ledger.money import Money
from psp_adapters.adyen import vocabulary
from psp_adapters.contract.answers import UNREADABLE, Answer, Contradiction, retry_after, text
from psp_adapters.contract.card_numbers import masked_card_numbers
from psp_adapters.contract.minor_units import MinorUnits
from psp_adapters.contract.operations import (
    REQUEST_REFUSED,
    OperationKind,
    Outcome,
    PspRequest,
    PspResult,
)
from psp_adapters.contract.payments import PaymentToken

Json = dict[str, Any]
K = OperationKind

AMOUNTS: Final = MinorUnits({"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2, "UGX": 0})
"""Where Adyen's decimals may differ from the merchant API's."""
BARE_METHOD: Final = "method:"
"""Before the type of a method that begins without a token."""
NOWHERE: Final = "https://return.invalid/"
"""Adyen wants an address to return to also of a payment whose customer is sent nowhere."""
RECEIVED: Final = "received"
TRANSIENT: Final = "transient-error"
"""The header that says whether the same key may be sent again."""
IN_PROGRESS: Final = "704"
"""The error code for a request whose key is in use."""
PAGE_CUSTOMER: Final = "page-"
"""How our references of customers begin whose card was entered on the checkout page."""
_KEYS: Final = uuid.UUID("5a3c4b1e-5a0e-4f0e-9f7c-2f0c3d7e9b61")
_TOKEN: Final = re.compile(r"([A-Za-z0-9_.:-]{3,150})/([A-Z0-9]{8,64})")
_NETWORK_ID: Final = re.compile(r"[A-Za-z0-9_ -]{1,64}")
_SECRETS: Final = re.compile(r"\bAQE\w+[\w+/=.-]*|Bearer\s+\S+")
_MAX_DETAIL: Final = 500
_METADATA_MAX: Final = 20
_METADATA_KEY_MAX: Final = 20
_METADATA_VALUE_MAX: Final = 80


def key_of(psp_key: str) -> str:
    """The idempotency key, in the form that Adyen asks for: the same for every repeat."""
    return str(uuid.uuid5(_KEYS, psp_key))


def redacted(text: str) -> str:
    """`text` without keys and card numbers, at most 500 characters."""
    return masked_card_numbers(_SECRETS.sub("[redacted]", text[: 4 * _MAX_DETAIL]))[:_MAX_DETAIL]


def token_parts(token: str) -> tuple[str, str] | None:
    """The customer's reference and the id of the stored method; None if it is no such token."""
    match = _TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else None


def is_token(token: str) -> bool:
    """Whether it has the form of one that can be charged; nothing else is sent."""
    return token == f"{BARE_METHOD}ideal" or token_parts(token) is not None


def amount_of(amount: Money) -> Json:
    """An amount as Adyen writes it."""
    return {"currency": amount.currency, "value": AMOUNTS.to_psp(amount)}


def authorize_body(request: PspRequest, *, merchant_account: str, pre_authorize: bool) -> Json:
    """The body of POST /payments."""
    body: Json = {
        "merchantAccount": merchant_account,
        "reference": request.reference,
        "amount": amount_of(request.amount),
        "returnUrl": request.return_url or NOWHERE,
        "channel": "Web",
        "metadata": _texts_of(request),
        **_method_of(request),
        **_capture_of(request, pre_authorize=pre_authorize),
    }
    if not request.token.startswith(BARE_METHOD):
        body["authenticationData"] = _authentication_of(request)
    return body


def _method_of(request: PspRequest) -> Json:
    parts = token_parts(request.token)
    if parts is None:
        return {"paymentMethod": {"type": request.token.removeprefix(BARE_METHOD)}}
    customer, stored_id = parts
    return {
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": stored_id},
        "shopperReference": customer,
        **_agreement_of(request),
    }


def _agreement_of(request: PspRequest) -> Json:
    """What the card's bank is told: the customer agrees to later payments, or agreed before."""
    is_absent = request.off_session or request.save_for == "off_session"
    model = {"recurringProcessingModel": vocabulary.ABSENT if is_absent else vocabulary.PRESENT}
    if request.save_for:
        return {**model, "shopperInteraction": "Ecommerce", "storePaymentMethod": True}
    if request.token.startswith(PAGE_CUSTOMER) and not request.off_session:
        return {**model, "shopperInteraction": "Ecommerce"}  # Entered on our page just before.
    return {**model, "shopperInteraction": "ContAuth"}


def _capture_of(request: PspRequest, *, pre_authorize: bool) -> Json:
    if not request.amount:
        return {}  # A verification of a card: nothing is held.
    if request.capture:
        return {"captureDelayHours": 0}
    options = {"manualCapture": "true"}
    return {"additionalData": options | vocabulary.PRE_AUTHORIZATION if pre_authorize else options}


def _authentication_of(request: PspRequest) -> Json:
    # The customer goes to another page: the platform has no page with Adyen's own component.
    options: Json = {"threeDSRequestData": {"nativeThreeDS": "disabled"}}
    if not request.challenge_allowed or not request.return_url:
        options["attemptAuthentication"] = "never"
    elif request.three_d_secure:
        options["attemptAuthentication"] = "always"
    return options


def _texts_of(request: PspRequest) -> dict[str, str]:
    """What the merchant wrote, within Adyen's limits: a card number in it is masked."""
    texts = {"order_id": request.order_id} if request.order_id else {}
    texts |= request.metadata
    fitting = {
        name: masked_card_numbers(said)[:_METADATA_VALUE_MAX]
        for name, said in texts.items()
        if len(name) <= _METADATA_KEY_MAX
    }
    return dict(list(fitting.items())[:_METADATA_MAX])


def change_body(request: PspRequest, *, merchant_account: str) -> Json:
    """The body of a capture or a refund; a void has no amount."""
    body: Json = {"merchantAccount": merchant_account, "reference": request.reference}
    return body if request.kind is K.VOID else {**body, "amount": amount_of(request.amount)}


def increment_body(request: PspRequest, total: Money, *, merchant_account: str) -> Json:
    """The body of an increment: Adyen takes the new total."""
    return {
        **change_body(request, merchant_account=merchant_account),
        "amount": amount_of(total),
        "industryUsage": "delayedCharge",
    }


def cancel_body(request: PspRequest, *, merchant_account: str) -> Json:
    """The body of a cancellation that names the payment by our reference alone."""
    body = change_body(request, merchant_account=merchant_account)
    return {**body, "paymentReference": request.payment_reference}


def not_sent(detail: str) -> PspResult:
    """It certainly did not happen."""
    return PspResult(outcome=Outcome.NOT_SENT, detail=redacted(detail))


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


def result_of_answer(request: PspRequest, answer: Answer) -> PspResult:
    """Read the answer to a money operation; every doubt is UNKNOWN."""
    if answer.status not in (200, 201):
        return failure_of(request, answer)
    try:
        if request.kind is K.AUTHORIZE:
            return authorization_of(answer.body, reference=request.reference, sent=request.amount)
        return _accepted(request, answer.body)
    except Contradiction as contradiction:
        return unknown(f"answered {answer.status}, contradictory: {contradiction}")
    except UNREADABLE as error:
        return unknown(f"answered {answer.status}, unreadable: {type(error).__name__}")


def authorization_of(view: Json, *, reference: str, sent: Money | None) -> PspResult:
    """Read the answer to a payment, or to the details of one. Raises Contradiction or UNREADABLE.

    `sent` is the amount, where the caller knows it.
    """
    said = text(view["resultCode"])
    outcome = vocabulary.RESULT_OUTCOMES.get(said, Outcome.UNKNOWN)
    own = view.get("merchantReference")
    if own is not None and own != reference:
        raise Contradiction("another reference")
    if outcome is Outcome.UNKNOWN:
        return unknown(f"answered {said}: {view.get('refusalReason') or 'no reason'}")
    if outcome is Outcome.REQUIRES_ACTION:
        # Its id is not that of the payment yet: the answer to the details names that.
        return PspResult(outcome=outcome, redirect_url=_redirect_of(view))
    psp_id = text(view["pspReference"])
    if outcome is Outcome.DECLINED:
        return _declined(view, said, psp_id)
    amount = money_of(view["amount"]) if "amount" in view else sent
    if sent is not None and amount != sent:
        raise Contradiction("another amount")
    return PspResult(
        outcome=outcome,
        psp_id=psp_id,
        psp_payment_id=psp_id,
        amount=amount,
        network_transaction_id=network_transaction_id_of(view),
    )


def network_transaction_id_of(view: Json) -> str:
    """The card network's id of an authorization; empty if Adyen states none, or it was masked."""
    extra = view.get("additionalData")
    said = extra.get("networkTxReference") if isinstance(extra, dict) else None
    return said if isinstance(said, str) and _NETWORK_ID.fullmatch(said) else ""


def _redirect_of(view: Json) -> str:
    action = view["action"]
    if action["type"] != "redirect" or action.get("method", "GET") != "GET":
        raise Contradiction("an action that is no plain redirect")
    return text(action["url"])


def _declined(view: Json, said: str, psp_id: str) -> PspResult:
    refusal, number = str(view.get("refusalReason") or ""), str(view.get("refusalReasonCode") or "")
    code, decline_code, message = vocabulary.decline_of(
        refusal_code=number, refusal=refusal or said
    )
    return PspResult(
        outcome=Outcome.DECLINED,
        psp_id=psp_id,
        psp_payment_id=psp_id,
        code=code,
        decline_code=decline_code,
        message=message,
        elsewhere=vocabulary.may_try_elsewhere(refusal_code=number, refusal=refusal or said),
        detail=redacted(f"answered {said} {number}: {refusal}"),
    )


def _accepted(request: PspRequest, view: Json) -> PspResult:
    """The acceptance of a change: its result follows by notification."""
    if view["status"] != RECEIVED:
        raise Contradiction("a status that is not known")
    if view.get("reference", request.reference) != request.reference:
        raise Contradiction("another reference")
    payment_id = view.get("paymentPspReference", request.psp_payment_id)
    if payment_id != request.psp_payment_id:
        raise Contradiction("another payment")
    if request.kind in (K.CAPTURE, K.REFUND) and money_of(view["amount"]) != request.amount:
        raise Contradiction("another amount")
    return PspResult(
        outcome=Outcome.PENDING,
        psp_id=text(view["pspReference"]),
        psp_payment_id=payment_id,
        amount=None if request.kind is K.VOID else request.amount,
    )


def failure_of(request: PspRequest, answer: Answer) -> PspResult:
    """Read the answer to a money operation that was no success; every doubt is UNKNOWN."""
    status = answer.status
    error = answer.body if isinstance(answer.body, dict) else {}
    code = str(error.get("errorCode") or "")
    detail = f"answered {status} {error.get('errorType') or ''} {code}: {error.get('message')}"
    if status == 429:
        return PspResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if answer.headers.get(TRANSIENT, "").strip().lower() == "true":
        return unknown(f"{detail} (transient)")
    if status in (401, 403):
        # Our credentials are refused; the customer's card was not even tried.
        return not_sent(f"answered {status} {code}")
    if status not in (400, 404, 422) or code == IN_PROGRESS or not code:
        return unknown(detail)
    if request.kind is K.AUTHORIZE:
        refused = refused_unsent(detail)
        return replace(refused, elsewhere=code in vocabulary.ACCOUNT_REFUSALS)
    return PspResult(
        outcome=Outcome.DECLINED,
        code="processing_error",
        message="The payment service provider refused the request.",
        detail=redacted(detail),
    )


def token_of(view: Json, *, token: str) -> PaymentToken | None:
    """The stored payment method of a token in a customer's list; None if it is not there."""
    parts = token_parts(token)
    assert parts is not None, "the caller checked its form"
    for each in view.get("storedPaymentMethods") or []:
        if each["id"] != parts[1]:
            continue
        year = int(each["expiryYear"]) if each.get("expiryYear") else None
        return PaymentToken(
            token=token,
            method_type=vocabulary.METHOD_TYPES.get(each["type"], each["type"]),
            brand=vocabulary.BRANDS.get(each.get("brand") or "", each.get("brand") or ""),
            last4=each.get("lastFour") or "",
            expiry_month=int(each["expiryMonth"]) if each.get("expiryMonth") else None,
            expiry_year=year if year is None or year > 99 else 2000 + year,
            fingerprint=each.get("alias") or "",
        )
    return None


def money_of(view: Any) -> Money:
    """An amount as Adyen writes it."""
    return AMOUNTS.from_psp(view["value"], text(view["currency"]))


def moment_of(said: Any) -> datetime:
    """A time with its distance from UTC."""
    moment = datetime.fromisoformat(text(said))
    if moment.tzinfo is None:
        raise ValueError("a time without its distance from UTC")
    return moment.astimezone(UTC)
