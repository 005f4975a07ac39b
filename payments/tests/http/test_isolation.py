"""Objects of another merchant do not exist, on any route and in any parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from payments.api.parameters import PublicId
from payments.services.commands.operators import merchants
from payments.tests.http.sdk.test_disputes import dispute
from payments.tests.http.sdk.test_python import ACCEPTED
from payments.tests.http.support import examples
from payments.tests.http.support.checkout import open_session, session_line
from payments.tests.http.support.routes import PREFIXES, ROUTES, Route
from payments.tests.http.support.storefront import Storefront, Tables, new_order, unknown_id
from payments.tests.http.support.wire import Reply
from payments.tests.support.factories import TESTS

WITH_ID = {str(route): route for route in ROUTES if route.has_id}
REFERENCES = {
    f"{route} {name}": (route, name)
    for route in ROUTES
    for name, kind in route.parameters.declared.items()
    if isinstance(kind, PublicId)
}
MONEY_ROUTES = {
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/{public_id}/confirm",
    "POST /v1/payment_intents/{public_id}/capture",
    "POST /v1/payment_intents/{public_id}/cancel",
    "POST /v1/payment_intents/{public_id}/increment_authorization",
    "POST /v1/charges/{public_id}/capture",
    "POST /v1/checkout/sessions/{public_id}/expire",
    "POST /v1/refunds",
    "POST /v1/disputes/{public_id}",
    "POST /v1/disputes/{public_id}/close",
}


@dataclass(frozen=True)
class Belongings:
    """One id of everything that a merchant can have, by prefix."""

    ids: dict[str, str]
    open_id: str
    """A payment intent that was not charged."""


def belongings_of(storefront: Storefront) -> Belongings:
    api = storefront.stripe.v1
    customer = api.customers.create({"name": "Ann Lee"})
    method = api.payment_methods.attach("pm_card_visa", {"customer": customer.id})
    paid = storefront.pay(customer=customer.id, payment_method=method.id)
    refund = api.refunds.create({"payment_intent": paid.id, "amount": 100})
    kept = api.setup_intents.create(
        {"payment_method": method.id, "customer": customer.id, "confirm": True}
    )
    debited = api.setup_intents.create(
        {"payment_method": "pm_sepaDebit_success", "confirm": True, "mandate_data": ACCEPTED}
    )
    endpoint = api.webhook_endpoints.create(
        {"url": "https://hooks.example.com/", "enabled_events": ["*"]}
    )
    return Belongings(
        {
            "pi": paid.id,
            "ch": str(paid.latest_charge),
            "re": refund.id,
            "cus": customer.id,
            "pm": method.id,
            "evt": api.events.list().data[0].id,
            "txn": str(refund.balance_transaction),
            "we": endpoint.id,
            "acct": storefront.merchant.public_id,
            "dp": dispute(storefront, inquiry=True),
            "uli": _line_of(storefront),
            "seti": api.setup_intents.create().id,
            "setatt": str(kept.latest_attempt),
            "mandate": str(debited.mandate),
            **_checkout_of(storefront),
        },
        storefront.stripe.v1.payment_intents.create({"amount": 1_000, "currency": "usd"}).id,
    )


def _line_of(storefront: Storefront) -> str:
    """The id of a line of a payment's amount."""
    line = {"product_name": "Two books", "quantity": 2, "unit_cost": 500}
    intent = storefront.stripe.v1.payment_intents.create(
        {
            "amount": 1_000,
            "currency": "usd",
            "amount_details": {"line_items": [line]},
            "expand": ["amount_details.line_items"],
        }
    )
    return str(intent.to_dict()["amount_details"]["line_items"]["data"][0]["id"])


def _checkout_of(storefront: Storefront) -> dict[str, str]:
    """A session, one of its lines, and a payment link."""
    session = open_session(storefront)
    line = session_line(storefront, session.id)
    price = {"currency": "usd", "product_data": {"name": "A book"}, "unit_amount": 625}
    link = storefront.stripe.v1.payment_links.create(
        {"line_items": [{"price_data": price, "quantity": 1}]}
    )
    return {"cs": session.id, "li": line, "plink": link.id}


@dataclass(frozen=True)
class Neighbors:
    """Two merchants who have one of everything. What is refused changes none of it."""

    storefront: Storefront
    mine: Belongings
    other_storefront: Storefront
    theirs: Belongings


@pytest.fixture(scope="module")
def made() -> list[Neighbors]:
    """Where the first test leaves them for the next."""
    return []


@pytest.fixture
def neighbors(made: list[Neighbors], open_storefront: Callable[..., Storefront]) -> Neighbors:
    if not made:
        first, second = open_storefront(), open_storefront()
        made.append(Neighbors(first, belongings_of(first), second, belongings_of(second)))
    return made[0]


