"""/docs matches the server: the same routes and the same parameters."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from drf_spectacular.renderers import OpenApiJsonRenderer

from payments.api import openapi
from payments.api.parameters.structures import Unsupported
from payments.tests.http.support import examples
from payments.tests.http.support.routes import PREFIXES, ROUTES, Route
from payments.tests.http.support.servers import ApiServer
from payments.tests.http.support.storefront import Storefront, Tables, new_order, unknown_id
from payments.tests.http.support.wire import JSON, Reply, Wire

BY_NAME = {str(route): route for route in ROUTES}
POSTS = [name for name, route in BY_NAME.items() if route.method == "POST"]
LISTS = [name for name, route in BY_NAME.items() if "limit" in route.parameters.declared]


@pytest.fixture(scope="session")
def document(server: ApiServer) -> dict[str, Any]:
    """The OpenAPI document as the server gives it out."""
    reply = Wire(server.base_url).send("GET", "/docs/openapi.json")
    assert reply.status == 200
    found: dict[str, Any] = reply.json
    return found


def test_the_document_is_the_one_that_answers_are_held_to_and_people_can_read_it(
    server: ApiServer, document: dict[str, Any]
) -> None:
    assert document == json.loads(OpenApiJsonRenderer().render(openapi.document()))
    for path, text in {"/docs": b"/v1/payment_intents", "/docs/try": b"swagger"}.items():
        page = Wire(server.base_url).send("GET", path)
        assert page.status == 200
        assert text in page.body.lower()


def test_the_document_lists_exactly_the_routes_that_exist(document: dict[str, Any]) -> None:
    documented = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method in methods
    }
    assert documented == set(BY_NAME)
    assert len(documented) > 30


@pytest.mark.parametrize("name", BY_NAME)
def test_an_unknown_parameter_is_refused_everywhere(
    storefront: Storefront, tables: Tables, name: str
) -> None:
    before = tables.rows()
    refused = send(storefront, BY_NAME[name], {"surprise": "x"})
    assert refused.refusal == (400, "parameter_unknown", "surprise")
    assert tables.rows() == before


@pytest.mark.parametrize("name", POSTS)
def test_required_parameters_are_required(
    storefront: Storefront, tables: Tables, document: dict[str, Any], name: str
) -> None:
    schema, before = body_schema(document, name), tables.rows()
    whole = examples.minimal_object(schema)
    for missing in whole:
        rest = {key: value for key, value in whole.items() if key != missing}
        refused = send(storefront, BY_NAME[name], rest)
        assert refused.refusal[:2] == (400, "parameter_missing")
        assert refused.error["param"].startswith(missing)
    assert tables.rows() == before


FITTING: dict[str, Any] = {
    "payment_method_types": ["card"],
    "amount_details": {
        "line_items": [{"product_name": "Two books", "quantity": 2, "unit_cost": 500}]
    },
    "expires_at": int(time.time()) + 7_200,
    "mandate_data": {"customer_acceptance": {"type": "offline"}},
    "after_completion": {"type": "redirect", "redirect": {"url": "https://shop.example/"}},
    "level3": {
        "merchant_reference": "6735",
        "shipping_amount": 200,
        "line_items": [{"product_code": "B", "product_description": "Book", "unit_cost": 800}],
    },
}
"""Values that must fit to the payment of 1,000, which the schema cannot say."""
OF_A_TYPE: dict[str, dict[str, Any]] = {
    "card": {"card": {"token": "pm_card_visa"}},
    "ideal": {"ideal": {"bank": "ing"}},
    "sepa_debit": {"sepa_debit": {"token": "pm_sepaDebit_success"}},
    "us_bank_account": {"us_bank_account": {"token": "pm_bankDebit_success"}},
}


@pytest.mark.parametrize("name", POSTS)
def test_documented_values_are_accepted_and_others_refused(
    storefront: Storefront, document: dict[str, Any], name: str
) -> None:
    schema, route = body_schema(document, name), BY_NAME[name]
    whole = examples.minimal_object(schema)
    if route.template == "/v1/payment_intents":
        whole |= {"amount": 1_000, "payment_method": "pm_card_visa", "confirm": True}
    if route.template == "/v1/setup_intents":
        whole |= {"payment_method": "pm_card_visa", "confirm": True}
    if route.template == "/v1/payment_methods":
        whole["type"] = "ideal"
    for parameter, declared in schema["properties"].items():
        if parameter == "expand":
            continue
        others = {k: v for k, v in whole.items() if f"{k}_data" != parameter}
        given = fitting(parameter, schema["properties"])
        if (route.template, parameter) == ("/v1/checkout/sessions", "amount"):
            others = {"success_url": others["success_url"], "currency": "usd"}
        if parameter == "setup_intent_data":
            others = {"success_url": others["success_url"], "mode": "setup"}
        good = send(storefront, route, {**others, **given})
        assert good.status == 200 or good.error["code"] == "resource_missing", (
            f"{parameter}: {good.body!r}"
        )
        bad = send(storefront, route, {**whole, parameter: examples.refused(declared)})
        assert bad.status == 400, f"{parameter}: {bad.body!r}"
        assert bad.error["param"].startswith(parameter)


@pytest.mark.parametrize("name", POSTS)
def test_an_unsupported_parameter_is_refused_with_the_alternative(
    storefront: Storefront, name: str
) -> None:
    route = BY_NAME[name]
    for parameter, kind in route.parameters.declared.items():
        if isinstance(kind, Unsupported):
            refused = send(storefront, route, {parameter: "x"})
            assert refused.refusal == (400, "parameter_unknown", parameter)
            assert kind.instead in refused.error["message"]


@pytest.mark.parametrize("name", LISTS)
def test_documented_filters_are_accepted(
    storefront: Storefront, document: dict[str, Any], name: str
) -> None:
    route = BY_NAME[name]
    operation = document["paths"][route.documented_path]["get"]
    declared = [p for p in operation["parameters"] if p["in"] == "query"]
    required = {p["name"]: examples.allowed(p["schema"]) for p in declared if p.get("required")}
    for parameter in declared:
        if parameter["name"] == "expand":
            continue
        given = {**required, parameter["name"]: examples.allowed(parameter["schema"])}
        reply = send(storefront, route, given)
        assert reply.status == 200 or reply.error["code"] == "resource_missing", given


def fitting(parameter: str, declared: dict[str, Any]) -> dict[str, Any]:
    """An allowed value, with the type that it belongs to."""
    if parameter in OF_A_TYPE and "type" in declared:
        return {"type": parameter, **OF_A_TYPE[parameter]}
    if parameter == "payment_method_data":
        return {parameter: {"type": "card", **OF_A_TYPE["card"]}}
    if parameter == "type":
        return {"type": "ideal"}
    return {parameter: FITTING.get(parameter) or examples.allowed(declared[parameter])}


def body_schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    route = BY_NAME[name]
    operation = document["paths"][route.documented_path]["post"]
    schema: dict[str, Any] = operation["requestBody"]["content"][JSON]["schema"]
    return schema


def send(storefront: Storefront, route: Route, parameters: dict[str, Any]) -> Reply:
    """The request with an id of nothing, where the address has one."""
    path = route.path(unknown_id(PREFIXES[route.resource])) if route.has_id else route.path()
    if route.method == "POST":
        return storefront.wire.post(path, parameters, key=new_order(), media_type=JSON)
    if route.method == "DELETE":
        query = "&".join(f"{key}={value}" for key, value in parameters.items())
        return storefront.wire.delete(f"{path}?{query}")
    return storefront.wire.get(path, **parameters)
