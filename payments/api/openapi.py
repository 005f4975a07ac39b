"""The OpenAPI document: declared parameters, objects and error codes, for drf-spectacular.

    @extend_schema(request=request_body(CREATE_PAYMENT_INTENT))
    @extend_schema(parameters=query_parameters(LIST_PAYMENT_INTENTS))

The documentation is made from what the validator uses and what the objects declare, so that they
cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any, Final

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiRequest

from payments.api.decoding import FORM, JSON
from payments.api.error_codes import (
    CARD,
    DECLINE_CODES,
    ERROR_CODES,
    IDEMPOTENCY,
    WITHOUT_CODE,
    type_of,
)
from payments.api.parameters import Boolean, Enum, Parameters
from payments.api.parameters.structures import Unsupported, object_schema
from payments.objects.catalog import OBJECT_TYPES
from payments.objects.fields import (
    Field,
    Schema,
    any_of,
    closed,
    example_id,
    one_of,
    record,
    text,
)
from payments.public_ids import CHARGE

UNSUPPORTED: Final = "x-unsupported"
"""The extension of an operation that lists what is refused by name, and what to do instead."""

ERRORS_BY_STATUS: Final[dict[int, str]] = {
    400: "A parameter, the state of the object or the Idempotency-Key does not allow it.",
    401: "No API key, or not a valid one.",
    402: "The payment or setup was declined; `decline_code` says why.",
    403: "The API key may not do this.",
    404: "There is no such object.",
    408: "The body was not complete in time. Repeat it.",
    409: "The first request with this Idempotency-Key is still under way. Repeat it.",
    429: "Another request works on the same payment. Repeat it.",
    431: "The headers are too large.",
    500: "A fault of the platform. Repeat it with the same Idempotency-Key.",
    503: "The payment provider or the database could not be reached. Repeat it.",
}
_EXAMPLES: Final = {
    400: "parameter_missing",
    402: "card_declined",
    403: "account_invalid",
    404: "resource_missing",
    408: "body_timeout",
    409: "idempotency_key_in_use",
    429: "lock_timeout",
    431: "headers_too_large",
    503: "psp_unavailable",
}


_OBJECT_OF_PATH: Final = {"checkout": "checkout.session"}
"""Where a path does not begin with the name of its object."""
_making = Lock()


def document() -> dict[str, Any]:
    """The document of this code; made once per process, by one thread.

    drf-spectacular fails when two threads make their first one at the same time.
    """
    with _making:
        return _document()


@cache
def _document() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return made


def error_name(status: int) -> str:
    """The component of the errors that are answered with this status."""
    return f"error_{status}"


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Put the objects and errors into the document; a hook of drf-spectacular."""
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas |= {
        name: {**of.schema(), "examples": [of.example()]} for name, of in OBJECT_TYPES.items()
    }
    schemas |= {error_name(status): error_schema(status) for status in ERRORS_BY_STATUS}
    for path, methods in result["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    parameter |= _path_parameter(parameter["name"], path)
    return result


def _path_parameter(name: str, path: str) -> dict[str, Any]:
    """What an id in a path is, and an example."""
    of = "payment_method" if name == "method_id" else path.split("/")[2].removesuffix("s")
    of = _OBJECT_OF_PATH.get(of, of)
    meaning = f"The id of the {of.replace('_', ' ').replace('.', ' ')}."
    return {"description": meaning, "example": OBJECT_TYPES[of].fields["id"].example}


def error_fields(status: int) -> dict[str, Field]:
    """The fields of an error that is answered with this status."""
    codes = [code for code, row in ERROR_CODES.items() if status in row.statuses]
    types = {row[1] for row in WITHOUT_CODE if row[0] == status}
    types |= {type_of(status)} if codes else set()
    example = _EXAMPLES.get(status)
    fields: dict[str, Field] = {"type": one_of("What kind of error.", *sorted(types))}
    if codes:
        meaning = "Stable: act on it. The table of errors explains each."
        code = one_of(meaning, *codes, example=example)
        fields["code"] = code.but(absent=IDEMPOTENCY in types)
        fields["doc_url"] = text("The code's row in the table of errors.").but(absent=True)
    fields |= {
        "message": text(
            "What is wrong and what to do, for you; of a `card_error` it may be shown to the "
            "customer.",
            ERROR_CODES[example].cause if example else ERRORS_BY_STATUS[status],
        ),
        "param": text("The parameter to blame, as in `shipping[address][city]`.").but(absent=True),
        "payment_intent": any_of("The payment as it stands now.", "payment_intent").but(
            absent=True
        ),
        "setup_intent": any_of("The setup intent as it stands now.", "setup_intent").but(
            absent=True
        ),
    }
    if CARD in types:
        reason = "The bank's reason, such as " + ", ".join(f"`{each}`" for each in DECLINE_CODES)
        declined = text(f"{reason}.", "insufficient_funds")
        fields["decline_code"] = declined.but(absent=True)
        fields["charge"] = text("The charge that failed.", example_id(CHARGE)).but(absent=True)
        fields["payment_method"] = any_of("What was declined.", "payment_method").but(absent=True)
    return fields


def error_schema(status: int) -> Schema:
    """The schema of the body of an error."""
    error = record("The error.", error_fields(status))
    example = {"error": error.example}
    described = {"description": ERRORS_BY_STATUS[status], **closed({"error": error})}
    return {**described, "examples": [example]}


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
            examples=_example_of(name, parameters.example),
            style="deepObject" if _is_structured(kind.own_schema()) else None,
            explode=True if _is_structured(kind.own_schema()) else None,
        )
        for name, kind in parameters.declared.items()
        if kind.documented
    ]


def _example_of(name: str, example: Mapping[str, Any]) -> list[OpenApiExample]:
    return [OpenApiExample("Request", example[name])] if name in example else []


def unsupported(parameters: Parameters, prefix: str = "") -> dict[str, str]:
    """What is refused by name, in bracket notation, and what to do instead."""
    found: dict[str, str] = {}
    for name, kind in parameters.declared.items():
        shown = f"{prefix}[{name}]" if prefix else name
        if isinstance(kind, Unsupported):
            found[shown] = kind.instead
        if isinstance(kind, (Boolean, Enum)):
            values = kind.unsupported.items()
            found |= {f"{shown}={str(value).lower()}": instead for value, instead in values}
        below = getattr(kind, "parameters", None)
        if isinstance(below, Parameters):
            found |= unsupported(below, shown)
    return found


def _is_structured(schema: dict[str, Any]) -> bool:
    return schema.get("type") in ("object", "array") or "oneOf" in schema
