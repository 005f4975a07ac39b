"""Verifies and parses Stripe's signed events. No I/O, no clock.

An event is accepted if one of the secrets signed it, recently, for this account and mode.
Everything else is refused by one exception, since an attacker may choose every byte. The check is
our own: the SDK's reads the clock itself, and takes one secret.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from ledger.exceptions import LedgerError
from psp_adapters.contract.notifications import Notification, NotificationRefused, WebhookRequest
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.signed_notifications import (
    REFERENCES_MAX,
    STORED_MINOR_MAX,
    TimedSignature,
    could_be_identifier,
    identifier,
    refusing_what_is_unreadable,
)
from psp_adapters.stripe import vocabulary
from psp_adapters.stripe.mapping import REFERENCE, Json, moment_of, money_of, notes_of

K = OperationKind

SIGNATURE: Final = TimedSignature(header="stripe-signature", scheme="v1")
"""Stripe's other scheme, `v0`, is for tests."""
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


def read(
    request: WebhookRequest,
    *,
    secrets: Sequence[str],
    now: Any,
    account: str,
    livemode: bool,
) -> Notification:
    """Read the event in the body, once it is certain that it is signed and meant for `account`.

    `account` is empty for an endpoint that receives the account's own events: these name none.
    Raises NotificationRefused, and nothing else, for everything that is not such an event.
    """
    with refusing_what_is_unreadable():
        header = SIGNATURE.require(request, secrets=secrets, now_seconds=now.timestamp())
        event = json.loads(request.body.decode())
        notification = _notification(event, header)
        if event.get("livemode") is not livemode:
            raise NotificationRefused("it is of the other mode, test or live")
    if notification.account != account:
        raise NotificationRefused("it is about another account")
    return notification


def _notification(event: Any, header: str) -> Notification:
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        raise NotificationRefused("signed, but not an event")
    subject = event["data"].get("object")
    if event.get("object") != "event" or not isinstance(subject, dict):
        raise NotificationRefused("signed, but not an event about an object")
    type_ = identifier(event["type"])
    return Notification(
        event_id=identifier(event["id"]),
        type=type_,
        account=identifier(event["account"]) if event.get("account") else "",
        occurred_at=moment_of(event["created"]),
        known=type_ in KNOWN_TYPES,
        signature_headers={SIGNATURE.header: header},
        psp_payment_id=_payment_id_of(subject),
        psp_dispute_id=_dispute_id_of(type_, subject),
        **_statement_of(type_, subject),
    )


def _payment_id_of(subject: Json) -> str:
    if subject.get("object") == "payment_intent":
        return identifier(subject["id"])
    found = subject.get("payment_intent")
    return identifier(found) if found else ""


def _dispute_id_of(type_: str, subject: Json) -> str:
    if not type_.startswith("charge.dispute."):
        return ""
    if subject.get("object") != "dispute":
        raise NotificationRefused("signed, but it names no dispute")
    return identifier(subject["id"])


def _statement_of(type_: str, subject: Json) -> Json:
    """Our references, the outcome that it states, and the final result if it states one in full."""
    metadata = subject.get("metadata")
    own = metadata.get(REFERENCE) if isinstance(metadata, dict) else None
    if not could_be_identifier(own):
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
            return {"references": references[:REFERENCES_MAX], "claims": None}
        final = _result(K.CAPTURE, view, "amount_received")
        return {"references": (captures[0].reference,), "claims": claims, **final}
    if notes:
        return {"references": references[:REFERENCES_MAX], "claims": None}
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
    if not isinstance(psp_id, str) or not psp_id or not 0 <= amount.minor <= STORED_MINOR_MAX:
        return {}
    return {"kind": kind, "psp_id": psp_id, "amount": amount}
