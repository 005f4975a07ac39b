"""Adyen's card fields on the checkout page: what they encrypt is exchanged, and kept nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from payments.models import IdempotencyKey, Operation, PaymentMethod
from payments.tests.checkout.test_card_fields import given_of, sources
from payments.tests.checkout.visits import LINES, Visit
from payments.tests.scenarios.test_adyen import AdyenShop
from payments.tests.scenarios.test_adyen import adyen as adyen
from payments.tests.support.api_client import api_of
from payments.tests.support.factories import set_credentials
from psp_adapters.tests.adyen.test_page_fields import CARD, TEST_KEY

KEEPS = {"payment_intent_data": {"setup_future_usage": "off_session"}}


@pytest.fixture
def shop(adyen: AdyenShop) -> AdyenShop:
    set_credentials(adyen.account, client_key=TEST_KEY)
    return adyen


def visit(shop: AdyenShop, **more: Any) -> Visit:
    given = {"success_url": "https://shop.example/thanks", **more}
    if given.get("mode") != "setup":
        given |= {"line_items": LINES, "metadata": {"order_id": shop.order_id}}
    made = api_of(shop).post("/v1/checkout/sessions", **given)
    assert made.status == 200, made.body
    return Visit(shop, made.body["id"], made.body["url"])


def exchange(visitor: Visit, fields: dict[str, str], **more: Any) -> dict[str, Any]:
    body = {"method": "card", "fields": fields, "attempt": visitor.attempt, **more}
    answer = visitor.client.post(f"{visitor.base}/exchange", json.dumps(body), "application/json")
    told: dict[str, Any] = answer.json()
    return {"status": answer.status_code, **told}


def test_a_card_that_is_kept_is_entered_in_adyens_fields_and_charged_later(
    shop: AdyenShop, caplog: pytest.LogCaptureFixture
) -> None:
    api = api_of(shop)
    customer = api.post("/v1/customers").body["id"]
    visitor = visit(shop, mode="setup", customer=customer)
    page = visitor.look()
    assert given_of(page.content.decode())["settings"]["country"] == "NL"
    assert "https://checkoutshopper-test.adyen.com" in sources(page)["frame-src"]
    made = exchange(visitor, CARD)
    assert (made["status"], made["message"]) == (200, "")
    assert visitor.pay(made["token"])["state"] == "succeeded"
    method = PaymentMethod.objects.get()
    assert method.token.startswith("page-")
    kept = [
        json.dumps(list(model.objects.values()), default=str)
        for model in (PaymentMethod, IdempotencyKey)
    ]
    assert CARD["encryptedCardNumber"] not in "".join((*kept, caplog.text))
    paid = {"amount": 900, "currency": "eur", "customer": customer, "off_session": True}
    later = api.post("/v1/payment_intents", **paid, payment_method=method.public_id, confirm=True)
    assert later.body["status"] == "succeeded"


def test_cards_are_offered_where_the_page_keeps_them_or_the_operator_says_so(
    shop: AdyenShop,
) -> None:
    customer = api_of(shop).post("/v1/customers").body["id"]
    once = visit(shop)
    assert 'value="card"' not in once.look().content.decode()
    assert exchange(once, CARD)["token"] == ""
    assert 'value="card"' in visit(shop, customer=customer, **KEEPS).look().content.decode()
    set_credentials(shop.account, client_key=TEST_KEY, store_cards="true")
    assert 'value="card"' in once.look().content.decode()
    assert once.pay(exchange(once, CARD)["token"])["state"] == "succeeded"


def test_a_page_can_name_no_token_but_its_own_exchanged_one(shop: AdyenShop) -> None:
    customer = api_of(shop).post("/v1/customers").body["id"]
    mine, other = (visit(shop, mode="setup", customer=customer) for _ in range(2))
    sealed = exchange(other, CARD)["token"]
    [(owner, stored_id)] = shop.face.cards.entered
    for forged in (sealed, f"{sealed[:-1]}x", f"{owner}-{stored_id}", "card-1"):
        assert mine.pay(forged)["message"]
    refused = mine.client.post(
        f"{mine.base}/pay",
        json.dumps({"method": "card", "token": f"{owner}/{stored_id}", "attempt": 1}),
        "application/json",
    )
    assert refused.status_code == 400
    assert not PaymentMethod.objects.exists()
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({**CARD, "encryptedCardNumber": "eyJ"}, 200),
        ({**CARD, "encryptedCardNumber": "4242424242424242"}, 400),
        ({}, 400),
        ({"encryptedCardNumber": 1}, 400),
        ({f"x{'y' * 70}": "z"}, 400),
    ],
)
def test_what_is_no_encrypted_card_makes_no_token(
    shop: AdyenShop, fields: dict[str, Any], status: int
) -> None:
    customer = api_of(shop).post("/v1/customers").body["id"]
    visitor = visit(shop, mode="setup", customer=customer)
    told = exchange(visitor, fields)
    assert (told["status"], told["token"]) == (status, "")
    assert bool(told.get("message")) is (status == 200)
    assert shop.face.cards.entered == {}


def test_a_psp_that_does_not_answer_is_told_and_the_page_stays(shop: AdyenShop) -> None:
    customer = api_of(shop).post("/v1/customers").body["id"]
    visitor = visit(shop, mode="setup", customer=customer)
    shop.face.drop_next("POST /storedPaymentMethods", after=False)
    told = exchange(visitor, CARD)
    assert (told["token"], "Try again" in told["message"]) == ("", True)
    assert visitor.pay(exchange(visitor, CARD)["token"])["state"] == "succeeded"
