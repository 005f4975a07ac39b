"""Documents endpoints for drf-spectacular: their parameters, answers, examples and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from payments.api.openapi import (
    ERRORS_BY_STATUS,
    UNSUPPORTED,
    error_name,
    query_parameters,
    request_body,
    unsupported,
)
from payments.api.parameters import Parameters
from payments.api.views.exchange import endpoint
from payments.objects.catalog import OBJECT_TYPES, search_page_of
from payments.objects.fields import ObjectType, Schema, ref
from payments.objects.parts import page_of

Handler = TypeVar("Handler", bound=Callable[..., Any])
Page = Callable[..., ObjectType]
"""Declares the page of a list or of a search, for the name of an object."""

_ONLY_OF_BANKS: Final = 402
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
    answers: str | tuple[str, ...],
    summary: str,
    *,
    is_list: bool = False,
    is_search: bool = False,
    is_empty: bool = False,
    moves_money: bool = False,
    asks_bank: bool = False,
    example: Mapping[str, Any] | None = None,
) -> Callable[[Handler], Handler]:
    """Declare a handler and document it.

    `answers` names the object that it returns, or several of which it returns one. `example`: what
    differs in the example of the answer from that of the object. `is_empty`: a list without rows.
    `asks_bank`: waits for the PSP, and may be declined, although no money moves.
    """
    names = (answers,) if isinstance(answers, str) else answers
    shown = OBJECT_TYPES[names[0]].example(**(example or {}))
    waits = moves_money or asks_bank
    page = search_page_of if is_search else page_of if is_list else None

    def declare(handler: Handler) -> Handler:
        is_post = handler.__name__ == "post"
        extended = extend_schema(
            operation_id=summary.lower().replace("'", "").replace(" ", "_"),
            summary=summary,
            tags=[handler.__module__.rpartition(".")[2]],
            request=request_body(parameters) if is_post else None,
            parameters=_headers(is_post, waits) + ([] if is_post else query_parameters(parameters)),
            responses=_responses(names, page, waits),
            examples=_examples(parameters, names[0], [] if is_empty else [shown], page),
            extensions={UNSUPPORTED: unsupported(parameters)},
        )(handler)
        return endpoint(parameters, moves_money=moves_money, waits=waits)(extended)

    return declare


def _headers(is_post: bool, waits: bool) -> list[OpenApiParameter]:
    if not is_post:
        return []
    return [_IDEMPOTENCY_KEY, _PREFER] if waits else [_IDEMPOTENCY_KEY]


def _statuses(waits: bool) -> list[int]:
    return [s for s in ERRORS_BY_STATUS if waits or s != _ONLY_OF_BANKS]


def _responses(names: tuple[str, ...], page: Page | None, waits: bool) -> dict[int, Any]:
    schema: Schema = page(names[0]).schema() if page else ref(names[0])
    if len(names) > 1:
        schema = {"anyOf": [ref(name) for name in names]}
    failed = {
        status: OpenApiResponse(ref(error_name(status)), ERRORS_BY_STATUS[status])
        for status in _statuses(waits)
    }
    return {200: OpenApiResponse(schema), **failed}


def _examples(
    parameters: Parameters, name: str, rows: list[dict[str, Any]], page: Page | None
) -> list[OpenApiExample]:
    value = page(name, example=rows).example() if page else rows[0]
    answer = OpenApiExample("Answer", value, response_only=True, status_codes=["200"])
    request = OpenApiExample("Request", parameters.example, request_only=True)
    return [request, answer]
