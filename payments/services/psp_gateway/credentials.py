"""Stores the credentials of PSP accounts encrypted, and checks them with the PSP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from payments import sealing
from payments.models import PspAccount
from payments.services.psp_gateway.stored_notifications import NotificationsOfAccount
from psp_adapters import registry
from psp_adapters.contract.adapter import PspAdapter
from psp_adapters.contract.credentials import split_secrets
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials

CHECK_DEADLINE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Connected:
    """An account as one version of its credentials makes it; nothing of them is shown."""

    adapter: PspAdapter
    webhook_secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Connected({self.adapter.name})"


def seal_credentials(account_code: str, credentials: Mapping[str, str]) -> str:
    """Encrypt credentials for one account: stored with another one, they are not opened."""
    told = {"account": account_code, "credentials": dict(credentials)}
    return sealing.seal(json.dumps(told))


def open_credentials(account: PspAccount) -> dict[str, str]:
    """The credentials of an account; raises BadCredentials if they are missing or not its own."""
    if not account.sealed_credentials:
        raise BadCredentials("it has no credentials")
    try:
        told = json.loads(sealing.open_sealed(account.sealed_credentials))
    except sealing.SealedByAnotherKey:
        raise BadCredentials("no key of SECRETS_ENCRYPTION_KEYS decrypts its credentials") from None
    if told["account"] != account.code:
        raise BadCredentials("its credentials were stored for another account")
    found: dict[str, str] = told["credentials"]
    return found


def connect(account: PspAccount) -> Connected:
    """Make the adapter of an account; raises BadCredentials or UnknownPsp."""
    credentials = open_credentials(account)
    adapter = registry.new_adapter(
        account.psp,
        credentials,
        livemode=account.livemode,
        stored=NotificationsOfAccount(account.id),
    )
    return Connected(adapter, split_secrets(credentials))


def require_working(account: PspAccount) -> None:
    """Check the account's credentials with its PSP; no database connection may be held meanwhile.

    Raises BadCredentials, which names each credential that is wrong, or that of the address if the
    PSP gives no answer.
    """
    adapter = connect(account).adapter
    try:
        faults = adapter.check_credentials(deadline_seconds=CHECK_DEADLINE_SECONDS)
    except PspUnavailable as error:
        raise BadCredentials(
            f"{account.psp}: no usable answer came ({error}); check base_url, or try again"
        ) from None
    if faults:
        raise BadCredentials(f"{account.psp}: " + "; ".join(str(fault) for fault in faults))
