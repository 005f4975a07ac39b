"""An account at Stripe: what it can do, which credentials it needs, and what is wrong with them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from psp_adapters.contract.adapter import Capabilities
from psp_adapters.contract.answers import Answer
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
from psp_adapters.contract.settlement_calendar import SettlementCalendar
from psp_adapters.stripe import mapping
from psp_adapters.stripe.connection import Connection

BASE_URL: Final = "https://api.stripe.com"
SCRIPT_ORIGIN: Final = "https://js.stripe.com"

CAPABILITIES: Final = Capabilities(
    idempotency_window_seconds=24 * 3600,
    look_up_by_reference=True,
    fence_by_reference=False,
    consistency_lag_seconds=60.0,
    caches_errors=True,
    async_captures=False,
    multiple_captures=True,
    increments=True,
    method_types=("card", "ideal"),
    holdable_method_types=frozenset({"card"}),
    redirect_method_types=frozenset({"ideal"}),
    bare_method_types={"ideal": f"{mapping.BARE_METHOD}ideal"},
    reusable_method_types=frozenset({"card"}),
    releases_methods=True,
    requests_three_d_secure=True,
    hosted_fields=True,
    disputes=True,
    settlement_reports=True,
    states_balance=True,
    # A report is a payout: paid out daily after two to seven days, or weekly.
    settlement_calendar=SettlementCalendar(business_days=7),
)

CREDENTIAL_FIELDS: Final = (
    CredentialField(name="api_key", meaning="a secret or restricted key: sk_…, rk_…"),
    CredentialField(
        name="base_url", meaning="Stripe, or a double", default=BASE_URL, is_secret=False
    ),
    CredentialField(
        name="account_id",
        meaning="acct_… of a connected account, if all is done for one",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="publishable_key",
        meaning="pk_…, for the card fields of the checkout page; without it there are none",
        default="",
        is_secret=False,
    ),
    fields_origin_field(SCRIPT_ORIGIN),
    CredentialField(
        name="wallets",
        meaning="true offers Apple Pay and Google Pay with the card fields",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="apple_pay_domain_association",
        meaning="the content of Stripe's file of this name, in one line; our host serves it",
        default="",
        is_secret=False,
    ),
    WEBHOOK_SECRETS,
)
_SOURCES: Final = {
    "script-src": ("https://*.js.stripe.com",),
    "frame-src": ("https://*.js.stripe.com", "https://hooks.stripe.com"),
    "connect-src": ("https://api.stripe.com",),
}
"""As Stripe's integration security guide lists them for Elements."""

_PUBLISHABLE: Final = re.compile(r"pk_(?:test|live)_[A-Za-z0-9]{1,200}", re.ASCII)
_SIGNING: Final = "whsec_"
_NO_ACCESS: Final = ("account_invalid", "platform_account_required")
_READS: Final[tuple[tuple[str, Callable[[Any], Any]], ...]] = (
    ("PaymentIntents", lambda api: api.payment_intents.list({"limit": 1})),
    ("Charges", lambda api: api.charges.list({"limit": 1})),
    ("Refunds", lambda api: api.refunds.list({"limit": 1})),
    ("Disputes", lambda api: api.disputes.list({"limit": 1})),
    ("PaymentMethods", lambda api: api.payment_methods.list({"limit": 1})),
    ("Payouts", lambda api: api.payouts.list({"limit": 1})),
    ("balance transactions", lambda api: api.balance_transactions.list({"limit": 1})),
)
"""What is read, one object of each; Stripe gives the right for each of them apart."""


def require_key(api_key: str, *, livemode: bool) -> None:
    """Refuse with CredentialsRefused what is no secret key, or one of the other mode."""
    if not api_key.startswith(("sk_", "rk_")):
        raise CredentialsRefused("api_key is no secret or restricted key: these begin sk_ or rk_")
    require_mode("api_key", "a {} key", is_live="_live_" in api_key, livemode=livemode)


def card_fields_of(credentials: Mapping[str, str], *, livemode: bool) -> HostedFields | None:
    """Stripe's card fields for an account; None without a publishable key.

    Stripe's script has no hash to hold it by: Stripe changes it at any time, and forbids to pin or
    to copy it. Raises CredentialsRefused.
    """
    key, origin = credentials["publishable_key"], credentials["fields_origin"]
    require_fields_origin(origin, SCRIPT_ORIGIN, livemode=livemode)
    if not key:
        return None
    if not _PUBLISHABLE.fullmatch(key):
        raise CredentialsRefused("publishable_key is no publishable key: these begin pk_")
    require_mode("publishable_key", "a {} key", is_live="_live_" in key, livemode=livemode)
    return HostedFields(
        kind=FieldsKind.SCRIPT,
        origin=origin,
        url=f"{origin}/v3/",
        public_key=key,
        driver="stripe",
        sources=_SOURCES if origin == SCRIPT_ORIGIN else {},
        settings={"account": credentials["account_id"]},
        wallets=credentials["wallets"] == "true",
    )


def faults_of(
    connection: Connection,
    *,
    webhook_secrets: Sequence[str],
    has_account_id: bool,
    deadline_seconds: float,
) -> tuple[CredentialFault, ...]:
    """What Stripe, or the form of Stripe's secrets, shows to be wrong; raises PspUnavailable."""
    end = time.monotonic() + deadline_seconds
    lacking: list[str] = []
    for what, read in _READS:
        answer = connection.get(
            lambda read=read: read(connection.api),  # type: ignore[misc]
            deadline_seconds=end - time.monotonic(),
        )
        fault = _fault_of(answer, has_account_id=has_account_id)
        if fault is not None:
            return (fault,)
        if answer.status == 403:
            lacking.append(what)
    faults = []
    if lacking:
        why = f"a restricted key without the right to read {', '.join(lacking)}"
        faults.append(CredentialFault("api_key", why))
    if not all(each.startswith(_SIGNING) for each in webhook_secrets):
        why = f"Stripe's signing secrets begin so: {_SIGNING}"
        faults.append(CredentialFault(WEBHOOK_SECRETS.name, why))
    return tuple(faults)


def _fault_of(answer: Answer, *, has_account_id: bool) -> CredentialFault | None:
    """What makes every further read useless; a missing right does not."""
    if answer.status == 200:
        return None
    if answer.status == 401:
        return CredentialFault("api_key", "Stripe does not know it, or has revoked it")
    if answer.status == 403:
        if has_account_id and _code_of(answer) in _NO_ACCESS:
            return CredentialFault("account_id", "the key has no access to this account")
        return None
    if answer.status == 404:
        return CredentialFault("base_url", "what answers there is not Stripe")
    raise PspUnavailable(f"answered {answer.status}")


def _code_of(answer: Answer) -> str:
    error = answer.body.get("error") if isinstance(answer.body, dict) else None
    return str(error.get("code") or "") if isinstance(error, dict) else ""
