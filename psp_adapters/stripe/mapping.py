"""Maps operations to Stripe's requests, and its answers back. No I/O.

Stripe has no captures, increments and voids with ids and references of their own: a payment intent
changes. So each of them leaves a note in the intent's metadata, under our reference: what it was,
its amount, and for a capture whether it was the last. A capture and an increment store their note
in the same request that moves the money. A void cannot: its note is stored just before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
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
from psp_adapters.contract.payments import PaymentToken
from psp_adapters.stripe import vocabulary

Json = dict[str, Any]
K = OperationKind

KEY_LENGTH_MAX: Final = 255
"""Of an idempotency key."""
AMOUNTS: Final = MinorUnits({})
"""The platform counts as its merchant API does, which has Stripe's shape: two decimals for ISK and
UGX, of which none is used, and three for KWD, of which the last is zero."""
BARE_METHOD: Final = "method:"
"""Before the type of a method that begins without a token."""
REFERENCE: Final = "reference"
"""The key in the metadata of an intent or a refund that holds our reference of it."""
_TOKEN: Final = re.compile(r"(?:pm|card|src)_[A-Za-z0-9_]{1,120}")
_KEPT_TOKEN: Final = re.compile(r"(cus_[A-Za-z0-9_]{1,60})/((?:pm|card|src)_[A-Za-z0-9_]{1,60})")
"""Of a card that was kept: its customer at Stripe, and the payment method."""
_NOTE: Final = re.compile(r"(increment|capture|void) ([0-9]{1,12})( more)?")
_OUR_REFERENCE: Final = re.compile(r"op_[A-Za-z][A-Za-z0-9]{21}")
"""Alone a key of this form is a note: texts of the merchant are metadata of the same intent."""
_SECRETS: Final = re.compile(r"\b(?:sk|rk|pk|whsec)_\w+|\b\w+_secret_\w+|Bearer\s+\S+")
_MAX_DETAIL: Final = 500
_MAX_MESSAGE: Final = 200


def require_mode(view: Any, *, livemode: bool) -> None:
    """Raise OtherMode if the object says that it is of the other mode than the key."""
    if isinstance(view, dict) and view.get("livemode") not in (None, livemode):
        raise OtherMode("it is of the other mode, test or live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An operation of ours that changed an intent."""

    kind: OperationKind
    reference: str
    amount: Money
    final: bool


def redacted(text: str) -> str:
    """`text` without keys and card numbers, at most 500 characters."""
    return masked_card_numbers(_SECRETS.sub("[redacted]", text[: 4 * _MAX_DETAIL]))[:_MAX_DETAIL]


def is_token(token: str) -> bool:
    """Whether it has the form of a token that a merchant may name."""
    return bool(_TOKEN.fullmatch(token)) or token.startswith(BARE_METHOD)


def is_chargeable(token: str) -> bool:
    """Whether it has the form of a token that can be charged; nothing else is sent."""
    return is_token(token) or bool(_KEPT_TOKEN.fullmatch(token))


def token_parts(token: str) -> tuple[str, str]:
    """The customer and the payment method of a token; no customer if the card was not kept."""
    match = _KEPT_TOKEN.fullmatch(token)
    return (match[1], match[2]) if match else ("", token)


def kept_token(view: Json) -> str:
    """The token from now on of the card that an intent keeps; empty if it does not say."""
    token = f"{view.get('customer')}/{view.get('payment_method')}"
    return token if _KEPT_TOKEN.fullmatch(token) else ""


def authorize_body(request: PspRequest, *, customer: str = "") -> Json:
    """The body of POST /v1/payment_intents, confirmed at once.

    `customer` is that of a card that is, or will be, kept.
    """
    bare = request.token.removeprefix(BARE_METHOD) if request.token.startswith(BARE_METHOD) else ""
    method: Json = (
        {"payment_method_data": {"type": bare}}
        if bare
        else {"payment_method": token_parts(request.token)[1]}
    )
    body: Json = {
        "amount": AMOUNTS.to_psp(request.amount),
        "currency": request.amount.currency.lower(),
        "confirm": True,
        "capture_method": "automatic" if request.capture else "manual",
        "payment_method_types": [bare or "card"],
        **method,
        "metadata": {**_texts_of(request), REFERENCE: request.reference},
        "expand": ["latest_charge"],
    }
    body |= _agreement_of(request, customer)
    if request.off_session:
        body["off_session"] = True
    elif not request.challenge_allowed:
        body["error_on_requires_action"] = True
    elif request.return_url:
        body["return_url"] = request.return_url
    if not bare and (card := _card_options(request)):
        body["payment_method_options"] = {"card": card}
    return body


