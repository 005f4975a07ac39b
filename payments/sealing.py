"""Encrypts secrets for storage (seals them) with the keys of SECRETS_ENCRYPTION_KEYS.

The first key encrypts, each decrypts: so a key is replaced while all runs.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SealedByAnotherKey(ValueError):
    """None of the present keys encrypted it, or it was changed."""


def seal(secret: str) -> str:
    """Encrypt a secret for storage; the same secret looks different each time."""
    return _fernet(settings.SECRETS_ENCRYPTION_KEYS).encrypt(secret.encode()).decode()


def open_sealed(sealed: str) -> str:
    """Decrypt a stored secret; raises SealedByAnotherKey."""
    return _opened(settings.SECRETS_ENCRYPTION_KEYS, sealed)


def reseal(sealed: str) -> str:
    """Encrypt a stored secret anew with the first of the keys; raises SealedByAnotherKey."""
    return seal(open_sealed(sealed))


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


@lru_cache(maxsize=4096)
def _opened(keys: tuple[str, ...], sealed: str) -> str:
    try:
        return _fernet(keys).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise SealedByAnotherKey("no key of SECRETS_ENCRYPTION_KEYS decrypts it") from None
