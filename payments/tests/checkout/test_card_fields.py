"""Card fields that a PSP's script brings: the page allows exactly what they are made of."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from django.test import Client

from payments.checkout.assets import DRIVERS
from payments.services.commands.operators.psp_accounts import pause_psp_account
from payments.tests.checkout.visits import Visit, visit
from payments.tests.support.api_client import api_of
from payments.tests.support.factories import (
    MerchantFactory,
    PspAccountFactory,
    set_credentials,
    staff,
)
from payments.tests.support.shop import Shop
from psp_adapters.tests.support.receiver import SECRET
from psp_adapters.tests.support.sandbox_process import SandboxProcess

PROJECT = Path(__file__).resolve().parents[3]
STRIPE = {"api_key": "sk_test_hidden", "base_url": "http://127.0.0.1:9"}
MOLLIE = {
    "api_key": "test_hidden",
    "base_url": "http://127.0.0.1:9",
    "webhook_url": "https://pay.example/psp/mollie-eu/webhook",
    "webhook_secrets": SECRET,
}
ASSOCIATION = "/.well-known/apple-developer-merchantid-domain-association"


def shop_at(psp: str, credentials: dict[str, str]) -> Shop:
    """A merchant whose PSP cannot be reached: the page must need no call."""
    account = PspAccountFactory.create(code=f"{psp}-eu", psp=psp)
    set_credentials(account, **credentials)
    merchant = MerchantFactory.create(test_psp_account=account)
    return Shop(psp=cast(SandboxProcess, None), merchant=merchant, account=account)


def given_of(text: str) -> dict[str, Any]:
    """What the page tells the driver."""
    found = re.search(r'data-given="([^"]+)"', text)
    assert found is not None, "the page has card fields of a script"
    given: dict[str, Any] = json.loads(html.unescape(found[1]))
    return given


def sources(page: Any) -> dict[str, set[str]]:
    """The policy of a page by directive."""
    rules = (each.split() for each in page["Content-Security-Policy"].split(";"))
    return {name: set(origins) for name, *origins in rules}


def visitor_at(psp: str, credentials: dict[str, str], **more: Any) -> Visit:
    return visit(shop_at(psp, credentials), **more)


def test_stripes_fields_bring_their_script_and_the_policy_allows_nothing_else(
    database: None,
) -> None:
    fields = {"publishable_key": "pk_test_public", "account_id": "acct_1"}
    page = visitor_at("stripe", STRIPE | fields, locale="de").look()
    text = page.content.decode()
    assert 'data-script="https://js.stripe.com/v3/" data-integrity=""' in text
    driver = DRIVERS["stripe"]
    assert f'<script defer src="{driver.url}" integrity="{driver.integrity}">' in text
    assert Client().get(driver.url).content == driver.content
    assert text.count("<script ") == 2, "Stripe's comes when a card is chosen"
    assert given_of(text) == {
        "key": "pk_test_public",
        "settings": {"account": "acct_1"},
        "wallets": False,
        "language": "de",
        "livemode": False,
        "mode": "payment",
        "keeps": "",
        "amount_minor": 1250,
        "currency": "eur",
        "capture": "automatic",
    }
    assert sources(page) == {
        "default-src": {"'none'"},
        "script-src": {"'self'", "https://js.stripe.com", "https://*.js.stripe.com"},
        "style-src": {"'self'"},
        "img-src": {"data:"},
        "connect-src": {"'self'", "https://api.stripe.com"},
        "frame-src": {
            *("https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"),
        },
        "base-uri": {"'none'"},
        "form-action": {"'none'"},
        "frame-ancestors": {"'none'"},
    }
    assert 'payment=(self "https://js.stripe.com")' in page["Permissions-Policy"]
    assert page["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "hidden" not in text.replace(" hidden", ""), "no secret key"


def test_stripes_fields_are_told_that_a_page_keeps_a_card(database: None) -> None:
    shop = shop_at("stripe", STRIPE | {"publishable_key": "pk_test_public"})
    customer = api_of(shop).post("/v1/customers").body["id"]
    setup = {"mode": "setup", "customer": customer, "success_url": "https://shop.example/thanks"}
    made = api_of(shop).post("/v1/checkout/sessions", **setup).body
    given = given_of(Visit(shop, made["id"], made["url"]).look().content.decode())
    assert (given["mode"], given["keeps"]) == ("setup", "off_session")
    assert "amount_minor" not in given


def test_mollies_fields_bring_their_script(database: None) -> None:
    page = visitor_at("mollie", MOLLIE | {"profile_id": "pfl_public"}).look()
    text = page.content.decode()
    assert 'data-script="https://js.mollie.com/v1/mollie.js"' in text
    assert given_of(text)["key"] == "pfl_public"
    allowed = sources(page)
    assert allowed["script-src"] == {"'self'", "https://js.mollie.com"}
    assert allowed["frame-src"] == {"https://js.mollie.com"}
    assert allowed["connect-src"] == {"'self'"}


def test_without_public_keys_stripe_offers_no_card_and_mollie_asks_on_its_own_page(
    database: None,
) -> None:
    stripe, mollie = visitor_at("stripe", STRIPE), visitor_at("mollie", MOLLIE)
    text = stripe.look().content.decode()
    assert 'value="ideal"' in text
    assert 'value="card"' not in text
    assert stripe.pay("pm_1")["message"]
    text = mollie.look().content.decode()
    assert "You enter your card on the next page" in text
    assert "data-script" not in text
    assert mollie.pay("tkn_visa")["message"], "no fields, no token"
    assert mollie.intent.latest_charge_id is None


def test_wallets_are_offered_where_the_account_says_so(database: None) -> None:
    fields = {"publishable_key": "pk_test_public", "wallets": "true"}
    page = visitor_at("stripe", STRIPE | fields).look()
    assert given_of(page.content.decode())["wallets"] is True
    assert page["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"


def test_the_file_of_apple_is_that_of_an_active_account(database: None) -> None:
    assert Client().get(ASSOCIATION).status_code == 404
    account = shop_at("stripe", STRIPE | {"apple_pay_domain_association": "7B2276"}).account
    answer = Client().get(ASSOCIATION)
    assert (answer.content, answer["Content-Type"]) == (b"7B2276", "text/plain; charset=utf-8")
    pause_psp_account(account, author=staff("ada"))
    assert Client().get(ASSOCIATION).status_code == 404


@pytest.mark.parametrize(
    ("driver", "script"),
    [
        ("stripe", "https://js.stripe.com/v3/"),
        ("mollie", "https://js.mollie.com/v1/mollie.js"),
        ("adyen", "adyen.js"),
    ],
)
def test_each_script_is_in_the_inventory(driver: str, script: str) -> None:
    page = (PROJECT / "docs" / "checkout.md").read_text()
    inventory = page.partition("**Scripts of the page.**")[2].partition("**Headers.**")[0]
    assert f"psp_adapters/{driver}/card_fields.js" in inventory
    assert script in inventory


def test_the_inventory_has_every_driver() -> None:
    assert set(DRIVERS) == {"stripe", "mollie", "adyen"}