def _agreement_of(request: PspRequest, customer: str) -> Json:
    said: Json = {"customer": customer} if customer else {}
    return {**said, "setup_future_usage": request.save_for} if request.save_for else said


def _texts_of(request: PspRequest) -> dict[str, str]:
    """What the merchant wrote, under no key of ours: a card number in it is masked, the same in
    every repeat."""
    texts = {
        name: said
        for name, said in request.metadata.items()
        if name != REFERENCE and not _OUR_REFERENCE.fullmatch(name)
    }
    if request.order_id:
        texts["order_id"] = request.order_id
    return {name: masked_card_numbers(said) for name, said in texts.items()}


def _card_options(request: PspRequest) -> Json:
    options: Json = {}
    if request.three_d_secure and request.challenge_allowed:
        options["request_three_d_secure"] = request.three_d_secure
    if not request.capture:
        # Stripe grants them by card and account, and says in the charge whether it did.
        options["request_incremental_authorization"] = "if_available"
        options["request_multicapture"] = "if_available"
    return options


def increment_body(request: PspRequest, view: Json) -> Json:
    """The body of an increment: Stripe takes the new total, and `view` shows the present one."""
    total_minor = _integer(view["amount"]) + AMOUNTS.to_psp(request.amount)
    return {"amount": total_minor, "metadata": note_of(request), "expand": ["latest_charge"]}


def capture_body(request: PspRequest) -> Json:
    """The body of a capture; without `final_capture` it is the last, and releases the rest."""
    body: Json = {
        "amount_to_capture": AMOUNTS.to_psp(request.amount),
        "metadata": note_of(request),
        "expand": ["latest_charge"],
    }
    return body if request.final else {**body, "final_capture": False}


def part_body(request: PspRequest, view: Json) -> Json:
    """The body of a capture after which more may follow, of the hold in `view`.

    One that takes all that is left is sent as the last: Stripe refuses it otherwise.
    """
    takes_all = AMOUNTS.to_psp(request.amount) == _integer(view["amount_capturable"])
    return capture_body(replace(request, final=True) if takes_all else request)


def refund_body(request: PspRequest) -> Json:
    """The body of POST /v1/refunds."""
    return {
        "payment_intent": request.psp_payment_id,
        "amount": AMOUNTS.to_psp(request.amount),
        "metadata": {REFERENCE: request.reference},
    }


def note_of(request: PspRequest) -> Json:
    """The note of an operation, as metadata of its intent."""
    more = "" if request.final else " more"
    amount = AMOUNTS.to_psp(request.amount)
    return {request.reference: f"{request.kind.value} {amount}{more}"}


def notes_of(view: Json) -> list[Note]:
    """The notes in an intent's metadata, as Stripe lists them; other entries are left out."""
    currency = view["currency"].upper()
    notes = []
    for key, value in view["metadata"].items():
        if not (_OUR_REFERENCE.fullmatch(key) and (match := _NOTE.fullmatch(str(value)))):
            continue
        kind, minor, more = match.groups()
        amount = AMOUNTS.from_psp(int(minor), currency)
        notes.append(Note(kind=K(kind), reference=key, amount=amount, final=not more))
    return notes


def id_of_note(intent_id: str, note: Note) -> str:
    """What the contract calls the PSP's id of the operation: Stripe gives it none.

    The last capture has the intent's id, which settlement lines name. The others add our reference.
    """
    if note.kind is K.VOID or (note.kind is K.CAPTURE and note.final):
        return intent_id
    return f"{intent_id}/{note.reference}"


def intent_id_of(psp_id: str) -> str:
    """The intent's id in the id of an operation."""
    return psp_id.partition("/")[0]


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


def void_without_hold(request: PspRequest, arrived: PspResult) -> PspResult:
    """The result of a void whose payment was declined, or is unknown: nothing is sent."""
    if arrived.outcome is Outcome.UNKNOWN:
        return arrived
    return PspResult(
        outcome=Outcome.SUCCEEDED,
        psp_payment_id=arrived.psp_payment_id,
        amount=Money.zero(request.amount.currency),
        detail="nothing was held",
        also_found=arrived.also_found,
    )


def refused_unsent(detail: str) -> PspResult:
    """We refuse to send it: a mistake of ours or of the merchant."""
    return PspResult(
        outcome=Outcome.DECLINED,
        code=REQUEST_REFUSED,
        message="The payment provider did not accept the request as valid.",
        detail=redacted(detail),
    )


