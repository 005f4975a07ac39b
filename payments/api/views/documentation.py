"""Documents endpoints for drf-spectacular, from the parameters they validate with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)
from rest_framework import serializers

from payments.api.errors import API, CARD, IDEMPOTENCY, INVALID_REQUEST
from payments.api.openapi import query_parameters, request_body
from payments.api.parameters import Parameters
from payments.api.views.exchange import endpoint

Handler = TypeVar("Handler", bound=Callable[..., Any])

_ERROR: Final = inline_serializer(
    "Error",
    {
        "error": inline_serializer(
            "ErrorDetails",
            {
                "type": serializers.ChoiceField([API, CARD, IDEMPOTENCY, INVALID_REQUEST]),
                "message": serializers.CharField(),
                "code": serializers.CharField(required=False),
                "decline_code": serializers.CharField(required=False),
                "param": serializers.CharField(required=False),
                "charge": serializers.CharField(required=False),
                "payment_intent": serializers.DictField(required=False),
                "payment_method": serializers.DictField(required=False),
            },
        )
    },
)
_REFUSALS: Final[dict[int, str]] = {
    400: "A parameter, the state of the object or the Idempotency-Key does not allow it.",
    401: "No API key, or not a valid one.",
    404: "There is no such object.",
    409: "The first request with this Idempotency-Key is still under way. Repeat it.",
    429: "Another request works on the same payment. Repeat it.",
    503: "The payment provider or the database could not be reached. Repeat it.",
}
_DECLINED: Final = "The payment was declined; `decline_code` says why."

_IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="1 to 255 printable ASCII characters; a repeat with it gets the first answer.",
)
_PREFER: Final = OpenApiParameter(
    "Prefer",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`wait=N`: answer `processing` after N seconds (0 to 30) without the provider.",
)


def documented(
    parameters: Parameters,
    answers: str,
    summary: str,
    *,
    is_list: bool = False,
    moves_money: bool = False,
) -> Callable[[Handler], Handler]:
    """Declare a handler and document it; `answers` names the object that it returns."""

    def declare(handler: Handler) -> Handler:
        is_post = handler.__name__ == "post"
        extended = extend_schema(
            operation_id=summary.lower().replace("'", "").replace(" ", "_"),
            summary=summary,
            tags=[handler.__module__.rpartition(".")[2]],
            request=request_body(parameters) if is_post else None,
            parameters=_headers(is_post, moves_money)
            + ([] if is_post else query_parameters(parameters)),
            responses=_responses(answers, is_list, moves_money),
        )(handler)
        return endpoint(parameters, moves_money=moves_money)(extended)

    return declare


def _headers(is_post: bool, moves_money: bool) -> list[OpenApiParameter]:
    if not is_post:
        return []
    return [_IDEMPOTENCY_KEY, _PREFER] if moves_money else [_IDEMPOTENCY_KEY]


def _responses(answers: str, is_list: bool, moves_money: bool) -> dict[int, Any]:
    refusals = dict(_REFUSALS)
    if moves_money:
        refusals[402] = _DECLINED
    failed = {
        status: OpenApiResponse(response=_ERROR, description=text)
        for status, text in sorted(refusals.items())
    }
    schema = _list_schema(answers) if is_list else _object_schema(answers)
    return {200: OpenApiResponse(response=schema), **failed}


def _object_schema(name: str) -> dict[str, Any]:
    """Objects are documented by name only; every key of the Stripe API's version is there."""
    return {
        "type": "object",
        "required": ["object"],
        "properties": {
            "id": {"type": "string"},
            "object": {"type": "string", "enum": [name]},
        },
        "additionalProperties": True,
    }


def _list_schema(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["object", "url", "has_more", "data"],
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "url": {"type": "string"},
            "has_more": {"type": "boolean"},
            "data": {"type": "array", "items": _object_schema(name)},
        },
    }
