"""The contract against Adyen's own test environment, for those who have an account there.

`ADYEN_TEST_API_KEY`, `ADYEN_TEST_MERCHANT_ACCOUNT`, and three stored cards of that account, each as
customer and id: `ADYEN_TEST_CARD` (good), `ADYEN_TEST_DECLINED_CARD`, `ADYEN_TEST_CHALLENGED_CARD`.
Nothing here receives notifications, so what they alone state is not tested.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.suites.contract_suite import AdapterContract

NAMES = ("API_KEY", "MERCHANT_ACCOUNT", "CARD", "DECLINED_CARD", "CHALLENGED_CARD")
GIVEN = {name: os.environ.get(f"ADYEN_TEST_{name}", "") for name in NAMES}
pytestmark = [
    pytest.mark.live_sandbox,
    pytest.mark.skipif(not all(GIVEN.values()), reason="no account of Adyen's test environment"),
]


@pytest.fixture
def adapter() -> Iterator[AdyenAdapter]:
    adapter = AdyenAdapter(
        api_key=GIVEN["API_KEY"], merchant_account=GIVEN["MERCHANT_ACCOUNT"], stored=Kept()
    )
    yield adapter
    adapter.close()


class TestAdyenInTestMode(AdapterContract):
    good_token = GIVEN["CARD"]
    declined_token = GIVEN["DECLINED_CARD"]
    challenged_token = GIVEN["CHALLENGED_CARD"]
    unknown_token = "shopper-1/UNKNOWN000000001"
    cannot = dict.fromkeys(
        (
            *("holds", "lists_all", "without_money", "voided", "in_parts", "increment"),
            *("void_releases", "too_much"),
        ),
        "only a notification states it",
    )


def test_a_stored_card_of_the_account_is_described(adapter: AdyenAdapter) -> None:
    described = adapter.find_token(GIVEN["CARD"], deadline_seconds=10)
    assert (described.token, described.method_type) == (GIVEN["CARD"], "card")
