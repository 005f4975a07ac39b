"""Verifies and parses Stripe's signed events. No I/O, no clock.

An event is accepted if one of the secrets signed it, recently, for this account and mode.
Everything else is refused by one exception, since an attacker may choose every byte. The check is
our own: the SDK's reads the clock itself, and takes one secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ledger.exceptions import LedgerError
from psp_adapters.contract.notifications import Notification, NotificationRefused
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.stripe import vocabulary
from psp_adapters.stripe.mapping import REFERENCE, Json, moment_of, money_of, notes_of

K = OperationKind

SIGNATURE_HEADER: Final = "stripe-signature"
"""`t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`, with one `v1` per secret in use. Other
schemes (`v0`) are left out: they are for tests."""
TOLERANCE_SECONDS: Final = 300
_INTENT_CLAIMS: Final = {
    "payment_intent.succeeded": Outcome.SUCCEEDED,
    "payment_intent.amount_capturable_updated": Outcome.SUCCEEDED,
    "payment_intent.payment_failed": Outcome.DECLINED,
    "payment_intent.requires_action": Outcome.REQUIRES_ACTION,
    "payment_intent.processing": Outcome.PENDING,
}
_REFUND_TYPES: Final = frozenset(
    {"refund.created", "refund.updated", "refund.failed", "charge.refund.updated"}
)
KNOWN_TYPES: Final = frozenset(
    {
        *_INTENT_CLAIMS,
        *_REFUND_TYPES,
        *("payment_intent.canceled", "payment_intent.created", "payment_intent.partially_funded"),
        *("charge.captured", "charge.expired", "charge.failed", "charge.pending"),
        *("charge.refunded", "charge.succeeded", "charge.updated"),
        *("charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed"),
        *("charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated"),
    }
)
_SIGNATURES_MAX: Final = 5
_HEADER_LENGTH_MAX: Final = 1_000
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")
_REFERENCES_MAX: Final = 20
_STORED_MINOR_MAX: Final = 2**63 - 1


def read(
    *,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: Any,
    account: str,
    livemode: bool,
) -> Notification:
    """Read the event in `body`, once it is certain that it is signed and meant for `account`.

    `account` is empty for an endpoint that receives the account's own events: these name none.
    Raises NotificationRefused, and nothing else, for everything that is not such an event.
    """
    try:
        header = _signature_header_of(headers)
        _require_signature(header, body, secrets, now.timestamp())
        event = json.loads(body.decode())
        notification = _notification(event, header)
        if event.get("livemode") is not livemode:
            raise NotificationRefused("it is of the other mode, test or live")
    except NotificationRefused:
        raise
    except Exception as error:
        # What no check foresaw is a refusal too, never a crash.
        raise NotificationRefused(f"unreadable: {type(error).__name__}") from error
    if notification.account != account:
        raise NotificationRefused("it is about another account")
    return notification


def _signature_header_of(headers: Mapping[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER]
    if len(found) != 1:
        raise NotificationRefused("not exactly one signature header")
    if len(found[0]) > _HEADER_LENGTH_MAX:
        raise NotificationRefused("the signature header is too long")
    return found[0]


def _require_signature(header: str, body: bytes, secrets: Sequence[str], now: float) -> None:
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = [value for name, _, value in parts if name == "v1"]
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise NotificationRefused("not exactly one time of signing")
    if not 0 < len(signatures) <= _SIGNATURES_MAX:
        raise NotificationRefused("no signature of a scheme we know, or too many")
    if not all(_SIGNATURE.fullmatch(signature) for signature in signatures):
        raise NotificationRefused("a malformed signature")
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise NotificationRefused("signed too long ago, or in the future")
    if not secrets or not all(secrets):
        raise NotificationRefused("no secret to check it with")
    signed = times[0].encode() + b"." + body
    genuine = False
    for secret in secrets:
        expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        for signature in signatures:
            genuine |= hmac.compare_digest(expected, signature)
    if not genuine:
        raise NotificationRefused("not signed with our secret, or changed on the way")


def _notification(event: Any, header: str) -> Notification:
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise NotificationRefused("signed, but not an event")
    subject = event["data"].get("object")
    if event.get("object") != "event" or not isinstance(subject, dict):
        raise NotificationRefused("signed, but not an event about an object")
    type_ = _identifier(event["type"])
    return Notification(
        event_id=_identifier(event["id"]),
        type=type_,
        account=_identifier(event["account"]) if event.get("account") else "",
        occurred_at=moment_of(event["created"]),
        known=type_ in KNOWN_TYPES,
        signature_headers={SIGNATURE_HEADER: header},
        psp_payment_id=_payment_id_of(subject),
        psp_dispute_id=_dispute_id_of(type_, subject),
        **_statement_of(type_, subject),
    )


def _payment_id_of(subject: Json) -> str:
    if subject.get("object") == "payment_intent":
        return _identifier(subject["id"])
    found = subject.get("payment_intent")
    return _identifier(found) if found else ""


def _dispute_id_of(type_: str, subject: Json) -> str:
    if not type_.startswith("charge.dispute."):
        return ""
    if subject.get("object") != "dispute":
        raise NotificationRefused("signed, but it names no dispute")
    return _identifier(subject["id"])


def _statement_of(type_: str, subject: Json) -> Json:
    """Our references, the outcome that it states, and the final result if it states one in full."""
    metadata = subject.get("metadata")
    own = metadata.get(REFERENCE) if isinstance(metadata, dict) else None
    if not isinstance(own, str) or not _IDENTIFIER.fullmatch(own):
        own = ""
    if type_ in _INTENT_CLAIMS and subject.get("object") == "payment_intent":
        return _of_intent(type_, subject, own)
    references = (own,) if own else ()
    if type_ in _REFUND_TYPES and subject.get("object") == "refund":
        claims = vocabulary.REFUND_OUTCOMES.get(str(subject.get("status")))
        # A refund that failed had mostly succeeded before: a look-up tells.
        final = _result(K.REFUND, subject, "amount") if claims is Outcome.SUCCEEDED else {}
        return {"references": references, "claims": claims, **final}
    return {"references": references, "claims": None}


def _of_intent(type_: str, view: Json, own: str) -> Json:
    claims = _INTENT_CLAIMS[type_]
    try:
        notes = notes_of(view)
    except (KeyError, TypeError, ValueError, AttributeError, LedgerError):
        notes = []
    references = tuple(dict.fromkeys([own] if own else [])) + tuple(n.reference for n in notes)
    captures = [note for note in notes if note.kind is K.CAPTURE]
    is_manual = view.get("capture_method") == "manual"
    if type_ == "payment_intent.succeeded" and is_manual:
        if [note.final for note in captures] != [True]:
            return {"references": references[:_REFERENCES_MAX], "claims": None}
        final = _result(K.CAPTURE, view, "amount_received")
        return {"references": (captures[0].reference,), "claims": claims, **final}
    if notes:
        return {"references": references[:_REFERENCES_MAX], "claims": None}
    final = {}
    if claims in (Outcome.SUCCEEDED, Outcome.DECLINED):
        final = _result(K.AUTHORIZE, view, "amount")
        if final:
            final["is_sale"] = type_ == "payment_intent.succeeded"
    return {"references": references, "claims": claims, **final}


def _result(kind: OperationKind, view: Json, amount_field: str) -> Json:
    """The operation whose final result it states; nothing if in doubt."""
    try:
        amount = money_of(view[amount_field], view["currency"])
    except (KeyError, TypeError, ValueError, LedgerError):
        return {}
    psp_id = view.get("id")
    if not isinstance(psp_id, str) or not psp_id or not 0 <= amount.minor <= _STORED_MINOR_MAX:
        return {}
    return {"kind": kind, "psp_id": psp_id, "amount": amount}


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise NotificationRefused("signed, but an identifier in it is malformed")
    return value
