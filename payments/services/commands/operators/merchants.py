"""Creates and changes merchants, and issues, rolls and revokes API keys.

A key is shown once, when it is issued; only its hash is kept. Each act is recorded in the audit
trail. What may not live here: checking keys (the API does).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from django.db import transaction

from ledger.money import CURRENCY_EXPONENTS
from payments import public_ids
from payments.clock import now_utc
from payments.models import ApiKey, Merchant, PspAccount
from payments.models.audit import Act
from payments.services.audit.authors import Author
from payments.services.audit.configuration import about_api_key, about_merchant, state_of_merchant
from payments.services.audit.trail import differences, record_act, refusals_recorded

_KEY_BYTES: Final = 24
"""192 bits cannot be guessed, so an unsalted hash is enough."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_LENGTH: Final = 33  # of 192 bits in base 62
_LIMIT_MAX: Final = 10**15


def create_merchant(
    *,
    name: str,
    author: Author,
    test_psp_account: PspAccount | None = None,
    live_psp_account: PspAccount | None = None,
    **settings: Any,
) -> Merchant:
    """Create a merchant; it can take payments in a mode once it has a PSP account of that mode.

    Raises ValidationError, and ValueError for an account of the other mode.
    """
    merchant = Merchant(
        name=name, test_psp_account=test_psp_account, live_psp_account=live_psp_account
    )
    return _changed(Act.MERCHANT_CREATE, merchant, settings, author)


def change_merchant(merchant: Merchant, *, author: Author, **values: Any) -> Merchant:
    """Change settings of a merchant, by column; every process sees them within seconds.

    Raises ValidationError, and ValueError for a PSP account of the other mode.
    """
    return _changed(Act.MERCHANT_CHANGE, merchant, values, author)


def _changed(act: Act, merchant: Merchant, values: Mapping[str, Any], author: Author) -> Merchant:
    with refusals_recorded(act, author, about_merchant(merchant)), transaction.atomic():
        for name, value in values.items():
            setattr(merchant, name, value)
        _require_modes(merchant.test_psp_account, merchant.live_psp_account)
        require_limits(merchant.refund_approval_limits)
        merchant.full_clean()
        stored = Merchant.objects.select_for_update(no_key=True).filter(pk=merchant.pk).first()
        before = {} if stored is None else state_of_merchant(stored)
        _save(merchant, values)
        changes = differences(before, state_of_merchant(merchant))
        record_act(act, author, about_merchant(merchant), changes)
    return merchant


def _require_modes(test: PspAccount | None, live: PspAccount | None) -> None:
    for account, livemode in ((test, False), (live, True)):
        if account is not None and account.livemode != livemode:
            raise ValueError(f"the PSP account {account.code} is of the other mode")


def require_limits(limits: Any) -> None:
    """Refuse with ValueError what is no amount by currency; PostgreSQL refuses it as well."""
    is_valid = isinstance(limits, dict) and all(
        type(minor) is int and 0 <= minor < _LIMIT_MAX for minor in limits.values()
    )
    if not is_valid:
        raise ValueError('refund_approval_limits: write {"EUR": 50000}, in whole minor units')
    unknown = sorted(set(limits) - set(CURRENCY_EXPONENTS))
    if unknown:
        raise ValueError(f"refund_approval_limits: {unknown[0]} is no currency")


def _save(row: Merchant, values: Mapping[str, Any]) -> None:
    """Write these columns alone: another operator may change others meanwhile."""
    row.save(update_fields=None if row._state.adding else list(values))


def issue_api_key(
    *,
    merchant: Merchant,
    livemode: bool,
    author: Author,
    name: str = "",
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Issue a secret key; the second value is the key itself, which is never shown again."""
    with transaction.atomic():
        key, secret = _new_key(merchant, livemode, name, expires_at)
        record_act(Act.API_KEY_CREATE, author, about_api_key(key), _terms_of(key))
    return key, secret


def _new_key(
    merchant: Merchant, livemode: bool, name: str, expires_at: datetime | None
) -> tuple[ApiKey, str]:
    number = int.from_bytes(secrets.token_bytes(_KEY_BYTES))
    secret = f"{public_ids.API_KEYS[livemode]}{_base62(number)}"
    key = ApiKey.objects.create(
        merchant=merchant,
        name=name,
        livemode=livemode,
        secret_sha256=hash_of(secret),
        last4=secret[-4:],
        expires_at=expires_at,
    )
    return key, secret


def _terms_of(key: ApiKey) -> dict[str, Any]:
    expires_at = key.expires_at.isoformat() if key.expires_at is not None else None
    return {"expires_at": {"after": expires_at}}


def revoke_api_key(key: ApiKey, *, author: Author) -> None:
    """Revoke a key; every process refuses it within two seconds. Revoking again changes nothing."""
    now = now_utc()
    with transaction.atomic():
        valid = ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True)
        if valid.update(revoked_at=now):
            record_act(Act.API_KEY_REVOKE, author, about_api_key(key))
    key.refresh_from_db()


def roll_api_key(key: ApiKey, *, overlap: timedelta, author: Author) -> tuple[ApiKey, str]:
    """Issue a key like this one, which is refused when the overlap is over.

    Returns the new key and its secret. Raises ValueError for a key that is not valid any more.
    """
    ends_at = now_utc() + overlap
    is_over = key.expires_at is not None and key.expires_at <= now_utc()
    with refusals_recorded(Act.API_KEY_ROLL, author, about_api_key(key)), transaction.atomic():
        if key.revoked_at is not None or is_over:
            raise ValueError("this key is not valid any more: issue a new one")
        made = _new_key(key.merchant, key.livemode, key.name, None)
        before = _terms_of(key)["expires_at"]["after"]
        key.expires_at = min(ends_at, key.expires_at or ends_at)
        key.save(update_fields=["expires_at"])
        changes = differences({"expires_at": before}, {"expires_at": key.expires_at.isoformat()})
        changes["replaced_by"] = {"after": f"…{made[0].last4}"}
        record_act(Act.API_KEY_ROLL, author, about_api_key(key), changes)
    return made


def hash_of(secret: str) -> str:
    """What is stored of a key."""
    return sha256(secret.encode()).hexdigest()


def _base62(number: int) -> str:
    characters = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, 62)
        characters.append(_ALPHABET[digit])
    return "".join(reversed(characters))
