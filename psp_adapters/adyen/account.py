"""A merchant account at Adyen: which credentials it needs, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from psp_adapters.adyen import mapping, page_fields
from psp_adapters.adyen.connection import TEST_URL, Connection
from psp_adapters.contract.adapter import Capabilities
from psp_adapters.contract.credentials import (
    WEBHOOK_SECRETS,
    CredentialFault,
    CredentialField,
)
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.settlement_calendar import SettlementCalendar

CAPABILITIES: Final = Capabilities(
    idempotency_window_seconds=7 * 24 * 3600,
    look_up_by_reference=False,
    fence_by_reference=False,
    consistency_lag_seconds=60.0,
    caches_errors=False,
    async_captures=True,
    multiple_captures=False,
    increments=True,
    method_types=("card", "ideal"),
    holdable_method_types=frozenset({"card"}),
    redirect_method_types=frozenset({"ideal"}),
    bare_method_types={"ideal": f"{mapping.BARE_METHOD}ideal"},
    reusable_method_types=frozenset({"card"}),
    releases_methods=True,
    tokens_are_stored=True,
    requests_three_d_secure=True,
    hosted_fields=True,
    exchanges_fields=True,
    disputes=True,
    settlement_reports=True,
    settlement_calendar=SettlementCalendar(country="XECB", time_zone="Europe/Amsterdam"),
    notification_answer="[accepted]",
    completes_with_returned=True,
    states_results_by_notification=True,
)

CREDENTIAL_FIELDS: Final = (
    CredentialField(name="api_key", meaning="of an API credential with the Checkout role"),
    CredentialField(
        name="merchant_account", meaning="the name of the merchant account", is_secret=False
    ),
    CredentialField(
        name="base_url",
        meaning="of a live account, or a double",
        default=TEST_URL,
        is_secret=False,
    ),
    CredentialField(
        name="pre_authorize",
        meaning="true marks every hold as a pre-authorization",
        default="",
        is_secret=False,
    ),
    CredentialField(
        name="setup_currency",
        meaning="of the zero-value authorizations that verify a card",
        default="EUR",
        is_secret=False,
    ),
    CredentialField(
        name="report_url",
        meaning="where settlement reports are fetched; without it files are imported",
        default="",
        is_secret=False,
    ),
    CredentialField(name="report_key", meaning="the API key of a report user", default=""),
    CredentialField(
        name="dispute_url",
        meaning="of the dispute service, for a double",
        default="",
        is_secret=False,
    ),
    *page_fields.CREDENTIAL_FIELDS,
    WEBHOOK_SECRETS,
)

_HMAC_KEY: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_NO_CUSTOMER: Final = "credentials-check"


def faults_of(
    connection: Connection,
    *,
    merchant_account: str,
    webhook_secrets: Sequence[str],
    deadline_seconds: float,
) -> tuple[CredentialFault, ...]:
    """What Adyen, or the form of its HMAC keys, shows to be wrong; raises PspUnavailable.

    The stored methods of a customer that does not exist are listed.
    """
    asked = {
        "merchantAccount": quote(merchant_account, safe=""),
        "shopperReference": _NO_CUSTOMER,
    }
    answer = connection.get(
        lambda: connection.recurring.get_tokens_for_stored_payment_details(query_parameters=asked),
        deadline_seconds=deadline_seconds,
    )
    fault = {
        401: CredentialFault("api_key", "Adyen does not know it in this environment"),
        403: CredentialFault(
            "merchant_account", "unknown to this api_key, or the key lacks the Checkout role"
        ),
        404: CredentialFault("base_url", "what answers there is not Adyen"),
    }.get(answer.status)
    if fault is not None:
        return (fault,)
    if answer.status != 200:
        raise PspUnavailable(f"answered {answer.status}")
    if not all(_HMAC_KEY.fullmatch(each) for each in webhook_secrets):
        return (CredentialFault(WEBHOOK_SECRETS.name, "Adyen's HMAC keys are hexadecimal"),)
    return ()
