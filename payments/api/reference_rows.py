"""The rows of the reference's tables, from the schemas of the OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from payments.api.decoding import JSON
from payments.objects.fields import Schema

_TIME = "unix-time"


def marked(text: str) -> SafeString:
    """Text with what stands between backticks as code."""
    pieces = text.split("`")
    return format_html_join(
        "",
        "{}",
        (
            (format_html("<code>{}</code>", piece) if index % 2 else piece,)
            for index, piece in enumerate(pieces)
        ),
    )


class Row(NamedTuple):
    """One field or parameter; that of an inner object has the dotted name of its place."""

    name: str
    type: str
    presence: str
    meaning: SafeString
    example: str
    enum: tuple[str, ...] = ()

    @property
    def parts(self) -> list[str]:
        """The name in the pieces between which a line may break."""
        return re.findall(r"[^.\[]*(?:\.|\[[^\]]*\])?", self.name)[:-1]


def field_rows(schema: Schema, example: Any, prefix: str = "") -> Iterator[Row]:
    """A row for each field of an object, inner objects included."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        shown = example.get(name) if isinstance(example, dict) else None
        if shown is None and "examples" in member:
            [shown] = member["examples"]
        if member.get("type") != "null":
            yield _row(f"{prefix}{name}", member, _presence(name in required, member), shown)
        inner = member.get("items", member) if "array" in _types(member) else member
        first = shown[0] if isinstance(shown, list) and shown else shown
        yield from field_rows(inner, first, f"{prefix}{name}.")


def always_null(schema: Schema, prefix: str = "") -> Iterator[str]:
    """The names of the fields that never have a value."""
    for name, member in schema.get("properties", {}).items():
        if member.get("type") == "null":
            yield f"{prefix}{name}"
        yield from always_null(member.get("items", member), f"{prefix}{name}.")


def parameter_rows(schema: Schema, prefix: str = "") -> Iterator[Row]:
    """A row for each parameter of a body or a query, in the bracket notation of forms."""
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        shown = f"{prefix}[{name}]" if prefix else name
        yield _row(shown, member, "required" if name in required else "", None)
        yield from parameter_rows(member, shown)
        if "items" in member:
            yield from parameter_rows(member["items"], f"{shown}[]")


def query_schema(parameters: list[dict[str, Any]]) -> Schema:
    """The query parameters of an operation as the schema of one object."""
    in_query = [each for each in parameters if each["in"] == "query"]
    return {
        "properties": {
            each["name"]: {**each["schema"], "description": each.get("description", "")}
            for each in in_query
        },
        "required": [each["name"] for each in in_query if each.get("required")],
    }


def example_request(operation: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the example of an operation."""
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    for example in body.get("examples", {}).values():
        return dict(example["value"])
    shown = {
        each["name"]: next(iter(each["examples"].values()))["value"]
        for each in operation.get("parameters", ())
        if "examples" in each
    }
    return shown


def as_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def as_form(given: dict[str, Any]) -> str:
    """Parameters as a form writes them, not percent-encoded where a shell reads them well."""
    return urlencode(list(_pairs(given, "")), safe="[]:/@.*{}")


def _pairs(given: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(given, dict):
        for key, value in given.items():
            yield from _pairs(value, f"{name}[{key}]" if name else key)
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from _pairs(value, f"{name}[{index}]")
    else:
        yield name, str(given).lower() if isinstance(given, bool) else str(given)


def _row(name: str, schema: Schema, presence: str, example: Any) -> Row:
    inner = isinstance(example, (dict, list)) and len(orjson.dumps(example)) > 40
    shown = "" if example is None or inner else orjson.dumps(example).decode()
    items = schema.get("items", {})
    enum = [*schema.get("enum", ()), *items.get("enum", ())]
    values = tuple(
        str(value).lower() if value in (True, False) else value or '""' for value in enum
    )
    values = tuple(value for value, given in zip(values, enum, strict=True) if given is not None)
    return Row(name, _type(schema), presence, marked(schema.get("description", "")), shown, values)


def _presence(required: bool, schema: Schema) -> str:
    nullable = "null" in _types(schema) or {"type": "null"} in schema.get("anyOf", ())
    absent = "" if required else "or absent"
    return f"{'or null' if nullable else ''} {absent}".strip()


def _types(schema: Schema) -> tuple[str, ...]:
    kind = schema.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _choice(schema: Schema) -> str:
    """One of several types; a text beside objects is the id of one."""
    return "id" if schema == {"type": "string"} else _type(schema)


def _type(schema: Schema) -> str:
    if "const" in schema:
        return f"always {orjson.dumps(schema['const']).decode()}"
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if choices := schema.get("anyOf"):
        return " or ".join(_choice(each) for each in choices if each != {"type": "null"})
    kinds = [kind for kind in _types(schema) if kind != "null"]
    if kinds == ["array"]:
        return f"list of {_type(schema['items'])}"
    if schema.get("format") == _TIME:
        return "time"
    limits = f", at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return (kinds[0] if kinds else "any") + limits
