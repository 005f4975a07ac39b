"""A website profile at Mollie: which credentials it needs, and what is wrong with them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from psp_adapters.contract.adapter import Capabilities
from psp_adapters.contract.credentials import (
    WEBHOOK_SECRETS,
    CredentialFault,
    CredentialField,
    CredentialsRefused,
    fields_origin_field,
    require_fields_origin,
    require_mode,
)
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsKind, HostedFields
from psp_adapters.mollie.connection import Connection
from psp_adapters.mollie.mapping import BARE_METHOD
from psp_adapters.mollie.vocabulary import METHODS, ON_ANOTHER_PAGE

BASE_URL: Final = "https://api.mollie.com"
SCRIPT_ORIGIN: Final = "https://js.mollie.com"

CAPABILITIES: Final = Capabilities(
    idempotency_window_seconds=3600,
    look_up_by_reference=True,
    fence_by_reference=False,
    consistency_lag_seconds=60.0,
    caches_errors=True,
    async_captures=True,
    multiple_captures=True,
    increments=False,
    method_types=tuple(METHODS),
    holdable_method_types=frozenset({"card"}),
    redirect_method_types=ON_ANOTHER_PAGE,
    bare_method_types={each: f"{BARE_METHOD}{each}" for each in METHODS},
    reusable_method_types=frozenset(METHODS),
    keeps_with_payment_only=True,
    hosted_fields=True,
    releases_methods=True,
    disputes=True,
    settlement_reports=True,
)

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
    CredentialField(
        name="profile_id",
        meaning="pfl_…, for the card fields of the checkout page; without it there are none",
        default="",
        is_secret=False,
    ),
    fields_origin_field(SCRIPT_ORIGIN),
)
_PROFILE: Final = re.compile(r"pfl_[A-Za-z0-9]{1,60}", re.ASCII)

_NOT_MOLLIE: Final = CredentialFault("base_url", "what answers there is not Mollie")


def require_key(api_key: str, *, livemode: bool) -> None:
    """Refuse with CredentialsRefused what is no key, or one of the other mode."""
    if not api_key.startswith(("test_", "live_")):
        raise CredentialsRefused("api_key is no key of a profile: these begin test_ or live_")
    require_mode("api_key", "a {} key", is_live=api_key.startswith("live_"), livemode=livemode)


def card_fields_of(credentials: Mapping[str, str], *, livemode: bool) -> HostedFields | None:
    """Mollie's card fields for a profile; None without its id. Raises CredentialsRefused.

    Mollie publishes no hash of its script.
    """
    profile, origin = credentials["profile_id"], credentials["fields_origin"]
    require_fields_origin(origin, SCRIPT_ORIGIN, livemode=livemode)
    if not profile:
        return None
    if not _PROFILE.fullmatch(profile):
        raise CredentialsRefused("profile_id is no id of a profile: these begin pfl_")
    return HostedFields(
        kind=FieldsKind.SCRIPT,
        origin=origin,
        url=f"{origin}/v1/mollie.js",
        public_key=profile,
        driver="mollie",
    )


def faults_of(
    profile: Connection,
    organization: Connection | None,
    *,
    fields: HostedFields | None,
    deadline_seconds: float,
) -> tuple[CredentialFault, ...]:
    """What Mollie shows to be wrong by one read for each key; raises PspUnavailable."""
    end = time.monotonic() + deadline_seconds
    found = _fault_of(profile, "api_key", lambda api: api.payments.list(limit=1), end)
    if found is None and fields is not None:
        found = _fault_of_profile(profile, fields.public_key, end)
    if found is None and organization is not None:
        found = _fault_of(
            organization, "access_token", lambda api: api.settlements.list(limit=1), end
        )
    return () if found is None else (found,)


def _fault_of_profile(
    connection: Connection, profile_id: str, end: float
) -> CredentialFault | None:
    answer = connection.get(
        lambda: connection.api.profiles.get("me"), deadline_seconds=end - time.monotonic()
    )
    if answer.status != 200:
        raise PspUnavailable(f"answered {answer.status}")
    if isinstance(answer.body, dict) and answer.body.get("id") == profile_id:
        return None
    return CredentialFault("profile_id", "it is not the profile of api_key")


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
