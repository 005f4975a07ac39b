"""Makes the adapter for a PSP's name and credentials; the only list of the PSPs that exist."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Mapping
from typing import Final, Protocol

from psp_adapters.contract.adapter import Capabilities, CredentialsRefused, PspAdapter


class _AdapterClass(Protocol):
    capabilities: Capabilities

    def from_credentials(self, credentials: Mapping[str, str]) -> PspAdapter: ...


# Imported when an account names it: an SDK costs memory and time in every process that imports it.
_ADAPTERS: Final = {
    "sandbox": "psp_adapters.sandbox.adapter:SandboxAdapter",
    "stripe": "psp_adapters.stripe.adapter:StripeAdapter",
}
_adapters: dict[tuple[str, tuple[tuple[str, str], ...]], PspAdapter] = {}
_lock = threading.Lock()


class UnknownPsp(LookupError):
    """No adapter of that name."""


class BadCredentials(ValueError):
    """The credentials lack a key, or may not be used together; names keys, never a value."""


def adapter_for(psp: str, credentials: Mapping[str, str]) -> PspAdapter:
    """Return the adapter of `psp` for these credentials; the same one for the process's life.

    Raises UnknownPsp or BadCredentials.
    """
    adapter_class = _adapter_class(psp)
    key = (psp, tuple(sorted(credentials.items())))
    adapter = _adapters.get(key)
    if adapter is None:
        with _lock:
            adapter = _adapters.get(key)
            if adapter is None:
                try:
                    adapter = adapter_class.from_credentials(credentials)
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
