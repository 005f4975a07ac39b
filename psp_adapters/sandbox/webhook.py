"""Verifies and parses the sandbox PSP's signed notices. No I/O, no clock.

A notice is accepted if one of the secrets signed it, recently, for this account. Everything else is
refused by one exception, since an attacker may choose every byte.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
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
from psp_adapters.sandbox.mapping import AMOUNTS, OUTCOMES

SIGNATURE: Final = TimedSignature(header="sandbox-signature", scheme="h1")
_OPERATIONS: Final = ("payment", "increment", "capture", "void", "refund")
KNOWN_TYPES: Final = frozenset(
    {
        *(f"{operation}.declined" for operation in _OPERATIONS),
        *(f"{operation}.failed" for operation in _OPERATIONS),
        *(f"{operation}.reinstated" for operation in _OPERATIONS),
        *(f"{operation}.succeeded_late" for operation in _OPERATIONS),
        *("payment.authorized", "payment.pending", "payment.settled", "payment.incremented"),
        *("payment.captured", "payment.voided", "payment.canceled", "payment.expired"),
        *("payment.refunded", "refund.pending", "refund.settled"),
        *("challenge.required", "challenge.completed", "challenge.failed"),
        *("setup.succeeded", "setup.declined"),
        *("dispute.created", "dispute.updated", "dispute.closed"),
        *("dispute.funds_withdrawn", "dispute.funds_reinstated"),
    }
)
_NOT_AN_OUTCOME: Final = frozenset({"payment.expired"})
"""Types that come after the outcome of their operation and do not change it."""
_FINAL_RESULTS: Final = {
    "payment.authorized": (OperationKind.AUTHORIZE, Outcome.SUCCEEDED),
    "payment.settled": (OperationKind.AUTHORIZE, Outcome.SUCCEEDED),
    "challenge.completed": (OperationKind.AUTHORIZE, Outcome.SUCCEEDED),
    "payment.incremented": (OperationKind.INCREMENT, Outcome.SUCCEEDED),
    "payment.captured": (OperationKind.CAPTURE, Outcome.SUCCEEDED),
    "payment.voided": (OperationKind.VOID, Outcome.SUCCEEDED),
    "payment.refunded": (OperationKind.REFUND, Outcome.SUCCEEDED),
    "refund.settled": (OperationKind.REFUND, Outcome.SUCCEEDED),
    "challenge.failed": (OperationKind.AUTHORIZE, Outcome.DECLINED),
    "payment.declined": (OperationKind.AUTHORIZE, Outcome.DECLINED),
    "increment.declined": (OperationKind.INCREMENT, Outcome.DECLINED),
    "capture.declined": (OperationKind.CAPTURE, Outcome.DECLINED),
    "void.declined": (OperationKind.VOID, Outcome.DECLINED),
    "refund.declined": (OperationKind.REFUND, Outcome.DECLINED),
}
"""Types that state the final result of one operation, and nothing else."""


def account_of(api_key: str) -> str:
    """The name that the sandbox PSP gives to the account behind a key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def read(
    request: WebhookRequest, *, secrets: Sequence[str], now: datetime, account: str
) -> Notification:
    """Read the notice in the body, once it is certain that it is signed and meant for `account`.

    Raises NotificationRefused, and nothing else, for everything that is not such a notice.
    """
    with refusing_what_is_unreadable():
        header = SIGNATURE.require(request, secrets=secrets, now_seconds=now.timestamp())
        notification = _notification(json.loads(request.body.decode()), header)
    if notification.account != account:
        raise NotificationRefused("it is about another account")
    return notification


def _notification(notice: Any, header: str) -> Notification:
    if not isinstance(notice, dict) or not isinstance(notice.get("data"), dict):
        raise NotificationRefused("signed, but not a notice")
    data = notice["data"]
    references = data.get("references", [])
    if not isinstance(references, list) or len(references) > REFERENCES_MAX:
        raise NotificationRefused("signed, but its references are not a list")
    occurred_at = datetime.fromisoformat(notice["created_at"])
    if occurred_at.tzinfo is None:
        raise NotificationRefused("signed, but its time has no zone")
    type_ = identifier(notice["type"])
    result = _final_result_of(type_, data.get("operation"))
    return Notification(
        event_id=identifier(notice["id"]),
        type=type_,
        account=identifier(notice["account"]),
        psp_payment_id=identifier(data["payment_id"]) if data.get("payment_id") else "",
        references=tuple(each for each in references if could_be_identifier(each)),
        claims=_claim_of(type_, data.get("operation")),
        occurred_at=occurred_at.astimezone(UTC),
        known=type_ in KNOWN_TYPES,
        signature_headers={SIGNATURE.header: header},
        psp_dispute_id=_dispute_id_of(type_, data.get("dispute")),
        **result,
    )


def _claim_of(type_: str, operation: object) -> Outcome | None:
    if not isinstance(operation, dict) or type_ in _NOT_AN_OUTCOME:
        return None
    return OUTCOMES.get(str(operation.get("status")))


def _final_result_of(type_: str, operation: object) -> dict[str, Any]:
    """What it states of the operation whose final result it states; nothing if in doubt."""
    if type_ not in _FINAL_RESULTS or not isinstance(operation, dict):
        return {}
    kind, outcome = _FINAL_RESULTS[type_]
    named, psp_id = operation.get("kind"), operation.get("id")
    is_sale = type_ == "payment.captured" and named == OperationKind.AUTHORIZE
    if not (named == kind or is_sale) or _claim_of(type_, operation) is not outcome:
        return {}
    if not isinstance(psp_id, str) or not psp_id:
        return {}
    try:
        amount = AMOUNTS.from_psp(operation["amount_minor"], operation["currency"])
    except (KeyError, TypeError, ValueError, LedgerError):
        return {}
    if not 0 <= amount.minor <= STORED_MINOR_MAX:
        return {}
    kind = OperationKind.AUTHORIZE if is_sale else kind
    return {"kind": kind, "is_sale": is_sale, "psp_id": psp_id, "amount": amount}


def _dispute_id_of(type_: str, dispute: object) -> str:
    if not type_.startswith("dispute."):
        return ""
    if not isinstance(dispute, dict):
        raise NotificationRefused("signed, but it names no dispute")
    return identifier(dispute.get("id"))
