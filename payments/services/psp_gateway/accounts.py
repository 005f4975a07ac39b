"""Reads PSP accounts: their settings, adapters and webhook secrets."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Final
from uuid import UUID

from django.conf import settings

from payments.models import PspAccount
from payments.services.psp_gateway.stored_notifications import NotificationsOfAccount
from psp_adapters import registry
from psp_adapters.contract.adapter import Capabilities, PspAdapter
from psp_adapters.registry import adapter_for

SETTINGS_SECONDS: Final = 5.0
"""Every process sees a changed setting of an account within this time."""

_settings: dict[UUID, tuple[float, PspAccount]] = {}


@dataclass(frozen=True, slots=True)
class AccountIdentity:
    """What never changes of an account."""

    id: UUID
    code: str
    psp: str


def psp_account_of(identifier: UUID) -> PspAccount:
    """The account with its settings, read again after 5 s."""
    now = time.monotonic()
    known = _settings.get(identifier)
    if known is None or now >= known[0]:
        known = (now + SETTINGS_SECONDS, PspAccount.objects.get(pk=identifier))
        _settings[identifier] = known
    return known[1]


@cache
def identity_of(identifier: UUID) -> AccountIdentity:
    """The code and PSP of an account, read once in the life of the process."""
    row = PspAccount.objects.only("code", "psp").get(pk=identifier)
    return AccountIdentity(id=identifier, code=row.code, psp=row.psp)


@cache
def identity_of_code(account_code: str) -> AccountIdentity:
    """The account of a code, read once in the life of the process.

    Raises PspAccount.DoesNotExist.
    """
    return identity_of(PspAccount.objects.only("id").get(code=account_code).id)


def adapter_of(account: PspAccount | AccountIdentity) -> PspAdapter:
    """The adapter of an account, with the credentials that the settings hold for its code."""
    return adapter_for(
        account.psp,
        settings.PSP_CREDENTIALS[account.code],
        stored=NotificationsOfAccount(account.id),
    )


def capabilities_of(account_id: UUID) -> Capabilities:
    """What the PSP of an account can do."""
    return registry.capabilities_of(identity_of(account_id).psp)


def webhook_secrets_of(account_code: str) -> tuple[str, ...]:
    """The secrets that an account's notifications may be signed with; empty if it sends none."""
    credentials = settings.PSP_CREDENTIALS.get(account_code, {})
    joined = credentials.get("webhook_secrets", "")
    return tuple(joined.split(",")) if joined else ()


def forget_accounts() -> None:
    """Read every account again, as a new process does (for tests)."""
    _settings.clear()
    identity_of.cache_clear()
    identity_of_code.cache_clear()
