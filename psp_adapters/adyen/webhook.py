"""Verifies and parses Adyen's signed notifications. No I/O, no clock.

One request carries several items, and each is signed by itself: over eight fields, not over the
bytes. If one item is refused, the whole request is. Not signed are the time, the reason of a
refusal, and the method: of these only the time has weight, since it orders what is stated.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from psp_adapters.adyen import vocabulary
from psp_adapters.adyen.dispute_facts import CHARGED_BACK_AGAIN, SECOND
from psp_adapters.adyen.facts import event_id
from psp_adapters.adyen.mapping import Json, moment_of, money_of
from psp_adapters.contract.notifications import (
    Notification,
    NotificationRefused,
    WebhookRequest,
)
from psp_adapters.contract.operations import OperationKind, Outcome
from psp_adapters.contract.signed_notifications import (
    STORED_MINOR_MAX,
    could_be_identifier,
    refusing_what_is_unreadable,
)

K = OperationKind

ITEMS_MAX: Final = 100
SIGNED_FIELDS: Final = (
    *("pspReference", "originalReference", "merchantAccountCode", "merchantReference"),
    *("value", "currency", "eventCode", "success"),
)
_IDENTIFIER: Final = re.compile(r"[!-9;-~]{1,80}")
"""Without a colon: that separates the signed fields, and the parts of an event's identity."""
_EVENT: Final = re.compile(r"[A-Z0-9_]{1,60}")
_KEY: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){16,64}")
# Events whose amount is that of the operation: an adjustment states a total, a cancellation what
# was authorized once.
_STATE_AMOUNT: Final = (K.AUTHORIZE, K.CAPTURE, K.REFUND)


def read(
    request: WebhookRequest, *, secrets: Sequence[str], merchant_account: str, is_live: bool
) -> tuple[Notification, ...]:
    """Read every item of a request, once it is certain that each is signed and ours.

    Raises NotificationRefused, and nothing else, for everything that is not such a request.
    """
    keys = [_key_of(secret) for secret in secrets]
    if not keys:
        raise NotificationRefused("no secret to check it with")
    with refusing_what_is_unreadable():
        items = _items_of(json.loads(request.body.decode()), is_live=is_live)
        for item in items:
            _require_signature(item, keys)
        return tuple(_notification(item, merchant_account) for item in items)


def signature_of(item: Json, key: bytes) -> str:
    """The signature of one item under one key."""
    fields = {**item, **item["amount"]}
    signed = ":".join(str(fields.get(name, "")) for name in SIGNED_FIELDS)
    return base64.b64encode(hmac.new(key, signed.encode(), hashlib.sha256).digest()).decode()


def _key_of(secret: str) -> bytes:
    if not _KEY.fullmatch(secret):
        raise NotificationRefused("a secret is no hexadecimal key")
    return bytes.fromhex(secret)


def _items_of(body: Any, *, is_live: bool) -> list[Json]:
    if not isinstance(body, dict) or not isinstance(body.get("notificationItems"), list):
        raise NotificationRefused("not a list of notifications")
    if body.get("live") != ("true" if is_live else "false"):
        raise NotificationRefused("it is of the other mode, test or live")
    items = [each["NotificationRequestItem"] for each in body["notificationItems"]]
    if not 0 < len(items) <= ITEMS_MAX or not all(isinstance(each, dict) for each in items):
        raise NotificationRefused("no notification in it, or too many")
    return items


def _require_signature(item: Json, keys: Sequence[bytes]) -> None:
    extra = item.get("additionalData")
    said = extra.get("hmacSignature") if isinstance(extra, dict) else None
    if not isinstance(said, str) or not said:
        raise NotificationRefused("an item is not signed")
    amount = item.get("amount")
    if not isinstance(amount, dict) or type(amount.get("value")) is not int:
        raise NotificationRefused("an item has no amount")
    fields = {**item, **amount}
    texts = [fields.get(name, "") for name in SIGNED_FIELDS if name != "value"]
    # Another type could be signed as one text and read as another.
    if not all(isinstance(each, str) for each in texts):
        raise NotificationRefused("a signed field is not a text")
    given = said.encode("utf-8", "surrogatepass")
    genuine = False
    for key in keys:
        genuine |= hmac.compare_digest(signature_of(item, key).encode(), given)
    if not genuine:
        raise NotificationRefused("not signed with our secret, or changed on the way")


def _notification(item: Json, merchant_account: str) -> Notification:
    if item["merchantAccountCode"] != merchant_account:
        raise NotificationRefused("it is about another account")
    event, at = item["eventCode"], moment_of(item["eventDate"])
    if not _EVENT.fullmatch(event) or item["success"] not in ("true", "false"):
        raise NotificationRefused("signed, but its event or its success is malformed")
    psp_id, success = _identifier(item["pspReference"]), item["success"] == "true"
    is_dispute = event in vocabulary.DISPUTE_EVENTS
    own = item.get("merchantReference") or ""
    return Notification(
        event_id=event_id(event=event, psp_id=psp_id, success=success, at=at),
        type=event,
        account=merchant_account,
        occurred_at=at,
        known=is_dispute or _changes_a_payment(event, success=success),
        signature_headers={},
        body=json.dumps(item, sort_keys=True, separators=(",", ":")).encode(),
        psp_payment_id=_payment_id_of(event, psp_id, item),
        psp_dispute_id=_dispute_id_of(event, psp_id) if is_dispute else "",
        references=(own,) if could_be_identifier(own) else (),
        **_result_of(event, psp_id, item, success=success),
    )


def _dispute_id_of(event: str, psp_id: str) -> str:
    return f"{psp_id}{SECOND}" if event == CHARGED_BACK_AGAIN else psp_id


def _changes_a_payment(event: str, *, success: bool) -> bool:
    """Whether the payment must be looked up; a cancellation that found none changes none."""
    if event == vocabulary.CANCEL_BY_REFERENCE:
        return success
    return event in vocabulary.PAYMENT_EVENTS


def _payment_id_of(event: str, psp_id: str, item: Json) -> str:
    """The payment that it is about; empty for an event about none, but for a report."""
    if event == vocabulary.AUTHORIZED:
        return psp_id
    if event == vocabulary.REPORT_EVENT:
        return vocabulary.REPORTS
    if event not in vocabulary.PAYMENT_EVENTS and event not in vocabulary.DISPUTE_EVENTS:
        return ""
    original = item.get("originalReference")
    return _identifier(original) if original else psp_id


def _result_of(event: str, psp_id: str, item: Json, *, success: bool) -> Json:
    """The outcome that it states, and the operation whose final result it states in full."""
    kind = vocabulary.RESULT_EVENTS.get(event)
    if event in vocabulary.REVERSAL_EVENTS and success:
        return {"claims": Outcome.DECLINED}
    if kind is None or event == vocabulary.CANCEL_BY_REFERENCE:
        return {"claims": None}
    claims = Outcome.SUCCEEDED if success else Outcome.DECLINED
    amount = money_of(item["amount"])
    if kind not in _STATE_AMOUNT or not 0 <= amount.minor <= STORED_MINOR_MAX:
        return {"claims": claims}
    return {"claims": claims, "kind": kind, "psp_id": psp_id, "amount": amount}


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise NotificationRefused("signed, but an identifier in it is malformed")
    return value


__all__ = ["read", "signature_of"]
