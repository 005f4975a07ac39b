"""The sandbox PSP's signed notices: who may have written one, and what it says. Pure.

Nobody is trusted here: whatever arrives is either a notice that one of the secrets has signed,
lately, for this account, or refused by one exception. What may not live here: I/O, a clock, what a
notice causes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from psp_adapters.contract.notifications import Notification, NotificationRefused
from psp_adapters.contract.operations import Outcome
from psp_adapters.sandbox.mapping import OUTCOMES

SIGNATURE_HEADER: Final = "sandbox-signature"
"""`t=<unix seconds>,h1=<hex HMAC-SHA256 of "t.body">`, with one `h1` per secret in use."""
TOLERANCE_SECONDS: Final = 300
"""A notice is signed afresh at each attempt, so an honest one is never older, nor newer."""
KNOWN_TYPES: Final = frozenset(
    {
        "payment.authorized",
        "payment.declined",
        "payment.pending",
        "payment.settled",
        "payment.incremented",
        "payment.captured",
        "payment.voided",
        "payment.canceled",
        "payment.expired",
        "payment.refunded",
        "increment.declined",
        "capture.declined",
        "void.declined",
        "challenge.required",
        "challenge.completed",
        "challenge.failed",
        "refund.pending",
        "refund.settled",
        "refund.declined",
        "refund.failed",
        "refund.healed",
        "refund.revived",
        "payment.failed",
        "payment.healed",
        "payment.revived",
        "capture.failed",
        "capture.healed",
        "capture.revived",
        "increment.failed",
        "increment.healed",
        "increment.revived",
        "void.failed",
        "void.healed",
        "void.revived",
        "dispute.created",
        "dispute.updated",
        "dispute.closed",
        "dispute.funds_withdrawn",
        "dispute.funds_reinstated",
    }
)
_ABOUT_MORE: Final = frozenset({"payment.expired"})
"""What befalls an operation after its outcome."""
_SIGNATURES_MAX: Final = 5
_HEADER_LENGTH_MAX: Final = 1_000
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
_WORD: Final = re.compile(r"[!-~]{1,128}")
_REFERENCES_MAX: Final = 20


def account_of(api_key: str) -> str:
    """The name under which the sandbox PSP speaks of the account behind a key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]


def read(
    *,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Sequence[str],
    now: datetime,
    account: str,
) -> Notification:
    """The notice in `body`, once it is certain that it was meant for `account`.

    Raises NotificationRefused, and nothing else, for everything that is not that.
    """
    try:
        proof = _proof_of(headers)
        _require_signature(proof, body, secrets, now)
        notification = _notification(json.loads(body.decode()), proof)
    except NotificationRefused:
        raise
    except Exception as error:
        # A stranger chooses every byte: what no check foresaw is a refusal too, never a crash.
        raise NotificationRefused(f"unreadable: {type(error).__name__}") from error
    if notification.account != account:
        raise NotificationRefused("it speaks of another account")
    return notification


def _proof_of(headers: Mapping[str, str]) -> str:
    found = [value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER]
    if len(found) != 1:
        raise NotificationRefused("not exactly one signature header")
    if len(found[0]) > _HEADER_LENGTH_MAX:
        raise NotificationRefused("the signature header is too long")
    return found[0]


def _require_signature(proof: str, body: bytes, secrets: Sequence[str], now: datetime) -> None:
    times, signatures = [], []
    for part in proof.split(","):
        name, _, value = part.partition("=")
        if name == "t":
            times.append(value)
        elif name == "h1":
            signatures.append(value)
    if len(times) != 1 or not _SECONDS.fullmatch(times[0]):
        raise NotificationRefused("not exactly one time of signing")
    if not 0 < len(signatures) <= _SIGNATURES_MAX:
        raise NotificationRefused("no signature of a scheme we know, or too many")
    if not all(_SIGNATURE.fullmatch(signature) for signature in signatures):
        raise NotificationRefused("a signature that is none")
    if abs(now.timestamp() - int(times[0])) > TOLERANCE_SECONDS:
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
        raise NotificationRefused("signed by somebody else, or changed on the way")


def _notification(words: Any, proof: str) -> Notification:
    if not isinstance(words, dict) or not isinstance(words.get("data"), dict):
        raise NotificationRefused("signed, but not a notice")
    data = words["data"]
    references = data.get("references", [])
    if not isinstance(references, list) or len(references) > _REFERENCES_MAX:
        raise NotificationRefused("signed, but its references are no list")
    occurred_at = datetime.fromisoformat(words["created_at"])
    if occurred_at.tzinfo is None:
        raise NotificationRefused("signed, but its time has no zone")
    type_ = _word(words["type"])
    return Notification(
        event_id=_word(words["id"]),
        type=type_,
        account=_word(words["account"]),
        psp_payment_id=_word(data["payment_id"]) if data.get("payment_id") else "",
        references=tuple(each for each in references if _could_be_ours(each)),
        claims=_claim_of(type_, data.get("operation")),
        occurred_at=occurred_at.astimezone(UTC),
        known=type_ in KNOWN_TYPES,
        proof={SIGNATURE_HEADER: proof},
        psp_dispute_id=_dispute_id_of(type_, data.get("dispute")),
    )


def _claim_of(type_: str, operation: object) -> Outcome | None:
    if not isinstance(operation, dict) or type_ in _ABOUT_MORE:
        return None
    return OUTCOMES.get(str(operation.get("status")))


def _dispute_id_of(type_: str, dispute: object) -> str:
    if not type_.startswith("dispute."):
        return ""
    if not isinstance(dispute, dict):
        raise NotificationRefused("signed, but it names no dispute")
    return _word(dispute.get("id"))


def _could_be_ours(reference: object) -> bool:
    """Others may use the account too, and refer to things in whatever way they like."""
    return isinstance(reference, str) and _WORD.fullmatch(reference) is not None


def _word(value: object) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise NotificationRefused("signed, but a word in it is none")
    return value
