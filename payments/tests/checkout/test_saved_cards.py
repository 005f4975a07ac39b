"""Saved cards on the page: the customer's own that the merchant lets it show, and no other."""

from __future__ import annotations

import re

import pytest

from payments import public_ids
from payments.models import PaymentMethod
from payments.services.commands.operators.psp_accounts import pause_psp_account
from payments.tests.checkout.visits import Visit, visit
from payments.tests.support.api_client import api_of
from payments.tests.support.factories import staff
from payments.tests.support.shop import Shop

SALE = [("authorize", 1250), ("capture", 1250)]


@pytest.fixture
def customer(shop: Shop) -> str:
    made: str = api_of(shop).post("/v1/customers", name="Ada").body["id"]
    return made


def save(shop: Shop, customer: str, *, token: str = "pm_card_visa", shown: str = "always") -> str:
    """Attach a card to the customer; its id."""
    api = api_of(shop)
    card: str = api.post(f"/v1/payment_methods/{token}/attach", customer=customer).body["id"]
    assert api.post(f"/v1/payment_methods/{card}", allow_redisplay=shown).status == 200
    return card


def offered(visitor: Visit) -> list[str]:
    """The saved cards on the page, in order."""
    return re.findall(r'value="(pm_\w+)"', visitor.look().content.decode())


def row_of(card: str) -> PaymentMethod:
    return PaymentMethod.objects.get(pk=public_ids.decode(public_ids.PAYMENT_METHOD, card))


def test_a_saved_card_is_offered_first_and_pays(shop: Shop, customer: str) -> None:
    card = save(shop, customer)
    visitor = visit(shop, customer=customer)
    text = visitor.look().content.decode()
    assert "Visa ending in 4242" in text
    assert "Another card" in text
    assert f'value="{card}" checked' in text
    assert text.count(" checked") == 1
    assert visitor.pay("", method=card)["state"] == "succeeded"
    assert visitor.intent.payment_method_id == row_of(card).pk
    assert visitor.effects() == SALE


def test_the_default_card_comes_first_then_the_newest(shop: Shop, customer: str) -> None:
    cards = [save(shop, customer, token=f"pm_card_{each}") for each in ("visa", "amex", "visa")]
    settings = {"default_payment_method": cards[1]}
    api_of(shop).post(f"/v1/customers/{customer}", invoice_settings=settings)
    assert offered(visit(shop, customer=customer)) == [cards[1], cards[2], cards[0]]


def test_a_declined_saved_card_is_told_and_another_card_pays(shop: Shop, customer: str) -> None:
    card = save(shop, customer, token="pm_card_chargeCustomerFail")
    visitor = visit(shop, customer=customer)
    told = visitor.pay("", method=card)
    assert (told["state"], told["attempt"]) == ("pay", 2)
    assert "Nothing was taken" in told["message"]
    assert visitor.pay("pm_card_mastercard")["state"] == "succeeded"
    assert visitor.effects() == SALE


def test_a_card_is_neither_shown_nor_charged_unless_the_merchant_lets_the_page(
    shop: Shop, customer: str
) -> None:
    hidden = {
        "limited": save(shop, customer, shown="limited"),
        "unspecified": save(shop, customer, shown="unspecified"),
        "detached": save(shop, customer),
        "expired": save(shop, customer),
        "another customer's": save(shop, api_of(shop).post("/v1/customers").body["id"]),
    }
    api_of(shop).post(f"/v1/payment_methods/{hidden['detached']}/detach")
    # The database keeps expiry dates as they are: an hour that passes is no writing.
    PaymentMethod.objects.filter(pk=row_of(hidden["expired"]).pk).update(expiry_year=2020)
    visitor = visit(shop, customer=customer)
    assert offered(visitor) == []
    for card in hidden.values():
        assert visitor.pay("", method=card)["message"]
        assert visitor.pay(card)["message"], "nor as a token"
    assert (visitor.effects(), visitor.intent.latest_charge_id) == ([], None)


def test_a_session_without_a_customer_charges_no_saved_card(shop: Shop, customer: str) -> None:
    card = save(shop, customer)
    visitor = visit(shop)
    assert offered(visitor) == []
    assert visitor.pay("", method=card)["message"]
    assert visitor.effects() == []


def test_an_unattached_method_of_the_merchant_is_no_token_of_the_page(shop: Shop) -> None:
    card = {"type": "card", "card": {"token": "pm_card_visa"}}
    method = api_of(shop).post("/v1/payment_methods", **card).body["id"]
    visitor = visit(shop)
    assert visitor.pay(method)["message"]
    assert visitor.effects() == []


def test_a_card_of_a_paused_account_is_not_offered(shop: Shop, customer: str) -> None:
    card = save(shop, customer)
    visitor = visit(shop, customer=customer)
    pause_psp_account(shop.account, author=staff("ada"))
    assert offered(visitor) == []
    assert visitor.pay("", method=card)["message"]
    assert visitor.effects() == []


def test_a_page_that_keeps_a_card_asks_for_a_new_one(shop: Shop, customer: str) -> None:
    save(shop, customer)
    given = {"mode": "setup", "customer": customer, "success_url": "https://shop.example/thanks"}
    made = api_of(shop).post("/v1/checkout/sessions", **given).body
    assert offered(Visit(shop, made["id"], made["url"])) == []


def test_saved_cards_are_named_in_german(shop: Shop, customer: str) -> None:
    save(shop, customer, token="pm_card_amex")
    text = visit(shop, customer=customer, locale="de").look().content.decode()
    assert "American Express mit Endziffern" in text
    assert "Andere Karte" in text
    assert re.search(r"Gültig bis \d\d/\d\d", text)
