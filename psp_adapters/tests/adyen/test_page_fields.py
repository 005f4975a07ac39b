"""Card fields for the checkout page: which form they have, and what an encrypted card becomes."""

from __future__ import annotations

import pytest

from psp_adapters.adyen.adapter import AdyenAdapter
from psp_adapters.adyen.page_fields import VERSION
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.payments import FieldsRefused, HostedFields
from psp_adapters.registry import BadCredentials, new_adapter
from psp_adapters.tests.adyen.conftest import Kept
from psp_adapters.tests.support.adyen_cards import ENCRYPTED
from psp_adapters.tests.support.adyen_face import AdyenFace

TEST_KEY, LIVE_KEY = "test_ABCDEFGH1234", "live_ABCDEFGH1234"
LIVE_URL = "https://abc-checkout-live.adyenpayments.com/checkout/v72"
CARD = {
    "encryptedCardNumber": f"{ENCRYPTED}pm_card_visa",
    "encryptedExpiryMonth": "eyJhbGciOiJ",
    "encryptedExpiryYear": "eyJhbGciOiJ",
    "encryptedSecurityCode": "eyJhbGciOiJ",
}


def fields_of(*, livemode: bool = False, **given: str) -> HostedFields | None:
    credentials = {"api_key": "key", "merchant_account": "Shop", "webhook_secrets": "AB" * 16}
    live = {"base_url": LIVE_URL} if livemode else {}
    adapter = new_adapter("adyen", credentials | live | given, livemode=livemode, stored=Kept())
    adapter.close()
    return adapter.card_fields


def test_without_a_client_key_there_are_no_fields() -> None:
    assert fields_of() is None


def test_the_fields_are_adyens_of_the_accounts_region() -> None:
    test = fields_of(client_key=TEST_KEY)
    assert test is not None
    cdn = "https://checkoutshopper-test.cdn.adyen.com"
    frames = "https://checkoutshopper-test.adyen.com"
    assert test.url == f"{cdn}/checkoutshopper/sdk/{VERSION}/adyen.js"
    assert (test.origin, test.stores, test.integrity) == (cdn, True, "")
    assert test.sources["frame-src"] == (frames,)
    assert "analytics" not in str(test.sources), "it would be told the address of the page"
    live = fields_of(
        livemode=True,
        client_key=LIVE_KEY,
        fields_environment="live-us",
        fields_version="6.40.0",
        fields_integrity=f"sha384-{'A' * 64}",
        store_cards="true",
    )
    assert live is not None
    assert (
        live.url
        == "https://checkoutshopper-live-us.cdn.adyen.com/checkoutshopper/sdk/6.40.0/adyen.js"
    )
    assert (live.stores, live.integrity[:8]) == (False, "sha384-A")


@pytest.mark.parametrize(
    ("livemode", "given", "named"),
    [
        (False, {"client_key": "pk_test_1"}, "client_key"),
        (False, {"client_key": LIVE_KEY}, "client_key"),
        (True, {"client_key": TEST_KEY}, "client_key"),
        (False, {"client_key": TEST_KEY, "fields_environment": "live"}, "fields_environment"),
        (True, {"client_key": LIVE_KEY, "fields_environment": "x.evil"}, "fields_environment"),
        (False, {"client_key": TEST_KEY, "fields_version": "5.1.0"}, "fields_version"),
        (False, {"client_key": TEST_KEY, "fields_version": "6.1.0/../x"}, "fields_version"),
        (False, {"client_key": TEST_KEY, "fields_country": "nl"}, "fields_country"),
        (False, {"client_key": TEST_KEY, "fields_integrity": "md5-1"}, "fields_integrity"),
        (True, {"client_key": LIVE_KEY, "fields_origin": "https://evil.example"}, "fields_origin"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(
    livemode: bool, given: dict[str, str], named: str
) -> None:
    with pytest.raises(BadCredentials, match=named):
        fields_of(livemode=livemode, **given)


def test_an_encrypted_card_becomes_a_token_of_a_customer_of_its_own(
    adapter: AdyenAdapter, face: AdyenFace
) -> None:
    tokens = [adapter.token_of_fields(CARD, deadline_seconds=5) for _ in range(2)]
    customers = {each.partition("/")[0] for each in tokens}
    assert len(customers) == 2
    assert all(each.startswith("page-") for each in customers)
    assert adapter.find_token(tokens[0], deadline_seconds=5).last4 == "4242"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"encryptedCardNumber": "x"},
        {**CARD, "number": "x"},
        {**CARD, "encryptedCardNumber": "4242424242424242"},
        {**CARD, "encryptedCardNumber": "test_4111111111111111"},
        {**CARD, "encryptedCardNumber": "a b"},
        {**CARD, "encryptedCardNumber": "x" * 15_001},
    ],
)
def test_what_adyens_fields_would_not_return_is_not_sent(
    adapter: AdyenAdapter, face: AdyenFace, fields: dict[str, str]
) -> None:
    face.calls.clear()
    with pytest.raises(FieldsRefused):
        adapter.token_of_fields(fields, deadline_seconds=5)
    assert face.calls == []


def test_a_refusal_and_a_lost_answer_are_told_apart_and_quote_nothing(
    adapter: AdyenAdapter, face: AdyenFace
) -> None:
    with pytest.raises(FieldsRefused):
        adapter.token_of_fields({**CARD, "encryptedCardNumber": "eyJ"}, deadline_seconds=5)
    face.drop_next("POST /storedPaymentMethods", after=True)
    with pytest.raises(PspUnavailable) as lost:
        adapter.token_of_fields(CARD, deadline_seconds=5)
    assert ENCRYPTED not in str(lost.value)
