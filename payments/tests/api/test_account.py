"""A key reads its own account and its customers' methods, and no other."""

from __future__ import annotations

import pytest

from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.shop import Shop


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def test_a_key_reads_its_own_account_by_either_address(shop: Shop, api: ApiClient) -> None:
    own = api.get("/v1/account")
    assert own.status == 200
    assert (own.body["id"], own.body["object"]) == (shop.merchant.public_id, "account")
    assert own.body["charges_enabled"] is True
    assert own.body["settings"]["dashboard"]["display_name"] == shop.merchant.name
    assert api.get(f"/v1/accounts/{shop.merchant.public_id}").body == own.body


def test_another_account_is_missing(other_shop: Shop, api: ApiClient) -> None:
    reply = api.get(f"/v1/accounts/{other_shop.merchant.public_id}")
    assert (reply.status, reply.error["code"]) == (404, "resource_missing")


def test_a_method_is_read_as_its_customers(shop: Shop, api: ApiClient) -> None:
    customer = api.post("/v1/customers").body["id"]
    stranger = api.post("/v1/customers").body["id"]
    method = api.post("/v1/payment_methods/pm_card_visa/attach", customer=customer).body["id"]
    found = api.get(f"/v1/customers/{customer}/payment_methods/{method}")
    assert (found.status, found.body["id"]) == (200, method)
    reply = api.get(f"/v1/customers/{stranger}/payment_methods/{method}")
    assert (reply.status, reply.error["code"]) == (404, "resource_missing")
    unknown = api.get(f"/v1/customers/{customer}/payment_methods/pm_x")
    assert (unknown.status, unknown.error["code"]) == (404, "resource_missing")


def test_there_are_no_connected_accounts_and_no_sources_and_plugins_may_list_them(
    shop: Shop, other_shop: Shop, api: ApiClient
) -> None:
    customer = api.post("/v1/customers").body["id"]
    for url in ("/v1/accounts", f"/v1/customers/{customer}/sources"):
        reply = api.get(url, limit=100)
        assert (reply.status, reply.body) == (
            200,
            {"object": "list", "url": url, "has_more": False, "data": []},
        )
    assert api.get(f"/v1/customers/{customer}/sources", object="card").body["data"] == []
    cursor = api.get("/v1/accounts", starting_after=shop.merchant.public_id)
    assert (cursor.status, cursor.error["code"]) == (400, "resource_missing")
    unknown = api_of(other_shop).get(f"/v1/customers/{customer}/sources")
    assert (unknown.status, unknown.error["code"]) == (404, "resource_missing")
