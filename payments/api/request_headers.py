"""Parses the headers strictly: Idempotency-Key, Stripe-Version, Stripe-Account, Prefer."""

from __future__ import annotations

import re
from typing import Final

from django.http import HttpRequest

from payments.api.api_versions import NEWEST_VERSION, served_version
from payments.api.card_data import holds_card_number
from payments.exceptions import IdempotencyKeyInvalid, InvalidParameter, PermissionRefused
from payments.models import Merchant

KEY_LENGTH_MAX: Final = 255
WAIT_SECONDS_MAX: Final = 30.0

_KEY: Final = re.compile(r"[\x20-\x7e]{1,255}")
_QUOTED: Final = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
# Keys made of counters and times are full of digits. Only a key whose digits are one card number,
# with or without letters around it, is refused; otherwise random keys would be.
_WRITTEN_AS_CARD: Final = re.compile(
    r"[^0-9]*(?P<card>[0-9]{13,19}|(?:[0-9]{4}[ -]){3,4}[0-9]{1,4}"
    r"|[0-9]{4}[ -][0-9]{6}[ -][0-9]{4,5})[^0-9]*"
)
_KEY_BY_HAND: Final = "Use a new random value, such as a UUID, for each attempt to pay."
# By the official SDK's name in its User-Agent: how it is given a key.
_KEY_IN_SDK: Final = {
    "PythonBindings": "In Python: pass idempotency_key=str(uuid.uuid4()) to the call.",
    "NodeBindings": "In Node: pass {idempotencyKey: crypto.randomUUID()} as the last argument, or "
    "set maxNetworkRetries: 2, with which the SDK makes keys by itself.",
    "PhpBindings": "In PHP: pass ['idempotency_key' => bin2hex(random_bytes(16))] as the last "
    "argument, or call Stripe::setMaxNetworkRetries(2), with which the SDK makes keys by itself.",
    "RubyBindings": "In Ruby: pass {idempotency_key: SecureRandom.uuid} as the last argument.",
    "JavaBindings": "In Java: pass RequestOptions.builder().setIdempotencyKey(…).build().",
    "GoBindings": "In Go: call params.SetIdempotencyKey(…).",
    "DotnetBindings": "In .NET: pass new RequestOptions { IdempotencyKey = … }.",
}

_WAIT: Final = re.compile(r"(?:^|,)\s*wait\s*=\s*\"?([^,;\"]*)\"?", re.IGNORECASE)
_SECONDS: Final = re.compile(r"[0-9]{1,2}(?:\.[0-9]{1,3})?")


def idempotency_key_of(request: HttpRequest) -> str:
    """The Idempotency-Key; empty if none was sent.

    The quoted form (RFC 8941) and the bare form are the same key. Raises IdempotencyKeyInvalid
    if it is empty, too long, not printable ASCII, or sent twice.
    """
    raw = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if raw is None:
        return ""
    key = raw.strip()
    quoted = _QUOTED.fullmatch(key)
    if quoted:
        key = _ESCAPED.sub(r"\1", quoted[1])
    elif "," in key or key.startswith('"'):
        # Servers join repeated headers with commas: a bare key must not contain one.
        raise IdempotencyKeyInvalid(
            "Send one Idempotency-Key. One that contains a comma is written in double quotes."
        )
    if not _KEY.fullmatch(key):
        raise IdempotencyKeyInvalid(
            f"An Idempotency-Key has between 1 and {KEY_LENGTH_MAX} printable ASCII characters."
        )
    written = _WRITTEN_AS_CARD.fullmatch(key)
    if written and holds_card_number(written["card"]):
        raise IdempotencyKeyInvalid(
            "This Idempotency-Key could hold a card number. Use a random one, such as a UUID."
        )
    return key


def missing_key_message(request: HttpRequest) -> str:
    """What to do about a missing Idempotency-Key, as the SDK that sent the request spells it."""
    agent = request.META.get("HTTP_USER_AGENT", "")
    how = next((how for bindings, how in _KEY_IN_SDK.items() if bindings in agent), _KEY_BY_HAND)
    return (
        "This request can move money: send an Idempotency-Key header, so that repeating it after a "
        f"lost answer cannot do it twice. {how} Or let the operator of this platform switch off "
        "the merchant setting idempotency_key_required."
    )


def api_version_of(request: HttpRequest) -> str:
    """The version that answers the Stripe-Version of the merchant's SDK.

    Raises InvalidParameter for one that is malformed or too old.
    """
    version = request.META.get("HTTP_STRIPE_VERSION")
    if version is None:
        return NEWEST_VERSION
    return served_version(str(version), what="The Stripe-Version header")


def wait_seconds_of(request: HttpRequest, default: float) -> float:
    """How long the merchant wants to wait for the PSP (`Prefer: wait=N`)."""
    preferences = request.META.get("HTTP_PREFER")
    found = _WAIT.search(preferences) if preferences else None
    if found is None:
        return default
    seconds = float(found[1]) if _SECONDS.fullmatch(found[1].strip()) else -1.0
    if not 0 <= seconds <= WAIT_SECONDS_MAX:
        raise InvalidParameter(
            f"Prefer: wait=N takes between 0 and {WAIT_SECONDS_MAX:.0f} seconds.",
            code="header_invalid",
        )
    return seconds


def refuse_other_account(request: HttpRequest, merchant: Merchant) -> None:
    """Raise PermissionRefused for an account other than the key's own.

    Ignoring the header would move money on the wrong account.
    """
    for header in ("HTTP_STRIPE_ACCOUNT", "HTTP_STRIPE_CONTEXT"):
        account = request.META.get(header)
        if account is not None and account != merchant.public_id:
            raise PermissionRefused(
                "This API key acts for its own account only: leave out the Stripe-Account and "
                "Stripe-Context headers.",
                code="account_invalid",
            )
