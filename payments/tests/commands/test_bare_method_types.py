"""A type without a token begins a payment where the PSP asks the customer on its page."""

from __future__ import annotations

from typing import Any

import pytest

from payments.api.parameters.groups import METHOD_TYPES
from payments.models import IdempotencyKey, Operation, PaymentIntent, PaymentMethod
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop

INTENTS = "/v1/payment_intents"
BACK = "https://shop.example/back"
DETAILS = {
    "billing_details": {"name": "Ada Lovelace", "tax_id": "DE129273398"},
    "metadata": {"kept": "yes"},
    "allow_redisplay": "limited",
}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def rows() -> list[int]:
    tables = (IdempotencyKey, Operation, PaymentIntent, PaymentMethod)
    return [table.objects.count() for table in tables]


def paid_with(api: ApiClient, data: Any, **more: Any) -> Reply:
    given = {"amount": 900, "currency": "eur", "confirm": True, "return_url": BACK, **more}
    return api.post(INTENTS, **given, payment_method_data=data)


def test_every_type_begins_a_payment_or_is_refused_by_its_name(api: ApiClient) -> None:
    begun = []
    for word in (*METHOD_TYPES, "cash"):
        before = rows()
        reply = paid_with(api, {"type": word, **DETAILS})
        if reply.status == 200:
            begun.append(word)
            assert reply.body["status"] == "requires_action"
            assert reply.body["next_action"]["redirect_to_url"]["return_url"] == BACK
            continue
        assert (reply.status, reply.error["param"]) == (400, "payment_method_data[type]"), word
        assert "ideal" in reply.error["message"], "it says what can be done instead"
        assert rows() == before, word
    assert begun == ["ideal"]


@pytest.mark.parametrize("when", ["create", "update", "confirm", "payment_methods"])
def test_a_bare_type_is_taken_wherever_a_method_is_made_and_its_details_are_kept(
    api: ApiClient, when: str
) -> None:
    data = {"type": "ideal", "ideal": {"bank": "ing"}, **DETAILS}
    if when == "payment_methods":
        method_id = api.post("/v1/payment_methods", **data).body["id"]
    elif when == "create":
        method_id = paid_with(api, data, payment_method_types=["card", "ideal"]).body[
            "payment_method"
        ]
    else:
        intent = api.post(INTENTS, amount=900, currency="eur").body
        path = f"{INTENTS}/{intent['id']}"
        more = {"return_url": BACK} if when == "confirm" else {}
        path += "/confirm" if when == "confirm" else ""
        method_id = api.post(path, **more, payment_method_data=data).body["payment_method"]
    method = api.get(f"/v1/payment_methods/{method_id}").body
    assert method["type"] == "ideal"
    shown = method["billing_details"]
    assert (shown["name"], shown["tax_id"]) == ("Ada Lovelace", "DE129273398")
    assert (method["metadata"], method["allow_redisplay"]) == ({"kept": "yes"}, "limited")


def test_what_a_method_says_of_showing_it_again_can_be_changed_and_filtered_by(
    api: ApiClient,
) -> None:
    method = api.post("/v1/payment_methods", type="ideal").body
    assert method["allow_redisplay"] == "unspecified"
    path = f"/v1/payment_methods/{method['id']}"
    assert api.post(path, allow_redisplay="always").body["allow_redisplay"] == "always"
    found = {
        word: len(api.get("/v1/payment_methods", allow_redisplay=word).body["data"])
        for word in ("always", "limited")
    }
    assert found == {"always": 1, "limited": 0}


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"type": "ideal", "card": {"token": "tok_visa"}}, "[card]"),
        ({"type": "sepa_debit", "sepa_debit": {"iban": "DE89370400440532013000"}}, "[iban]"),
        ({"type": "us_bank_account", "us_bank_account": {"account_number": "1"}}, "_number]"),
        ({"type": "klarna", "klarna": {"dob": {"year": 1990}}}, "[type]"),
        ({"type": "klarna", "klarna": {"token": "tok_visa"}}, "[type]"),
        ({"type": "klarna", "klarna": {"number": 1, "card_number": "4242424242424242"}}, "mber]"),
        ({"type": "card", "card": {"number": "4242424242424242"}}, "[card][number]"),
    ],
)
def test_details_that_cannot_be_taken_are_refused_and_not_repeated(
    api: ApiClient, data: dict[str, Any], param: str
) -> None:
    before = rows()
    reply = paid_with(api, data)
    assert reply.status == 400, reply.body
    assert reply.error["param"].endswith(param)
    assert "4242" not in reply.response.content.decode()
    assert "DE89" not in reply.response.content.decode()
    assert rows() == before


def test_a_bare_type_is_held_to_what_the_payment_allows(api: ApiClient) -> None:
    bare = {"type": "ideal"}
    by_type = paid_with(api, bare, payment_method_types=["card"])
    assert by_type.error["code"] == "payment_intent_incompatible_payment_method"
    held = paid_with(api, bare, capture_method="manual")
    assert held.error["param"] == "capture_method"
    assert not Operation.objects.exists()
