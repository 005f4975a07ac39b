"""What a merchant says about a purchase is kept, shown, checked, and passed to the PSP."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import replace
from typing import Any

import pytest

from payments.api.views.amount_details_parameters import BYTES_MAX, LINES_MAX
from payments.models import Operation, PaymentIntent
from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.factories import credentials_of
from payments.tests.support.shop import Shop
from psp_adapters.sandbox.adapter import SandboxAdapter

INTENTS = "/v1/payment_intents"
LINES = "amount_details.line_items"
BOOKS = {"product_name": "Two books", "product_code": "B-17", "quantity": 2, "unit_cost": 500}
DETAILS: dict[str, Any] = {
    "line_items": [
        BOOKS | {"tax": {"total_tax_amount": 70}},
        {"product_name": "A pen", "quantity": 1, "unit_cost": 130, "discount_amount": 30},
    ],
    "shipping": {"amount": 300, "to_postal_code": "10115", "from_postal_code": "20095"},
}
AMOUNT = 2 * 500 + 70 + 130 - 30 + 300
LEVEL3 = {
    "merchant_reference": "6735",
    "customer_reference": "PO-9",
    "shipping_amount": 100,
    "shipping_address_zip": "10115",
    "line_items": [
        {"product_code": "B-17", "product_description": "Book", "unit_cost": 400, "quantity": 2}
    ],
}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def pay(api: ApiClient, amount: int = AMOUNT, **given: Any) -> Any:
    whole = {"currency": "usd", "payment_method": "pm_card_visa", "confirm": True}
    return api.post(INTENTS, amount=amount, **whole | given)


def at_the_psp(shop: Shop, intent_id: str) -> list[Any]:
    """What the PSP got of the purchase, by operation."""
    credentials = credentials_of(shop.account)
    request = urllib.request.Request(
        f"{credentials['base_url']}/v1/payments/{shop.operations(intent_id)[0].psp_payment_id}",
        headers={"Authorization": f"Bearer {credentials['api_key']}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return [each.get("purchase") for each in json.load(answer)["operations"]]


def test_the_lines_of_an_amount_arrive_at_the_psp_and_are_shown(shop: Shop, api: ApiClient) -> None:
    intent = pay(api, amount_details=DETAILS, expand=[LINES]).body
    assert intent["amount_details"]["shipping"] == DETAILS["shipping"]
    [books, pen] = intent["amount_details"]["line_items"]["data"]
    assert (books["product_name"], books["quantity"], books["tax"]) == (
        "Two books",
        2,
        {"total_tax_amount": 70},
    )
    assert (pen["discount_amount"], pen["tax"], pen["product_code"]) == (30, None, None)
    assert books["id"] != pen["id"]
    [sent] = at_the_psp(shop, intent["id"])
    assert (sent["tax_minor"], sent["discount_minor"], sent["shipping_minor"]) == (70, 30, 300)
    assert [line["name"] for line in sent["lines"]] == ["Two books", "A pen"]
    assert sent["ship_to_postal_code"] == "10115"
    path = f"{INTENTS}/{intent['id']}"
    assert "line_items" not in api.get(path).body["amount_details"]
    shown = api.get(path, expand=[LINES, "latest_charge"]).body
    assert shown["amount_details"] == intent["amount_details"]
    assert "level3" not in shown["latest_charge"]
    lines = f"{path}/amount_details_line_items"
    first = api.get(lines, limit=1).body
    assert (first["data"], first["has_more"]) == ([books], True)
    assert api.get(lines, limit=1, starting_after=books["id"]).body["data"] == [pen]
    assert api.get(lines, ending_before=pen["id"]).body["data"] == [books]
    missing = api.get(lines, starting_after="uli_nothing")
    assert (missing.status, missing.error["param"]) == (400, "starting_after")


def test_level3_arrives_at_the_psp_and_the_charge_shows_it(shop: Shop, api: ApiClient) -> None:
    intent = pay(api, 900, level3=LEVEL3, expand=["latest_charge"]).body
    assert intent["latest_charge"]["level3"] == LEVEL3
    [sent] = at_the_psp(shop, intent["id"])
    assert (sent["merchant_reference"], sent["customer_reference"]) == ("6735", "PO-9")
    assert sent["lines"][0]["quantity"] == 2


def test_a_capture_says_anew_what_was_bought(shop: Shop, api: ApiClient) -> None:
    intent_id = pay(api, 5_000, capture_method="manual").body["id"]
    path = f"{INTENTS}/{intent_id}/capture"
    wrong = api.post(path, amount_to_capture=900, amount_details=DETAILS)
    assert wrong.error["code"] == "amount_details_amount_mismatch"
    assert len(shop.operations(intent_id)) == 1
    captured = api.post(path, amount_to_capture=AMOUNT, amount_details=DETAILS).body
    assert captured["amount_details"]["shipping"] == DETAILS["shipping"]
    assert [sent is not None for sent in at_the_psp(shop, intent_id)] == [False, True]


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"amount_details": DETAILS}, "amount_details_amount_mismatch", "amount_details"),
        ({"level3": LEVEL3}, "amount_details_amount_mismatch", "level3"),
        (
            {"amount_details": {"tax": {"total_tax_amount": 950}, "shipping": {"amount": 51}}},
            "amount_details_tax_shipping_discount_greater_than_amount",
            "amount_details",
        ),
        (
            {"amount_details": DETAILS | {"tax": {"total_tax_amount": 5}}},
            "parameters_exclusive",
            "amount_details[tax]",
        ),
        ({"amount_details": DETAILS, "level3": LEVEL3}, "parameters_exclusive", "level3"),
        (
            {"amount_details": {"line_items": [BOOKS] * (LINES_MAX + 1)}},
            "parameter_invalid",
            "amount_details[line_items]",
        ),
        (
            {"amount_details": {"line_items": [BOOKS | {"product_name": "x" * 1024}] * 65}},
            "parameter_invalid",
            "amount_details",
        ),
        (
            {"amount_details": {"line_items": [BOOKS | {"product_name": "PAN 4242424242424242"}]}},
            "card_data_not_allowed",
            "amount_details[line_items][0][product_name]",
        ),
    ],
)
def test_details_that_do_not_add_up_or_are_too_large_are_refused(
    shop: Shop, api: ApiClient, given: dict[str, Any], code: str, param: str
) -> None:
    assert BYTES_MAX < 65 * 1024
    reply = pay(api, 1_000, **given)
    assert (reply.status, reply.error["code"], reply.error["param"]) == (400, code, param)
    assert not PaymentIntent.objects.exists()
    assert shop.effects() == []


def test_details_that_need_not_add_up_are_shown_with_the_error_and_not_sent(
    shop: Shop, api: ApiClient
) -> None:
    given = DETAILS | {"enforce_arithmetic_validation": False}
    intent = pay(api, 1_000, amount_details=given).body
    assert intent["amount_details"]["error"]["code"] == "amount_details_amount_mismatch"
    assert at_the_psp(shop, intent["id"]) == [None]


def test_details_follow_the_amount_until_the_payment_is_made(api: ApiClient) -> None:
    intent = pay(api, amount_details=DETAILS, confirm=False, payment_method="pm_card_visa").body
    path = f"{INTENTS}/{intent['id']}"
    assert api.post(path, amount=900).error["param"] == "amount_details"
    assert api.get(path).body["amount"] == AMOUNT
    assert api.post(path, amount=900, amount_details="").body["amount_details"] == {"tip": {}}
    assert api.post(f"{path}/confirm", level3=LEVEL3).body["status"] == "succeeded"


def test_a_psp_that_does_not_take_details_gets_none(
    shop: Shop, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = replace(SandboxAdapter.capabilities, purchase_details=False)
    monkeypatch.setattr(SandboxAdapter, "capabilities", able)
    intent = pay(api, amount_details=DETAILS, expand=[LINES]).body
    assert len(intent["amount_details"]["line_items"]["data"]) == 2, "kept all the same"
    assert Operation.objects.get().purchase_details is None
    assert at_the_psp(shop, intent["id"]) == [None]


def test_a_challenge_stays_open_if_the_lines_given_with_another_method_do_not_add_up(
    shop: Shop, api: ApiClient
) -> None:
    intent = pay(api, payment_method="pm_card_authenticationRequired").body
    confirm = f"{INTENTS}/{intent['id']}/confirm"
    refused = api.post(
        confirm, payment_method="pm_card_visa", amount_details=DETAILS | {"shipping": {"amount": 9}}
    )
    assert (refused.status, refused.error["param"]) == (400, "amount_details")
    assert [o.status for o in shop.operations(intent["id"])] == ["REQUIRES_ACTION"]
    assert api.get(f"{INTENTS}/{intent['id']}").body["next_action"] == intent["next_action"]
    paid = api.post(confirm, payment_method="pm_card_visa", amount_details=DETAILS)
    assert paid.body["status"] == "succeeded"