def failure_of(request: PspRequest, answer: Answer) -> PspResult:
    """Read the answer to a money operation that was no success; every doubt is UNKNOWN."""
    status = answer.status
    if status == 429 and not vocabulary.is_in_use(answer.body):
        return PspResult(
            outcome=Outcome.NOT_SENT,
            retry_after_seconds=retry_after(answer.headers),
            detail="429 rate limited",
        )
    if not 400 <= status < 500:
        return unknown(f"answered {status}")
    try:
        error = answer.body["error"]
        kind, code = str(error["type"]), str(error.get("code") or "")
        detail = f"answered {status} {kind} {code}: {error.get('message')}"
        if kind == "idempotency_error" and status != 409:
            # A bug of ours: another request was executed under this key.
            return unknown(detail, contradicts_us=True)
        if status in (408, 409, 424, 425, 429) or code in vocabulary.IN_USE_CODES:
            return unknown(detail)
        if status == 401:
            # Our credentials are refused; the customer's card was not even tried.
            return not_sent(f"answered {status} {kind} {code}")
        if status == 403:
            # The right that is missing may be that to read what was made, such as its charge.
            return unknown(f"answered {status} {kind} {code}")
        if kind == "card_error" or status == 402:
            return _declined(request, error, detail)
        return _refused(request, code, detail)
    except Contradiction as contradiction:
        return unknown(f"answered {status}, contradictory: {contradiction}")
    except UNREADABLE as error:
        return unknown(f"answered {status}, unreadable: {type(error).__name__}")


def _declined(request: PspRequest, error: Json, detail: str) -> PspResult:
    """A decline by the issuer or by Stripe's rules; it may show the intent that it left."""
    code, decline_code, message = decline_of(error)
    intent_id, view = "", error.get("payment_intent")
    if view is not None and view["status"] not in vocabulary.statuses_after_decline(request.kind):
        raise Contradiction(f"a decline, and the intent is {view['status']}")
    if request.kind is K.AUTHORIZE and view is not None:
        if view["metadata"].get(REFERENCE) != request.reference:
            raise Contradiction("another reference")
        intent_id = text(view["id"])
    return PspResult(
        outcome=Outcome.DECLINED,
        psp_id=intent_id,
        psp_payment_id=intent_id or request.psp_payment_id,
        code=code,
        decline_code=decline_code,
        message=message,
        elsewhere=request.kind is K.AUTHORIZE and may_try_elsewhere(error),
        detail=redacted(detail),
    )


def may_try_elsewhere(error: Json) -> bool:
    """Whether another account may take a charge that was declined for this reason."""
    return str(error.get("decline_code") or error.get("code") or "") in vocabulary.ELSEWHERE


def _refused(request: PspRequest, code: str, detail: str) -> PspResult:
    """Stripe found the request invalid, or the payment not in a state for it."""
    ours = vocabulary.STATE_CODES.get(code, "" if code else "processing_error")
    if request.kind is K.AUTHORIZE or not ours:
        refused = refused_unsent(detail)
        return replace(refused, elsewhere=code in vocabulary.ACCOUNT_REFUSALS)
    return PspResult(
        outcome=Outcome.DECLINED,
        code=ours,
        message="The authorization has expired; nothing is held any more."
        if ours == "charge_expired_for_capture"
        else "The payment service provider refused the request.",
        detail=redacted(detail),
    )


def decline_of(error: Json) -> tuple[str, str, str]:
    """Code, decline code and message, as the merchant API names them."""
    said = str(error.get("code") or "")
    code = vocabulary.CODES.get(said, "card_declined")
    decline_code = vocabulary.decline_code_of(said, str(error.get("decline_code") or ""))
    message = str(error.get("message") or "") or "The payment was declined."
    return code, decline_code, _SECRETS.sub("[redacted]", message)[:_MAX_MESSAGE]


def token_of(view: Json, *, token: str) -> PaymentToken:
    """Read a payment method; a test token such as `pm_card_visa` is answered by another id."""
    method_type = text(view["type"])
    of_type = view.get(method_type) or {}
    return PaymentToken(
        token=token,
        method_type=method_type,
        brand=of_type.get("brand") or "",
        funding=of_type.get("funding") or "",
        last4=of_type.get("last4") or "",
        expiry_month=of_type.get("exp_month"),
        expiry_year=of_type.get("exp_year"),
        country=of_type.get("country") or "",
        fingerprint=of_type.get("fingerprint") or "",
    )


def moment_of(seconds: Any) -> datetime:
    """The time of a Unix timestamp."""
    return datetime.fromtimestamp(_integer(seconds), UTC)


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("not an integer")
    return value


def money_of(minor: Any, currency: Any) -> Money:
    """An amount as Stripe writes it, with the currency in lower case."""
    return AMOUNTS.from_psp(minor, text(currency).upper())
