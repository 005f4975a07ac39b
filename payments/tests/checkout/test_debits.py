"""SEPA debits on the page: fields of the PSP, a mandate that is shown and kept, a late result."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from payments.models import Mandate, Operation, PaymentMethod
from payments.services.recovery.sweep import resolve_operation
from payments.tests.checkout.visits import PRICE, Visit, visit
from payments.tests.support.api_client import api_of
from payments.tests.support.shop import Shop

ACCEPTED = {"mandate_accepted": True}
BROWSER = "Mozilla/5.0 (X11; Linux x86_64)"


def debit(visitor: Visit, token: str = "pm_sepaDebit_success", **more: Any) -> dict[str, Any]:
    return visitor.pay(token, method="sepa_debit", **{**ACCEPTED, **more})


def bank_decides(visitor: Visit) -> None:
    visitor.shop.psp.advance(3)
    resolve_operation(visitor.intent.latest_charge_id, actor="test")


@pytest.mark.parametrize(("token", "ends"), [("success", "succeeded"), ("fail", "failed")])
def test_a_debit_keeps_the_mandate_and_its_page_shows_the_late_result(
    shop: Shop, token: str, ends: str
) -> None:
    visitor = visit(shop)
    page = visitor.look().content.decode()
    assert f"{shop.psp.base_url}/fields?" in page
    assert "method=sepa_debit" in page
    assert f"you authorize {shop.merchant.name} and its payment provider" in page
    visitor.client.defaults["HTTP_USER_AGENT"] = BROWSER
    told = debit(visitor, f"pm_sepaDebit_{token}")
    assert (told["state"], visitor.shown()) == ("accepted", "accepted")
    assert 'data-poll="60"' in visitor.look().content.decode()
    mandate, charge = Mandate.objects.get(), Operation.objects.get()
    assert (mandate.use, mandate.single_use_minor, mandate.made_by_id) == (
        "single_use",
        1250,
        charge.id,
    )
    assert (mandate.acceptance, mandate.ip_address, mandate.user_agent) == (
        "online",
        "127.0.0.1",
        BROWSER,
    )
    bank_decides(visitor)
    assert visitor.status()["state"] == visitor.shown() == ends


def test_a_debit_whose_mandate_was_not_shown_is_not_made(shop: Shop) -> None:
    visitor = visit(shop)
    for shown in (False, "true", 1, None):
        told = debit(visitor, mandate_accepted=shown)
        assert (told["state"], bool(told["message"])) == ("pay", True)
    assert not Mandate.objects.exists()
    assert not Operation.objects.exists()


def test_a_token_of_a_card_is_no_account(shop: Shop) -> None:
    visitor = visit(shop)
    assert debit(visitor, "pm_card_visa")["message"]
    assert debit(visitor, "")["message"]
    assert not Operation.objects.exists()
    assert not PaymentMethod.objects.exists()


def test_an_account_that_is_kept_is_debited_later_by_the_same_mandate(shop: Shop) -> None:
    api = api_of(shop)
    customer = api.post("/v1/customers", name="Ada").body["id"]
    keeps = {"setup_future_usage": "off_session"}
    visitor = visit(shop, customer=customer, payment_intent_data=keeps)
    assert "now and for later payments" in visitor.look().content.decode()
    assert debit(visitor)["state"] == "accepted"
    bank_decides(visitor)
    [kept] = api.get("/v1/payment_methods", customer=customer).body["data"]
    assert Mandate.objects.get().status == "active"
    later = api.post(
        "/v1/payment_intents",
        amount=900,
        currency="eur",
        customer=customer,
        payment_method=kept["id"],
        payment_method_types=["sepa_debit"],
        confirm=True,
        off_session=True,
    ).body
    assert later["status"] == "processing"
    assert Operation.objects.latest("id").mandate_id == Mandate.objects.get().id


@pytest.mark.parametrize(
    "given",
    [
        {"payment_intent_data": {"capture_method": "manual"}},
        {"line_items": [{"price_data": {**PRICE, "currency": "usd"}}]},
        {"payment_method_types": ["card"]},
    ],
)
def test_no_debit_is_offered_where_none_can_be_made(shop: Shop, given: dict[str, Any]) -> None:
    visitor = visit(shop, **given)
    assert 'value="sepa_debit"' not in visitor.look().content.decode()
    assert debit(visitor)["message"]
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("base", "told", "kept"),
    [
        ("https://pay.example", "192.0.2.1, 203.0.113.7", "203.0.113.7"),
        ("https://pay.example", "nonsense", ""),
        ("http://pay.example", "203.0.113.7", "127.0.0.1"),
    ],
)
def test_the_address_is_the_browsers_as_the_proxy_names_it(
    shop: Shop, base: str, told: str, kept: str
) -> None:
    visitor = visit(shop)
    visitor.client.defaults["HTTP_X_FORWARDED_FOR"] = told
    with override_settings(PUBLIC_BASE_URL=base):
        debit(visitor)
    assert Mandate.objects.get().ip_address == kept
