"""Declared parameters as OpenAPI, for drf-spectacular's `extend_schema`.

    @extend_schema(request=request_body(CREATE_PAYMENT_INTENT))
    @extend_schema(parameters=query_parameters(LIST_PAYMENT_INTENTS))

The documentation is generated from what the validator uses, so the two cannot differ.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiRequest

from payments.api.decoding import FORM, JSON
from payments.api.parameters import Parameters
from payments.api.parameters.structures import object_schema


def request_body(parameters: Parameters) -> dict[str, Any]:
    """The request of an endpoint with a body, once as a form and once as JSON."""
    schema = body_schema(parameters)
    encoding = {
        name: {"style": "deepObject", "explode": True}
        for name, member in schema["properties"].items()
        if _is_structured(member)
    }
    return {FORM: OpenApiRequest(request=schema, encoding=encoding), JSON: schema}


def body_schema(parameters: Parameters) -> dict[str, Any]:
    """The schema of a body: required names, exclusive groups, and no other properties."""
    schema = object_schema(parameters)
    rules: list[dict[str, Any]] = [
        {"not": {"required": [first, second]}}
        for group in parameters.exclusive
        for index, first in enumerate(group)
        for second in group[index + 1 :]
    ]
    rules += [
        {"anyOf": [{"required": [name]} for name in group]} for group in parameters.at_least_one
    ]
    return {**schema, "allOf": rules} if rules else schema


def query_parameters(parameters: Parameters) -> list[OpenApiParameter]:
    """The query parameters of an endpoint without a body."""
    return [
        OpenApiParameter(
            name=name,
            type=kind.own_schema(),
            location=OpenApiParameter.QUERY,
            required=kind.required,
            description=kind.description,
            style="deepObject" if _is_structured(kind.own_schema()) else None,
            explode=True if _is_structured(kind.own_schema()) else None,
        )
        for name, kind in parameters.declared.items()
        if kind.documented
    ]


def _is_structured(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("object", "array") or "oneOf" in schema
