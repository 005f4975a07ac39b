"""Lists, filters, expansion, events and the balance over the merchant API."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.api.authentication import forget_cached_keys
from payments.models import Event
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.shop import Shop

ADA = {
    "name": "Ada",
    "email": "ada@example.com",
    "address": {"line1": "1 Main St", "city": "Rome", "country": "IT"},
    "metadata": {"tier": "gold"},
}


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def types_of(object_id: str) -> list[str]:
    events = Event.objects.filter(payload__object__id=object_id).order_by("seq")
    return list(events.values_list("type", flat=True))


def ids(reply: Reply) -> list[str]:
    return [row["id"] for row in reply.body["data"]]


# --- lists ------------------------------------------------------------------------------------


def test_pages_go_through_a_list_in_both_directions(api: ApiClient) -> None:
    made = [api.post("/v1/customers", name=str(n)).body["id"] for n in range(5)][::-1]
    first = api.get("/v1/customers", limit=2)
    assert (ids(first), first.body["has_more"]) == (made[:2], True)
    assert first.body["url"] == "/v1/customers"
    second = api.get("/v1/customers", limit=2, starting_after=made[1])
    last = api.get("/v1/customers", limit=2, starting_after=made[3])
    assert (ids(second), second.body["has_more"]) == (made[2:4], True)
    assert (ids(last), last.body["has_more"]) == (made[4:], False)
    back = api.get("/v1/customers", limit=2, ending_before=made[3])
    assert (ids(back), back.body["has_more"]) == (made[1:3], True)
    newest = api.get("/v1/customers", limit=2, ending_before=made[2])
    assert (ids(newest), newest.body["has_more"]) == (made[:2], False)
    exact = api.get("/v1/customers", limit=5)
    assert (len(ids(exact)), exact.body["has_more"]) == (5, False)


@pytest.mark.parametrize(
    "path",
    [
        "payment_intents",
        "charges",
        "refunds",
        "customers",
        "payment_methods",
        "events",
        "balance_transactions",
    ],
)
def test_every_list_answers_empty_and_refuses_an_unknown_cursor(api: ApiClient, path: str) -> None:
    empty = api.get(f"/v1/{path}").body
    assert empty == {"object": "list", "url": f"/v1/{path}", "has_more": False, "data": []}
    prefix = {
        "payment_intents": "pi",
        "charges": "ch",
        "refunds": "re",
        "customers": "cus",
        "payment_methods": "pm",
        "events": "evt",
        "balance_transactions": "txn",
    }[path]
    for cursor in ("starting_after", "ending_before"):
        reply = api.get(f"/v1/{path}", **{cursor: f"{prefix}_{'A' * 22}"})
        assert (reply.status, reply.error["param"]) == (400, cursor)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("payment_intents", "customer", "cus_" + "A" * 22),
        ("charges", "payment_intent", "pi_" + "A" * 22),
        ("charges", "customer", "cus_" + "A" * 22),
        ("refunds", "charge", "ch_" + "A" * 22),
        ("refunds", "payment_intent", "pi_short"),
        ("payment_methods", "customer", "cus_" + "A" * 22),
    ],
)
def test_a_filter_that_names_nothing_is_refused(
    api: ApiClient, path: str, name: str, value: str
) -> None:
    reply = api.get(f"/v1/{path}", **{name: value})
    assert (reply.status, reply.error["param"]) == (400, name)


def test_lists_are_filtered_by_creation(api: ApiClient) -> None:
    created = api.post("/v1/customers").body["created"]
    here = [{"created": created}, {"created": {"gte": created, "lt": created + 1}}]
    gone = [{"created": {"gt": created}}, {"created": {"lt": created}}, {"created": 0}]
    assert [len(ids(api.get("/v1/customers", **params))) for params in here] == [1, 1]
    assert [len(ids(api.get("/v1/customers", **params))) for params in gone] == [0, 0, 0]


def test_customers_are_found_by_their_email_address(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers", email="Ada@example.com").body["id"]
    api.post("/v1/customers", email="bob@example.com")
    assert ids(api.get("/v1/customers", email="ada@example.com")) == [customer_id]


def queries_of(api: ApiClient, path: str, **params: Any) -> int:
    forget_cached_keys()  # or the clock decides whether the key is looked up
    with CaptureQueriesContext(connection) as captured:
        reply = api.get(path, **params)
    assert reply.status == 200, reply.body
    return len(captured)


@pytest.mark.parametrize(
    ("path", "expand"),
    [
        ("payment_intents", ["data.latest_charge.balance_transaction", "data.payment_method"]),
        ("charges", ["data.refunds", "data.payment_intent.customer", "data.balance_transaction"]),
        ("refunds", ["data.charge.payment_intent", "data.balance_transaction"]),
        ("balance_transactions", ["data.source"]),
        ("events", []),
    ],
)
def test_a_longer_page_costs_no_more_queries(api: ApiClient, path: str, expand: list[str]) -> None:
    def sell() -> None:
        api.post("/v1/refunds", payment_intent=api.pay()["id"], amount=100)

    sell()
    short = queries_of(api, f"/v1/{path}", expand=expand)
    for _ in range(3):
        sell()
    assert len(ids(api.get(f"/v1/{path}"))) > 2
    assert queries_of(api, f"/v1/{path}", expand=expand) == short


# --- expansion --------------------------------------------------------------------------------


def test_expanded_lists_show_whole_objects(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers", name="Ada").body["id"]
    intent = api.pay(customer=customer_id)
    refund = api.post(
        "/v1/refunds",
        payment_intent=intent["id"],
        amount=400,
        expand=["charge.payment_intent", "charge.refunds", "balance_transaction"],
    ).body
    assert refund["charge"]["payment_intent"]["id"] == intent["id"]
    assert [r["status"] for r in refund["charge"]["refunds"]["data"]] == ["succeeded"]
    assert refund["charge"]["amount_refunded"] == 400
    assert refund["balance_transaction"]["amount"] == -400

    page = api.get("/v1/payment_intents", expand=["data.customer", "data.latest_charge.refunds"])
    row = page.body["data"][0]
    assert row["customer"]["name"] == "Ada"
    assert [r["id"] for r in row["latest_charge"]["refunds"]["data"]] == [refund["id"]]


def test_the_charge_of_a_capture_expands_as_it_is_after_it(api: ApiClient) -> None:
    intent = api.pay(capture_method="manual")
    captured = api.post(
        f"/v1/payment_intents/{intent['id']}/capture",
        amount_to_capture=700,
        expand=["latest_charge.balance_transaction"],
    ).body
    charge = captured["latest_charge"]
    assert (charge["captured"], charge["amount_captured"]) == (True, 700)
    assert charge["balance_transaction"]["amount"] == 700


def test_a_deleted_customer_expands_to_its_stub(api: ApiClient) -> None:
    customer_id = api.post("/v1/customers").body["id"]
    intent = api.pay(customer=customer_id)
    api.delete(f"/v1/customers/{customer_id}")
    shown = api.get(f"/v1/payment_intents/{intent['id']}", expand=["customer"]).body
    assert shown["customer"] == {"id": customer_id, "object": "customer", "deleted": True}


# --- events and balance -----------------------------------------------------------------------


def test_events_show_every_change_and_the_request_behind_it(api: ApiClient) -> None:
    reply = api.post(
        "/v1/payment_intents",
        key="k-1",
        headers={"Stripe-Version": "2024-06-20"},
        amount=900,
        currency="usd",
        payment_method="pm_card_visa",
        confirm=True,
    )
    events = api.get("/v1/events").body["data"]
    assert [event["type"] for event in events] == [
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_intent.created",
    ]
    assert {event["api_version"] for event in events} == {"2024-06-20"}
    asked = {"id": reply.header("Request-Id"), "idempotency_key": "k-1"}
    assert all(event["request"] == asked for event in events)
    assert events[0]["data"]["object"]["id"] == reply.body["id"]
    assert api.get(f"/v1/events/{events[0]['id']}").body == events[0]


def test_events_are_filtered_by_type(api: ApiClient) -> None:
    api.pay()

    def types(**params: Any) -> set[str]:
        return {event["type"] for event in api.get("/v1/events", **params).body["data"]}

    assert types(type="charge.succeeded") == {"charge.succeeded"}
    assert types(type="payment_intent.*") == {"payment_intent.created", "payment_intent.succeeded"}
    assert types(type="charge.*") == types(types=["charge.succeeded", "charge.failed"])
    assert len(types(type="*")) == 3
    assert api.get("/v1/events", type="a.b", types=["a.b"]).error["code"] == "parameters_exclusive"


def test_the_nets_of_balance_transactions_add_up_to_the_balance(shop: Shop, api: ApiClient) -> None:
    shop.merchant.platform_fee_basis_points = 250
    shop.merchant.save()
    euro = api.pay(10_000, currency="eur")
    api.post("/v1/refunds", payment_intent=euro["id"], amount=4_000)
    yen = api.pay(5_000, currency="jpy", capture_method="manual")
    api.post(f"/v1/payment_intents/{yen['id']}/capture", amount_to_capture=2_000)

    rows = api.get("/v1/balance_transactions").body["data"]
    assert [(r["type"], r["amount"], r["fee"], r["net"], r["currency"]) for r in rows] == [
        ("charge", 2_000, 50, 1_950, "jpy"),
        ("refund", -4_000, 0, -4_000, "eur"),
        ("charge", 10_000, 250, 9_750, "eur"),
    ]
    pending = api.get("/v1/balance").body["pending"]
    assert [(p["currency"], p["amount"]) for p in pending] == [("eur", 5_750), ("jpy", 1_950)]
    assert rows[0]["source"] == yen["latest_charge"]
    charge = api.get(f"/v1/charges/{euro['latest_charge']}").body
    assert charge["balance_transaction"] == rows[2]["id"]
    assert api.get(f"/v1/balance_transactions/{rows[2]['id']}").body == rows[2]

    by_charge = api.get("/v1/balance_transactions", source=charge["id"])
    assert ids(by_charge) == [rows[2]["id"]]
    assert ids(api.get("/v1/balance_transactions", source=rows[1]["source"])) == [rows[1]["id"]]
    assert ids(api.get("/v1/balance_transactions", type="refund")) == [rows[1]["id"]]
    assert ids(api.get("/v1/balance_transactions", currency="jpy")) == [rows[0]["id"]]
    assert ids(api.get("/v1/balance_transactions", limit=1, starting_after=rows[0]["id"])) == [
        rows[1]["id"]
    ]


def test_balances_of_merchants_are_their_own(other_shop: Shop, api: ApiClient) -> None:
    api_of(other_shop).pay()
    assert api.get("/v1/balance").body["pending"] == []
    assert api.get("/v1/balance_transactions").body["data"] == []
    foreign = api_of(other_shop).get("/v1/balance_transactions").body["data"][0]["id"]
    assert api.get(f"/v1/balance_transactions/{foreign}").status == 404


def test_payments_of_one_order_are_listed(api: ApiClient, other_shop: Shop) -> None:
    wanted = [api.post("/v1/payment_intents", **order("o-1")).body["id"] for _ in range(3)]
    api.post("/v1/payment_intents", **order("o-2"))
    api_of(other_shop).post("/v1/payment_intents", **order("o-1"))
    page = api.get("/v1/payment_intents", metadata={"order_id": "o-1"}, limit=2).body
    rest = api.get(
        "/v1/payment_intents",
        metadata={"order_id": "o-1"},
        starting_after=page["data"][-1]["id"],
    ).body
    assert [row["id"] for row in page["data"] + rest["data"]] == wanted[::-1]
    assert (page["has_more"], rest["has_more"]) == (True, False)
    assert api.get("/v1/payment_intents", metadata={"color": "red"}).status == 400


def order(order_id: str) -> dict[str, Any]:
    return {"amount": 900, "currency": "usd", "metadata": {"order_id": order_id}}
