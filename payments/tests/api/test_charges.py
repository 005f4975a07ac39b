"""Charges are captured and changed as their payment intents are."""

from __future__ import annotations

from typing import Any

import pytest

from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def held(api: ApiClient, shop: Shop | None = None) -> dict[str, Any]:
    """A hold of 100.00, of the shop's order if one is given."""
    metadata = {"order_id": shop.order_id} if shop is not None else {}
    return api.pay(10_000, capture_method="manual", metadata=metadata)


def test_a_charge_is_captured_in_part_and_shown(shop: Shop, api: ApiClient) -> None:
    intent = held(api, shop)
    charge_id = intent["latest_charge"]
    reply = api.post(
        f"/v1/charges/{charge_id}/capture", amount=4_000, expand=["balance_transaction"]
    )
    assert reply.status == 200
    shown = reply.body
    assert (shown["id"], shown["captured"], shown["amount_captured"]) == (charge_id, True, 4_000)
    assert shown["balance_transaction"]["amount"] == 4_000
    after = api.get(f"/v1/payment_intents/{intent['id']}").body
    assert (after["status"], after["amount_received"]) == ("succeeded", 4_000)
    assert [effect["kind"] for effect in shop.effects()] == ["authorize", "capture"]


def test_a_capture_under_the_same_key_is_made_once(shop: Shop, api: ApiClient) -> None:
    path = f"/v1/charges/{held(api, shop)['latest_charge']}/capture"
    first, again = api.post(path, key="one"), api.post(path, key="one")
    assert first.body == again.body
    assert len(shop.effects("capture")) == 1


def test_more_than_is_held_is_refused_and_nothing_is_captured(shop: Shop, api: ApiClient) -> None:
    reply = api.post(f"/v1/charges/{held(api, shop)['latest_charge']}/capture", amount=10_001)
    assert (reply.status, reply.error["code"]) == (400, "amount_too_large")
    assert reply.error["param"] == "amount"
    assert shop.effects("capture") == []


def test_a_charge_that_failed_is_not_captured_in_place_of_the_next(api: ApiClient) -> None:
    intent = api.post("/v1/payment_intents", amount=900, currency="usd").body
    path = f"/v1/payment_intents/{intent['id']}/confirm"
    declined = api.post(path, payment_method="pm_card_chargeDeclined")
    failed = declined.error["charge"]
    api.post(path, payment_method="pm_card_visa")
    reply = api.post(f"/v1/charges/{failed}/capture")
    assert (reply.status, reply.error["code"]) == (400, "charge_not_current")


def test_a_charge_of_another_merchant_is_missing(
    other_shop: Shop, api: ApiClient, shop: Shop
) -> None:
    charge = held(api, shop)["latest_charge"]
    for path in (f"/v1/charges/{charge}", f"/v1/charges/{charge}/capture"):
        assert api_of(other_shop).post(path).status == 404
    assert shop.effects("capture") == []


def test_details_are_changed_on_the_payment_and_shown_by_the_charge(api: ApiClient) -> None:
    intent = api.pay()
    reply = api.post(
        f"/v1/charges/{intent['latest_charge']}", description="two tickets", metadata={"seat": "4"}
    )
    assert (reply.body["object"], reply.body["description"]) == ("charge", "two tickets")
    after = api.get(f"/v1/payment_intents/{intent['id']}").body
    assert (after["description"], after["metadata"]["seat"]) == ("two tickets", "4")


@pytest.mark.parametrize(("manual", "status"), [(True, "available"), (False, "unavailable")])
def test_a_card_tells_what_may_still_be_done_with_it(
    api: ApiClient, manual: bool, status: str
) -> None:
    intent = held(api) if manual else api.pay()
    card = api.get(f"/v1/charges/{intent['latest_charge']}").body["payment_method_details"]["card"]
    assert card["multicapture"] == {"status": status}
    assert card["incremental_authorization"] == {"status": status}
    assert card["overcapture"] == {
        "status": "unavailable",
        "maximum_amount_capturable": 10_000,
    }


def test_fields_without_a_value_whose_types_are_not_nullable_are_absent(api: ApiClient) -> None:
    intent = api.pay()
    charge = api.get(f"/v1/charges/{intent['latest_charge']}").body
    assert not {"authorization_code", "presentment_details"} & charge.keys()
    assert "authorization_code" not in charge["payment_method_details"]["card"]
    assert not {"hooks", "payment_details", "presentment_details"} & intent.keys()
    customer = api.post("/v1/customers").body
    assert not {"business_name", "individual_name", "next_invoice_sequence"} & customer.keys()
    refund = api.post("/v1/refunds", payment_intent=intent["id"]).body
    assert (
        not {
            *("description", "next_action", "failure_reason", "pending_reason"),
            *("failure_balance_transaction", "destination_details", "instructions_email"),
            "presentment_details",
        }
        & refund.keys()
    )


def test_whatever_is_an_id_or_null_may_be_expanded(api: ApiClient) -> None:
    intent = api.pay(expand=["application", "review", "customer", "latest_charge.payment_method"])
    charge = intent["latest_charge"]
    assert charge["payment_method"]["object"] == "payment_method"
    assert intent["review"] is intent["customer"] is None
    shown = api.get(
        f"/v1/charges/{charge['id']}",
        expand=["failure_balance_transaction", "on_behalf_of", "dispute", "application_fee"],
    )
    assert (shown.status, shown.body["failure_balance_transaction"]) == (200, None)
    refund = api.post(
        "/v1/refunds",
        payment_intent=intent["id"],
        expand=["failure_balance_transaction", "transfer_reversal", "payment_method"],
    )
    assert (refund.status, refund.body["payment_method"]["object"]) == (200, "payment_method")
