"""Searches over the merchant API: every field, pages, refusals, scope."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, Final

import psycopg
import pytest

from payments.models import Operation, PaymentIntent
from payments.objects.charge import charge_object
from payments.objects.payment_intent import public_status
from payments.selectors import search, search_reading
from payments.selectors.scope import Scope
from payments.selectors.search_conditions import condition_of
from payments.selectors.search_fields import CHARGE_FIELDS, INTENT_FIELDS
from payments.selectors.search_query import Clause
from payments.services.commands.operators.merchants import issue_api_key
from payments.states import IntentStatus, OperationStatus
from payments.tests.support.api_client import ApiClient, Reply, api_of
from payments.tests.support.factories import TESTS
from payments.tests.support.shop import Shop, uuid_of

INTENTS: Final = "/v1/payment_intents/search"
CHARGES: Final = "/v1/charges/search"
CUSTOMERS: Final = "/v1/customers/search"

Matches = Callable[[dict[str, Any]], bool]


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


def ids(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [row["id"] for row in reply.body["data"]]


def day_of_a_shop(api: ApiClient) -> tuple[str, int]:
    """Payments and charges of many kinds; a customer's id and the first second."""
    ada = api.post("/v1/customers", name="Ada").body["id"]
    paid = api.pay(5_000, customer=ada, metadata={"order_id": "A-1", "Tier": "Gold"})
    held = api.pay(7_000, capture_method="manual", metadata={"order_id": "B/2"})
    api.pay(7_000, capture_method="manual", currency="eur")
    api.post("/v1/refunds", payment_intent=api.pay(3_000)["id"])
    api.post("/v1/refunds", payment_intent=api.pay(3_000)["id"], amount=100)
    api.post(f"/v1/payment_intents/{held['id']}/cancel")
    api.post("/v1/payment_intents", amount=900, currency="usd", customer=ada)
    declined = api.post(
        "/v1/payment_intents",
        amount=1_000,
        currency="jpy",
        payment_method="pm_card_chargeDeclined",
        confirm="true",
        metadata={"note": 'say "hi" \\ 50%_'},
    ).error["payment_intent"]["id"]
    api.post(f"/v1/payment_intents/{declined}", amount=1_200)
    api.post("/v1/payment_intents", amount=901, currency="usd", payment_method="pm_card_visa")
    api.pay(payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/")
    api.pay(payment_method="pm_card_mastercard", metadata={"order_id": "C"})
    return ada, int(paid["created"])


def test_each_search_finds_exactly_the_objects_that_show_it(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_reading, "NEWEST_MAX", 1)  # An index leads wherever one can.
    ada, first = day_of_a_shop(api)

    def metadata(key: str) -> Callable[[dict[str, Any]], str | None]:
        return lambda row: row["metadata"].get(key)

    shared: list[tuple[str, Matches]] = [
        ("amount:7000", lambda row: row["amount"] == 7_000),
        ("amount>3000 amount<=7000", lambda row: 3_000 < row["amount"] <= 7_000),
        ("amount:1000", lambda row: row["amount"] == 1_000),
        ("amount:1200", lambda row: row["amount"] == 1_200),
        ('amount:7000 -currency:"usd"', lambda row: row["currency"] == "eur"),
        ('currency:"EUR"', lambda row: row["currency"] == "eur"),
        (f'customer:"{ada}"', lambda row: row["customer"] == ada),
        ("customer:null", lambda row: row["customer"] is None),
        ('customer:"cus_nothing"', lambda row: False),
        (f"created>={first}", lambda row: row["created"] >= first),
        ('metadata["order_id"]:"a-1"', lambda row: metadata("order_id")(row) == "A-1"),
        ('-metadata["order_id"]:"A-1"', lambda row: metadata("order_id")(row) != "A-1"),
        ('metadata["tier"]:null', lambda row: metadata("Tier")(row) is None),
        ('-metadata["order_id"]:null', lambda row: metadata("order_id")(row) is not None),
        (
            r"""metadata["note"]:"say \"hi\" \\ 50%_" """,
            lambda row: "hi" in (metadata("note")(row) or ""),
        ),
        (
            'amount:7000 OR metadata["order_id"]:"A-1" OR currency:"jpy"',
            lambda row: (
                row["amount"] == 7_000
                or metadata("order_id")(row) == "A-1"
                or row["currency"] == "jpy"
            ),
        ),
    ]
    intents = [
        *("requires_payment_method", "requires_confirmation", "requires_action"),
        *("requires_capture", "processing", "succeeded", "canceled"),
    ]
    charges = [
        *statuses("succeeded", "pending", "failed"),
        ('refunded:"true"', lambda row: row["refunded"]),
        ("refunded:false", lambda row: not row["refunded"]),
        ("disputed:true", lambda row: row["disputed"]),
        ("-disputed:true", lambda row: not row["disputed"]),
        ("payment_method_details.card.last4:4444", lambda row: last4(row) == "4444"),
        ("-payment_method_details.card.last4:4444", lambda row: last4(row) != "4444"),
        ('payment_method_details.card.brand:"Visa"', lambda row: card(row)["brand"] == "visa"),
        ("payment_method_details.sepa_debit.last4:null", lambda row: True),
        ("billing_details.address.postal_code:null", lambda row: True),
    ]
    for few in (search_reading.LED_ROWS_MAX, 2):  # More are read in the order of an index.
        monkeypatch.setattr(search_reading, "LED_ROWS_MAX", few)
        walk(api, "/v1/payment_intents", [*shared, *statuses(*intents)])
        walk(api, "/v1/charges", [*shared, *charges])


def statuses(*names: str) -> list[tuple[str, Matches]]:
    return [(f'status:"{name}"', lambda row, name=name: row["status"] == name) for name in names]


def card(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = row["payment_method_details"]["card"]
    return found


def last4(row: dict[str, Any]) -> str:
    return str(card(row)["last4"])


def walk(api: ApiClient, path: str, searches: list[tuple[str, Matches]]) -> None:
    rows = api.get(path, limit=100).body["data"]
    seen = {True: 0, False: 0}
    for query, matches in searches:
        expected = [row["id"] for row in rows if matches(row)]
        assert ids(api.get(f"{path}/search", query=query, limit=100)) == expected, query
        seen[bool(expected)] += 1
    assert seen[True] > seen[False], "most of these searches find something"


def test_every_status_of_a_row_is_found_as_the_status_that_it_shows(
    shop: Shop, api: ApiClient
) -> None:
    paid = uuid_of(api.pay()["id"])
    intent, charge = PaymentIntent.objects.get(pk=paid), Operation.objects.get(intent_id=paid)
    scope = Scope(shop.merchant.id, livemode=False)
    for status, published in product(IntentStatus, ("", "succeeded", "canceled")):
        intent.__dict__["status"], intent.published_status = status, published
        clause = Clause(field="status", operator=":", value=public_status(intent))
        found = condition_of(INTENT_FIELDS, scope, clause).q.check(vars(intent))
        assert found, (status, published)
    for state in OperationStatus:
        charge.__dict__["status"] = state
        shown = charge_object(charge, intent)["status"]
        clause = Clause(field="status", operator=":", value=shown)
        assert condition_of(CHARGE_FIELDS, scope, clause).q.check(vars(charge)), state


def test_customers_are_found_by_what_is_written_about_them(api: ApiClient) -> None:
    ada = api.post(
        "/v1/customers",
        name="Ada Lovelace",
        email="Ada@Example.com",
        phone="+44 20 7946 0000",
        metadata={"tier": "gold"},
    ).body["id"]
    bob = api.post("/v1/customers", name="Bob 100%").body["id"]
    gone = api.post("/v1/customers", name="Ada Lovelace").body["id"]
    api.delete(f"/v1/customers/{gone}")
    for query, found in {
        'email:"ada@example.COM"': [ada],
        'email~"EXAMPLE"': [ada],
        "email:null": [bob],
        'name:"ada lovelace"': [ada],
        'name~"lovel"': [ada],
        'name~"0%"': "at least 3",
        'name~"00%"': [bob],
        'name~"_ovelace"': [],
        'phone~"7946"': [ada],
        '-name~"ada"': [bob],
        'metadata["tier"]:"gold" OR name~"bob"': [bob, ada],
        "created>0": [bob, ada],
    }.items():
        reply = api.get(CUSTOMERS, query=query)
        if isinstance(found, str):
            assert (reply.status, found in reply.error["message"]) == (400, True), query
        else:
            assert ids(reply) == found, query


def test_pages_of_a_search_go_on_where_the_last_one_ended(api: ApiClient) -> None:
    made = [api.post("/v1/customers", name=f"Ann {n}").body["id"] for n in range(5)][::-1]
    first = api.get(CUSTOMERS, query='name~"ann"', limit=2, expand=["total_count"])
    assert first.body == {
        "object": "search_result",
        "url": CUSTOMERS,
        "has_more": True,
        "data": first.body["data"],
        "next_page": first.body["next_page"],
        "total_count": 5,
    }
    api.post("/v1/customers", name="Ann, who is newer")
    second = api.get(CUSTOMERS, query='name~"ann"', limit=2, page=first.body["next_page"])
    third = api.get(CUSTOMERS, query='name~"ann"', limit=2, page=second.body["next_page"])
    assert [ids(page) for page in (first, second, third)] == [made[:2], made[2:4], made[4:]]
    assert (third.body["has_more"], third.body["next_page"]) == (False, None)
    assert "total_count" not in third.body


@pytest.mark.parametrize(
    ("path", "query", "says"),
    [
        (INTENTS, 'state:"succeeded"', "There are: amount, created, currency, customer, metadata"),
        (CHARGES, 'payment_method_details.card.number:"4242"', "there is no field"),
        (CUSTOMERS, "amount:1", "There are: created, email, metadata, name, phone."),
        (INTENTS, 'status:"succeded"', "is one of requires_payment_method"),
        (INTENTS, 'status~"succ"', "takes the operators : and not ~"),
        (INTENTS, 'metadata["k"]>5', "takes the operators : and not >"),
        (INTENTS, 'amount~"100"', "takes the operators : > >= < <= and not ~"),
        (INTENTS, 'amount:"many"', "takes a whole number"),
        (INTENTS, "amount>-5", "takes a whole number"),
        (INTENTS, "amount:null", "always has a value"),
        (INTENTS, "created>null", "write null after a colon"),
        (CHARGES, 'disputed:"maybe"', "is one of true, false"),
        (INTENTS, 'a:"x" OR b:"y" AND c:"z"', "cannot be mixed"),
        (INTENTS, "status:succeeded", "double quotes"),
    ],
)
def test_a_wrong_search_is_refused_with_what_to_do(
    api: ApiClient, path: str, query: str, says: str
) -> None:
    refused = api.get(path, query=query)
    assert (refused.status, refused.error["code"]) == (400, "query_invalid")
    assert refused.error["param"] == "query"
    assert says in refused.error["message"]


def test_other_parameters_of_a_search_are_checked_too(api: ApiClient) -> None:
    card = "4242424242424242"
    for given, code, param in (
        ({}, "parameter_missing", "query"),
        ({"query": f'metadata["card"]:"{card}"'}, "card_data_not_allowed", "query"),
        ({"query": "created>0", "page": "page_nothing"}, "resource_missing", "page"),
        ({"query": "created>0", "page": "x"}, "parameter_invalid", "page"),
        ({"query": "created>0", "starting_after": "pi_x"}, "parameter_unknown", "starting_after"),
        ({"query": "created>0", "expand": ["total"]}, "parameter_invalid", "expand[0]"),
        ({"query": 'metadata["a\x1b"]:null'}, "parameter_invalid", "query"),
    ):
        refused = api.get(INTENTS, **given)
        assert (refused.status, refused.error["code"], refused.error["param"]) == (400, code, param)
    assert api.post(INTENTS, query="created>0").error["code"] == "unrecognized_url"


def test_a_search_finds_nothing_of_another_merchant_or_mode(
    shop: Shop, other_shop: Shop, api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_reading, "NEWEST_MAX", 1)
    theirs, same = api_of(other_shop), {"metadata": {"order_id": "1"}}
    mine = [api.pay(**same)["id"], api.post("/v1/customers", name="Ann", **same).body["id"]]
    theirs.pay(**same)
    theirs.post("/v1/customers", name="Ann", **same)
    _, live_key = issue_api_key(merchant=shop.merchant, livemode=True, author=TESTS)
    queries = ['metadata["order_id"]:"1"', "created>0", '-metadata["order_id"]:"2" OR created>0']
    for query in queries:
        assert ids(api.get(INTENTS, query=query)) == [mine[0]]
        assert ids(api.get(CUSTOMERS, query=query)) == [mine[1]]
        assert len(ids(api.get(CHARGES, query=query))) == 1
        for path in (INTENTS, CHARGES, CUSTOMERS):
            assert ids(ApiClient(live_key).get(path, query=query)) == []
    # A page that another merchant's search ended is a place in time, and nothing of theirs.
    page = "page_" + theirs.get(INTENTS, query="created>0").body["data"][0]["id"].partition("_")[2]
    assert ids(api.get(INTENTS, query="created>0", page=page)) == [mine[0]]


def test_a_search_that_no_index_leads_says_how_far_it_came(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden, query = {"metadata": {"tier": "gold"}}, '-metadata["tier"]:null'
    old, plain, new = (
        api.post("/v1/customers", name="Ann", **more).body for more in (golden, {}, golden)
    )
    monkeypatch.setattr(search_reading, "NEWEST_MAX", 1)
    whole = api.get(CUSTOMERS, query=query, expand=["total_count"])
    assert ids(whole) == [new["id"], old["id"]]
    assert (whole.body["has_more"], whole.body["total_count"]) == (False, 2)

    monkeypatch.setattr(search_reading, "READ_SECONDS", 0)
    part = api.get(CUSTOMERS, query=query)
    assert (ids(part), part.body["has_more"]) == ([new["id"]], True)
    refused = api.get(CUSTOMERS, query=query, page=part.body["next_page"])
    assert (refused.status, refused.error["code"]) == (400, "query_timeout")
    assert f"add created<={plain['created']}" in refused.error["message"]
    counted = api.get(CUSTOMERS, query=query, expand=["total_count"])
    assert counted.error["code"] == "query_timeout"


def test_a_search_that_takes_too_long_says_how_to_narrow_it(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch, owner_cursor: psycopg.Cursor[Any]
) -> None:
    monkeypatch.setattr(search, "SEARCH_SECONDS", 0.2)
    with owner_cursor.connection.transaction():
        owner_cursor.execute("LOCK TABLE payments_customer IN ACCESS EXCLUSIVE MODE")
        refused = api.get(CUSTOMERS, query="created>0")
    assert (refused.status, refused.error["code"]) == (400, "query_timeout")
    assert refused.error["param"] == "query"
    assert "Narrow it" in refused.error["message"]
