"""Creates merchants, and issues and revokes their API keys.

A key is shown once, when it is issued; only its hash is kept. What may not live here: checking keys
(the API does), settings of a PSP account.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from hashlib import sha256
from typing import Final

from payments.clock import now_utc
from payments.models import ApiKey, Merchant, PspAccount

_KEY_BYTES: Final = 24
"""192 bits cannot be guessed, so an unsalted hash is enough."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_LENGTH: Final = 33  # of 192 bits in base 62


def create_merchant(
    *,
    name: str,
    test_psp_account: PspAccount | None = None,
    live_psp_account: PspAccount | None = None,
    platform_fee_basis_points: int = 0,
) -> Merchant:
    """Create a merchant; it can take payments in a mode once it has a PSP account of that mode.

    Refuses with ValueError an account of the other mode.
    """
    for account, livemode in ((test_psp_account, False), (live_psp_account, True)):
        if account is not None and account.livemode != livemode:
            raise ValueError(f"the PSP account {account.code} is of the other mode")
    return Merchant.objects.create(
        name=name,
        test_psp_account=test_psp_account,
        live_psp_account=live_psp_account,
        platform_fee_basis_points=platform_fee_basis_points,
    )


def issue_api_key(
    *,
    merchant: Merchant,
    livemode: bool,
    name: str = "",
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Issue a secret key; the second value is the key itself, which is never shown again."""
    number = int.from_bytes(secrets.token_bytes(_KEY_BYTES))
    secret = f"sk_{'live' if livemode else 'test'}_{_base62(number)}"
    key = ApiKey.objects.create(
        merchant=merchant,
        name=name,
        livemode=livemode,
        secret_sha256=hash_of(secret),
        last4=secret[-4:],
        expires_at=expires_at,
    )
    return key, secret


def revoke_api_key(key: ApiKey) -> None:
    """Revoke a key; every process refuses it within two seconds. Revoking again changes nothing."""
    now = now_utc()
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=now)
    key.refresh_from_db()


def hash_of(secret: str) -> str:
    """What is stored of a key."""
    return sha256(secret.encode()).hexdigest()


def _base62(number: int) -> str:
    characters = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