@pytest.mark.parametrize("name", WITH_ID)
def test_a_foreign_id_in_the_address_is_as_unknown_as_any(
    neighbors: Neighbors, tables: Tables, name: str
) -> None:
    storefront, other_storefront = neighbors.storefront, neighbors.other_storefront
    route, theirs = WITH_ID[name], neighbors.theirs
    prefix = PREFIXES[route.resource]
    parameters = required(route, neighbors.mine)
    effects, before = other_storefront.effects(), tables.rows()

    foreign = send(storefront, route, parameters, theirs.ids[prefix])
    unknown_one = unknown_id(prefix)
    unknown = send(storefront, route, parameters, unknown_one)

    assert (foreign.status, foreign.error["code"]) == (404, "resource_missing")
    assert unknown.status == 404
    assert foreign.body.replace(theirs.ids[prefix].encode(), b"") == unknown.body.replace(
        unknown_one.encode(), b""
    )
    assert tables.rows() == before
    assert other_storefront.effects() == effects


@pytest.mark.parametrize("name", REFERENCES)
def test_a_foreign_id_in_a_parameter_is_as_unknown_as_any(
    neighbors: Neighbors, tables: Tables, name: str
) -> None:
    storefront, other_storefront = neighbors.storefront, neighbors.other_storefront
    (route, parameter), theirs = REFERENCES[name], neighbors.theirs
    kind = route.parameters.declared[parameter]
    assert isinstance(kind, PublicId)
    mine = neighbors.mine
    parameters, own_id = required(route, mine), ""
    if parameter == "mandate":
        parameters["payment_method"] = (
            "pm_sepaDebit_success"  # It is looked for among its mandates.
        )
    if route.has_id:
        own_id = {**mine.ids, "pi": mine.open_id}[PREFIXES[route.resource]]
    effects, before = other_storefront.effects(), tables.rows()
    for prefix in (each.rstrip("_") for each in kind.prefixes):
        foreign_id, unknown_one = theirs.ids[prefix], unknown_id(prefix)
        foreign = send(storefront, route, {**parameters, parameter: foreign_id}, own_id)
        unknown = send(storefront, route, {**parameters, parameter: unknown_one}, own_id)
        assert foreign.status == unknown.status
        assert foreign.body.replace(foreign_id.encode(), b"") == unknown.body.replace(
            unknown_one.encode(), b""
        )
        if foreign.status == 200:
            assert (route.method, foreign.json["data"]) == ("GET", [])
        else:
            assert (foreign.status, foreign.error["code"]) == (400, "resource_missing")
    assert tables.rows() == before
    assert other_storefront.effects() == effects


def test_lists_show_only_the_merchants_own_objects(
    storefront: Storefront, other_storefront: Storefront
) -> None:
    belongings_of(other_storefront)
    for route in ROUTES:
        if "limit" in route.parameters.declared and not route.has_id:
            declared = route.parameters.declared
            given = {k: examples.allowed(declared[k].schema()) for k in route.parameters.required}
            reply = storefront.wire.get(route.path(), **given)
            if any(isinstance(declared[name], PublicId) for name in given):
                assert reply.error["code"] == "resource_missing", str(route)
            else:
                assert reply.json["data"] == [], str(route)
    assert storefront.wire.get("/v1/balance").json["pending"] == []


def test_a_key_of_the_other_mode_sees_nothing(storefront: Storefront) -> None:
    mine = belongings_of(storefront)
    _, live_key = merchants.issue_api_key(merchant=storefront.merchant, livemode=True, author=TESTS)
    live = Storefront(storefront.server, storefront.psp, storefront.merchant, live_key)
    for route in ROUTES:
        # An account is the same in both modes.
        if route.method == "GET" and route.has_id and route.resource != "accounts":
            reply = send(live, route, {}, mine.ids[PREFIXES[route.resource]])
            assert reply.status == 404, str(route)


def test_every_route_that_moves_money_requires_an_idempotency_key(
    storefront: Storefront, tables: Tables
) -> None:
    assert {str(route) for route in ROUTES if route.moves_money} == MONEY_ROUTES
    mine = belongings_of(storefront)
    effects, before = storefront.effects(), tables.rows()
    for route in ROUTES:
        if route.moves_money:
            path = route.path(mine.ids[PREFIXES[route.resource]])
            refused = storefront.wire.post(path, required(route, mine))
            assert refused.refusal[:2] == (400, "idempotency_key_required"), str(route)
    assert tables.rows() == before
    assert storefront.effects() == effects


def required(route: Route, mine: Belongings) -> dict[str, Any]:
    """The least that the route takes, with ids of the merchant's own."""
    if route.template == "/v1/payment_intents" and route.method == "POST":
        return {"amount": 1_000, "currency": "usd", "confirm": True}
    if route.template == "/v1/checkout/sessions" and route.method == "POST":
        return {"amount": 1_000, "currency": "usd", "success_url": "https://shop.example/"}
    given = {}
    for name in route.parameters.required:
        kind = route.parameters.declared[name]
        if isinstance(kind, PublicId):
            given[name] = mine.ids[kind.prefixes[0].rstrip("_")]
        else:
            given[name] = examples.allowed(kind.own_schema())
    return given


def send(storefront: Storefront, route: Route, parameters: dict[str, Any], public_id: str) -> Reply:
    path = route.path(public_id)
    if route.method == "POST":
        return storefront.wire.post(path, parameters, key=new_order())
    if route.method == "DELETE":
        return storefront.wire.delete(path)
    return storefront.wire.get(path, **parameters)
