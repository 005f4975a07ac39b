"""A website profile at Mollie: which credentials it needs, and what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from psp_adapters.contract.credentials import (
    WEBHOOK_SECRETS,
    CredentialFault,
    CredentialField,
    CredentialsRefused,
    require_mode,
)
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.mollie.connection import Connection

BASE_URL: Final = "https://api.mollie.com"

CREDENTIAL_FIELDS: Final = (
    CredentialField(name="api_key", meaning="of the website profile: test_…, live_…"),
    CredentialField(
        name="webhook_url", meaning="our public address for this account", is_secret=False
    ),
    CredentialField(
        name=WEBHOOK_SECRETS.name,
        meaning="separated by commas; the first signs the addresses that Mollie notifies",
    ),
    CredentialField(
        name="base_url", meaning="Mollie, or a double", default=BASE_URL, is_secret=False
    ),
    CredentialField(
        name="access_token", meaning="of the organization, to read settlements", default=""
    ),
)

_NOT_MOLLIE: Final = CredentialFault("base_url", "what answers there is not Mollie")


def require_key(api_key: str, *, livemode: bool) -> None:
    """Refuse with CredentialsRefused what is no key, or one of the other mode."""
    if not api_key.startswith(("test_", "live_")):
        raise CredentialsRefused("api_key is no key of a profile: these begin test_ or live_")
    require_mode("api_key", "a {} key", is_live=api_key.startswith("live_"), livemode=livemode)


def faults_of(
    profile: Connection, organization: Connection | None, *, deadline_seconds: float
) -> tuple[CredentialFault, ...]:
    """What Mollie shows to be wrong by one list for each key; raises PspUnavailable."""
    end = time.monotonic() + deadline_seconds
    found = _fault_of(profile, "api_key", lambda api: api.payments.list(limit=1), end)
    if found is None and organization is not None:
        found = _fault_of(
            organization, "access_token", lambda api: api.settlements.list(limit=1), end
        )
    return () if found is None else (found,)


def _fault_of(
    connection: Connection, name: str, read: Callable[[Any], Any], end: float
) -> CredentialFault | None:
    answer = connection.get(lambda: read(connection.api), deadline_seconds=end - time.monotonic())
    if answer.status == 200:
        return None
    faults = {
        401: CredentialFault(name, "Mollie does not know it, or has revoked it"),
        403: CredentialFault(name, "it has no right to read this list"),
        404: _NOT_MOLLIE,
    }
    if answer.status not in faults:
        raise PspUnavailable(f"answered {answer.status}")
    return faults[answer.status]
