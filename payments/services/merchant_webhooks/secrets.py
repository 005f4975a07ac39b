"""Secrets of endpoints: generated at random, stored encrypted (sealed), decrypted to sign."""

from __future__ import annotations

import secrets
import string
from functools import lru_cache
from typing import Final

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

PREFIX: Final = "whsec_"
_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32
"""190 bits. Letters and digits only: every four of them are also base64 of three bytes, which is
how the Standard Webhooks libraries read a secret; the Stripe SDKs take its text as it is."""


def new_secret() -> str:
    """A new random secret."""
    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def seal(secret: str) -> str:
    """Encrypt a secret for storage."""
    return _fernet(settings.SECRETS_ENCRYPTION_KEYS).encrypt(secret.encode()).decode()


def open_sealed(sealed: str) -> str:
    """Decrypt a stored secret; raises cryptography's InvalidToken if none of our keys sealed it."""
    return _opened(settings.SECRETS_ENCRYPTION_KEYS, sealed)


def reseal(sealed: str) -> str:
    """Encrypt a stored secret anew with the first of our keys."""
    return _fernet(settings.SECRETS_ENCRYPTION_KEYS).rotate(sealed.encode()).decode()


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


@lru_cache(maxsize=4096)
def _opened(keys: tuple[str, ...], sealed: str) -> str:
    return _fernet(keys).decrypt(sealed.encode()).decode()
