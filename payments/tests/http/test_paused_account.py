"""A pause of a PSP account reaches every process of a running server within five seconds."""

from __future__ import annotations

import time
import uuid
from typing import Any

import stripe

from payments.models import Merchant, PspAccount
from payments.services.commands.operators import merchants
from payments.services.commands.operators.psp_accounts import pause_psp_account, resume_psp_account
from payments.services.psp_gateway.accounts import SEEN_WITHIN_SECONDS
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.storefront import Storefront
from payments.tests.support.factories import TESTS, PspAccountFactory, sandbox_credentials, staff
from psp_adapters.tests.support.sandbox_process import SandboxProcess

PAYMENTS = 12
"""So many that each process of the server takes some."""


def _codes(storefront: Storefront) -> set[str]:
    """What payments are refused with; empty if they succeed."""
    codes = set()
    for _ in range(PAYMENTS):
        try:
            storefront.pay()
            codes.add("")
        except stripe.InvalidRequestError as refused:
            codes.add(refused.code or "")
    return codes


def test_a_paused_account_is_refused_by_each_process_within_five_seconds(
    server: ApiServer, sandbox_psp: SandboxProcess, same_database: None
) -> None:
    code = f"paused-{uuid.uuid4().hex[:8]}"
    sealed = sandbox_credentials(code, sandbox_psp.base_url)
    account: PspAccount = PspAccountFactory.create(code=code, sealed_credentials=sealed)
    merchant = Merchant.objects.create(name="Paused", test_psp_account=account)
    _, secret_key = merchants.issue_api_key(merchant=merchant, livemode=False, author=TESTS)
    storefront = Storefront(server, sandbox_psp, merchant, secret_key)
    held: Any = storefront.pay(capture_method="manual")
    assert _codes(storefront) == {""}

    pause_psp_account(account, author=staff("ada"))
    time.sleep(SEEN_WITHIN_SECONDS)
    assert _codes(storefront) == {"payment_provider_paused"}
    assert storefront.effects() == []
    assert storefront.stripe.v1.payment_intents.capture(held.id).status == "succeeded"

    resume_psp_account(account, author=staff("ada"))
    time.sleep(SEEN_WITHIN_SECONDS)
    assert _codes(storefront) == {""}
