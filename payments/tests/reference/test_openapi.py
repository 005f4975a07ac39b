"""The OpenAPI schema of a request matches its validator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.validation import validate_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from payments.api import openapi
from payments.api.decoding import FORM, JSON
from payments.api.openapi import body_schema, query_parameters, request_body
from payments.api.views.payment_intent_parameters import CREATE_PAYMENT_INTENT, LIST_PAYMENT_INTENTS
from payments.api.views.refunds import CREATE_REFUND
from payments.tests.api.test_requests import declarations


class PaymentIntents(APIView):
    """An endpoint documented from its declarations."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(
        operation_id="create",
        request=request_body(CREATE_PAYMENT_INTENT),
        responses={200: None},
    )
    def post(self, request: Request) -> Response:
        raise NotImplementedError

    @extend_schema(
        operation_id="list",
        parameters=query_parameters(LIST_PAYMENT_INTENTS),
        responses={200: None},
    )
    def get(self, request: Request) -> Response:
        raise NotImplementedError


def document() -> dict[str, Any]:
    generator = SchemaGenerator(patterns=[path("v1/payment_intents", PaymentIntents.as_view())])
    return generator.get_schema(request=None, public=True)


def test_the_document_is_valid_openapi() -> None:
    validate_schema(document())


def test_a_body_is_documented_as_form_and_as_json() -> None:
    content = document()["paths"]["/v1/payment_intents"]["post"]["requestBody"]["content"]
    assert set(content) == {FORM, JSON}
    assert content[FORM]["schema"] == content[JSON]["schema"]
    schema = content[JSON]["schema"]
    assert schema["required"] == ["amount", "currency"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["amount"]["minimum"] == 1
    assert content[FORM]["encoding"]["metadata"] == {"style": "deepObject", "explode": True}


def test_the_query_of_a_list_is_documented() -> None:
    parameters = document()["paths"]["/v1/payment_intents"]["get"]["parameters"]
    by_name = {parameter["name"]: parameter for parameter in parameters}
    assert set(by_name) == {
        name for name, kind in LIST_PAYMENT_INTENTS.declared.items() if kind.documented
    }
    assert by_name["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert by_name["created"]["style"] == "deepObject"


def test_groups_are_documented() -> None:
    assert {"not": {"required": ["automatic_payment_methods", "payment_method_types"]}} in (
        body_schema(CREATE_PAYMENT_INTENT)["allOf"]
    )
    assert body_schema(CREATE_REFUND)["allOf"] == [
        {"anyOf": [{"required": ["payment_intent"]}, {"required": ["charge"]}]}
    ]


@pytest.mark.parametrize("name", sorted(declarations()))
def test_only_supported_parameters_are_documented(name: str) -> None:
    declared = declarations()[name]
    honored = {key for key, kind in declared.declared.items() if kind.documented}
    assert set(body_schema(declared)["properties"]) == honored
    assert {parameter.name for parameter in query_parameters(declared)} == honored


def test_threads_that_ask_at_once_for_the_first_document_get_the_same() -> None:
    openapi._document.cache_clear()
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda _: openapi.document(), range(2))
    assert first is second
