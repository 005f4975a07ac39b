"""The contract against Stripe's own test mode, for those who have a key of it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from psp_adapters.stripe.adapter import StripeAdapter
from psp_adapters.tests.suites.contract_suite import AdapterContract

KEY = os.environ.get("STRIPE_TEST_API_KEY", "")
pytestmark = [
    pytest.mark.live_sandbox,
    pytest.mark.skipif(
        not KEY.startswith(("sk_test_", "rk_test_")),
        reason="STRIPE_TEST_API_KEY is not a key of Stripe's test mode",
    ),
]


@pytest.fixture
def adapter() -> Iterator[StripeAdapter]:
    adapter = StripeAdapter(api_key=KEY)
    yield adapter
    adapter.close()


class TestStripeInTestMode(AdapterContract):
    good_token = "pm_card_visa"
    declined_token = "pm_card_visa_chargeDeclined"
    challenged_token = "pm_card_threeDSecure2Required"
    unknown_token = "pm_card_doesNotExist"
    cannot = {
        "minor_units": "Stripe's least amounts are higher",
        "several_captures": "it depends on the account",
        "increment": "it depends on the account",
    }


def test_the_key_may_read_disputes_and_payouts(adapter: StripeAdapter) -> None:
    assert adapter.look_up_dispute("dp_unknown", deadline_seconds=10) is None
    assert isinstance(adapter.list_reports(since=None, deadline_seconds=10), list)
