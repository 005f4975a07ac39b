"""Makes the adapter for a PSP's name and credentials; the only list of the PSPs that exist."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from typing import Final, Protocol

from psp_adapters.contract.adapter import Capabilities, CredentialsRefused, PspAdapter
from psp_adapters.contract.stored_notifications import StoredNotifications


class _AdapterClass(Protocol):
    capabilities: Capabilities

    def from_credentials(self, credentials: Mapping[str, str], **given: object) -> PspAdapter: ...


# Imported when an account names it: an SDK costs memory and time in every process that imports it.
_ADAPTERS: Final = {
    "sandbox": "psp_adapters.sandbox.adapter:SandboxAdapter",
    "mollie": "psp_adapters.mollie.adapter:MollieAdapter",
    "stripe": "psp_adapters.stripe.adapter:StripeAdapter",
    "adyen": "psp_adapters.adyen.adapter:AdyenAdapter",
}
_adapters: dict[tuple[object, ...], PspAdapter] = {}
_lock = threading.Lock()


class UnknownPsp(LookupError):
    """No adapter of that name."""


class BadCredentials(ValueError):
    """The credentials lack a key, or may not be used together; names keys, never a value."""


def adapter_for(
    psp: str, credentials: Mapping[str, str], *, stored: StoredNotifications | None = None
) -> PspAdapter:
    """Return the adapter of `psp` for these credentials; the same one for the process's life.

    `stored` is what the account's look-ups read at a PSP that states results by notification.
    Raises UnknownPsp or BadCredentials.
    """
    adapter_class = _adapter_class(psp)
    key: tuple[object, ...] = (psp, tuple(sorted(credentials.items())))
    given: dict[str, object] = {}
    if adapter_class.capabilities.states_results_by_notification:
        if stored is None:
            raise ValueError(f"{psp}: its look-ups need the account's stored notifications")
        key, given = (*key, stored), {"stored": stored}
    adapter = _adapters.get(key)
    if adapter is None:
        with _lock:
            adapter = _adapters.get(key)
            if adapter is None:
                try:
                    adapter = adapter_class.from_credentials(credentials, **given)
                except KeyError as missing:
                    raise BadCredentials(f"{psp}: {missing.args[0]} is missing") from None
                except CredentialsRefused as refused:
                    raise BadCredentials(f"{psp}: {refused}") from None
                _adapters[key] = adapter
    return adapter


def capabilities_of(psp: str) -> Capabilities:
    """What a PSP can do, whatever the account; raises UnknownPsp."""
    return _adapter_class(psp).capabilities


def _adapter_class(psp: str) -> _AdapterClass:
    if psp not in _ADAPTERS:
        raise UnknownPsp(psp)
    module, _, name = _ADAPTERS[psp].partition(":")
    found: _AdapterClass = getattr(importlib.import_module(module), name)
    return found
