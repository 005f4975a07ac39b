"""Makes the adapter for a PSP's name and credentials; the only list of the PSPs that exist."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Protocol, cast

from psp_adapters.contract.adapter import Capabilities, PspAdapter
from psp_adapters.contract.credentials import CredentialField, CredentialsRefused, complete
from psp_adapters.contract.stored_notifications import StoredNotifications


class _ReadsNotifications(Protocol):
    """The class of an adapter whose look-ups are answered from stored notifications."""

    def from_credentials(
        self, credentials: Mapping[str, str], *, livemode: bool, stored: StoredNotifications
    ) -> PspAdapter: ...


# Imported when an account names it: an SDK costs memory and time in every process that imports it.
_ADAPTERS: Final = {
    "sandbox": "psp_adapters.sandbox.adapter:SandboxAdapter",
    "mollie": "psp_adapters.mollie.adapter:MollieAdapter",
    "stripe": "psp_adapters.stripe.adapter:StripeAdapter",
    "adyen": "psp_adapters.adyen.adapter:AdyenAdapter",
}


class UnknownPsp(LookupError):
    """No adapter of that name."""


class BadCredentials(ValueError):
    """Credentials that cannot be used for the account; the text names them, never a value."""


def new_adapter(
    psp: str,
    credentials: Mapping[str, str],
    *,
    livemode: bool,
    stored: StoredNotifications | None = None,
) -> PspAdapter:
    """Make the adapter of an account of `psp` with these credentials.

    `stored` is what the account's look-ups read at a PSP that states results by notification. The
    adapter keeps connections open, so keep it. Raises UnknownPsp, or BadCredentials for what is
    missing or unknown, or belongs to the other mode.
    """
    adapter_class = _adapter_class(psp)
    try:
        found = complete(adapter_class.credential_fields, credentials)
        if not adapter_class.capabilities.states_results_by_notification:
            return adapter_class.from_credentials(found, livemode=livemode)
        if stored is None:
            raise ValueError(f"{psp}: its look-ups need the account's stored notifications")
        reading = cast("_ReadsNotifications", adapter_class)
        return reading.from_credentials(found, livemode=livemode, stored=stored)
    except CredentialsRefused as refused:
        raise BadCredentials(f"{psp}: {refused}") from None


def credential_fields_of(psp: str) -> tuple[CredentialField, ...]:
    """What an account of a PSP needs; raises UnknownPsp."""
    return _adapter_class(psp).credential_fields


def capabilities_of(psp: str) -> Capabilities:
    """What a PSP can do, whatever the account; raises UnknownPsp."""
    return _adapter_class(psp).capabilities


def field_drivers() -> dict[str, bytes]:
    """The scripts that mount card fields on the checkout page, by PSP."""
    folder = Path(__file__).parent
    found = {psp: folder / psp / "card_fields.js" for psp in _ADAPTERS}
    return {psp: path.read_bytes() for psp, path in found.items() if path.is_file()}


def _adapter_class(psp: str) -> type[PspAdapter]:
    if psp not in _ADAPTERS:
        raise UnknownPsp(psp)
    return _imported(_ADAPTERS[psp])


@cache
def _imported(path: str) -> type[PspAdapter]:
    module, _, name = path.partition(":")
    found: type[PspAdapter] = getattr(importlib.import_module(module), name)
    return found
