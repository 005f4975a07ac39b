"""Authenticates merchants by secret key, sent as Bearer token or as the user of HTTP Basic.

A key is looked up by its hash, with all that a request needs of its merchant, in one query. The
result is cached for two seconds. Issuing keys and permissions of endpoints are elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from dataclasses import dataclass
from typing import Final

from django.http import HttpRequest

from payments.clock import now_utc
from payments.exceptions import AuthenticationFailed, InvalidParameter
from payments.models import ApiKey, Merchant, PspAccount
from payments.selectors.scope import Scope
from payments.services.commands.operators.merchants import hash_of
from payments.services.psp_gateway import accounts

REMEMBERED_FOR_SECONDS: Final = 2.0
"""How long a revoked key may still work in a process."""
_REMEMBERED_MAX: Final = 10_000
_HEADER_LENGTH_MAX: Final = 512
_SECRET: Final = re.compile(r"sk_(?:test|live)_[A-Za-z0-9]{16,128}")
_PRINTABLE: Final = re.compile(r"[!-+\--~]{1,256}")
"""What may be meant as a key; a comma joins repeated headers."""
_KEY_IN_QUERY: Final = re.compile(r"(?:^|&)(?:api_)?key=|(?:sk|rk)(?:_|%5f)(?:test|live)", re.I)


@dataclass(frozen=True, slots=True)
class Identity:
    """A merchant in one mode, and the API key used."""

    key: ApiKey
    merchant: Merchant
    livemode: bool

    @property
    def actor(self) -> str:
        """The actor as operations and events name it."""
        return f"api_key:{self.key.pk}"

    @property
    def scope(self) -> Scope:
        return Scope(self.merchant.id, self.livemode)

    @property
    def psp_account(self) -> PspAccount:
        """The PSP account of this mode; raises InvalidParameter if there is none."""
        merchant = self.merchant
        account = merchant.live_psp_account if self.livemode else merchant.test_psp_account
        if account is None:
            mode = "live" if self.livemode else "test"
            raise InvalidParameter(
                f"Your account cannot take {mode} payments yet: no payment provider is set up for "
                f"{mode} mode. Ask the operator of this platform to connect one.",
                code="payment_provider_missing",
            )
        return account


_remembered: dict[str, tuple[float, Identity]] = {}


def authenticate(request: HttpRequest) -> Identity:
    """The merchant behind a request; raises AuthenticationFailed."""
    if (query := request.META.get("QUERY_STRING")) and _KEY_IN_QUERY.search(query):
        raise AuthenticationFailed(
            "Never put an API key into a URL: addresses are logged. Send it in the Authorization "
            "header, and revoke this key."
        )
    identity = _identity_of(hash_of(_secret_of(request.META.get("HTTP_AUTHORIZATION", ""))))
    expires_at = identity.key.expires_at
    if expires_at is not None and expires_at <= now_utc():
        raise AuthenticationFailed("This API key has expired. Use a newer one.")
    return identity


def forget_cached_keys() -> None:
    """Clear the cache; the next request looks its key up again."""
    _remembered.clear()


def _secret_of(header: str) -> str:
    """The key in the header. Repeated headers arrive joined by a comma, which no key contains."""
    if not header:
        raise AuthenticationFailed(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    scheme, _, credentials = header[: _HEADER_LENGTH_MAX + 1].partition(" ")
    secret = credentials.strip()
    if scheme.lower() == "basic":
        secret = _user_of(secret)
    elif scheme.lower() != "bearer":
        secret = ""
    if len(header) > _HEADER_LENGTH_MAX or not _PRINTABLE.fullmatch(secret):
        raise AuthenticationFailed(
            "The Authorization header is malformed. Send one, with your secret key as Bearer token "
            "or as the user of HTTP Basic."
        )
    if secret.startswith("pk_"):
        raise AuthenticationFailed(
            "This API call cannot be made with a publishable API key. Please use a secret API key."
        )
    if not _SECRET.fullmatch(secret):
        raise _invalid_key(secret)
    return secret


def _invalid_key(secret: str) -> AuthenticationFailed:
    """As Stripe says it, with the key masked: it may be a good one of another system."""
    shown = f"{secret[:8]}{'*' * 16}{secret[-4:]}" if len(secret) >= 20 else "*" * 16
    return AuthenticationFailed(f"Invalid API Key provided: {shown}")


def _user_of(credentials: str) -> str:
    try:
        decoded = base64.b64decode(credentials, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[0]


def _identity_of(secret_sha256: str) -> Identity:
    """The identity of a key by its hash. Unknown keys are never cached."""
    now = time.monotonic()
    found = _remembered.get(secret_sha256)
    if found is not None and found[0] > now:
        return found[1]
    key = (
        ApiKey.objects.select_related(
            "merchant__test_psp_account",
            "merchant__live_psp_account",
        )
        .filter(secret_sha256=secret_sha256)
        .first()
    )
    if key is None:
        raise AuthenticationFailed("Invalid API Key provided.")
    if key.revoked_at is not None:
        raise AuthenticationFailed("This API key was revoked. Use another one.")
    merchant = key.merchant
    for account in (merchant.test_psp_account, merchant.live_psp_account):
        if account is not None:
            accounts.remember(account, read_at=now)
    identity = Identity(key=key, merchant=merchant, livemode=key.livemode)
    if len(_remembered) >= _REMEMBERED_MAX:
        _remembered.clear()
    _remembered[secret_sha256] = (now + REMEMBERED_FOR_SECONDS, identity)
    return identity
