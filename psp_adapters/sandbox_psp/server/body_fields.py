"""Reads fields of a request's body or query, each with its limits; refuses with 400."""

from __future__ import annotations

from typing import Any, Final

import orjson

from psp_adapters.sandbox_psp.refusals import invalid

_MAX_AMOUNT_MINOR: Final = 10**12


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body; an empty body is an empty object."""
    if not body:
        return {}
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise invalid("the body is not JSON", code="invalid_json") from None
    if not isinstance(decoded, dict):
        raise invalid("the body must be a JSON object")
    return decoded


def query_integer(query: dict[str, str], name: str, *, default: int, most: int) -> int:
    """A non-negative integer of the query."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= most):
        raise invalid(f"{name} must be an integer from 0 to {most}")
    return int(text)


def refuse_unknown(body: dict[str, Any], known: set[str]) -> None:
    """Refuses with 400 a body with a field that is not known."""
    unknown = body.keys() - known
    if unknown:
        raise invalid(f"unknown field: {min(unknown)[:50]}", code="unknown_field")


def read_text(body: dict[str, Any], name: str, *, most: int, default: str | None = None) -> str:
    """A string of the body, not empty unless that is the default; refuses with 400."""
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > most or (not value and default is None):
        raise invalid(f"{name} must be a string of 1 to {most} characters")
    return value


def read_flag(body: dict[str, Any], name: str, *, default: bool) -> bool:
    """A boolean of the body; refuses with 400."""
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise invalid(f"{name} must be true or false")
    return value


def read_amount(body: dict[str, Any]) -> int:
    """The amount of the body in minor units; refuses with 400."""
    value = body.get("amount_minor")
    if type(value) is not int or not 0 < value <= _MAX_AMOUNT_MINOR:
        raise invalid("amount_minor must be a positive integer", code="invalid_amount")
    return value
