"""Values that a schema of the documentation allows, and values that it does not."""

from __future__ import annotations

import re
from typing import Any

_TEXTS = (
    "Two books",
    "2026-10-28.endive",
    "card",
    "BOOKS",
    "charge",
    "tok_visa",
    "+1 555 0100",
    "data.x",
    "NO",
)
_SAMPLES = {"email": "ann@example.com", "uri": "https://shop.example.com/", "unix-time": 1}
_WRONG = {"integer": "many", "boolean": "maybe", "array": "x", "object": "x"}


def allowed(schema: dict[str, Any]) -> Any:
    """One value that the schema allows."""
    if "enum" in schema:
        return schema["enum"][0]
    if "example" in schema:
        return schema["example"]
    if schema.get("format") in _SAMPLES:
        return _SAMPLES[schema["format"]]
    kind = schema["type"]
    if kind == "integer":
        return max(schema.get("minimum", 0), min(1_000, schema.get("maximum", 1_000)))
    if kind == "array":
        return [allowed(schema["items"])]
    if kind == "object":
        return allowed_object(schema)
    return True if kind == "boolean" else _text(schema)


def allowed_object(schema: dict[str, Any]) -> dict[str, Any]:
    """All properties of an object, or a few of its free ones."""
    if schema.get("properties"):
        return {name: allowed(member) for name, member in schema["properties"].items()}
    free = schema["additionalProperties"]
    return {"color": allowed(free)} if free else {}


def minimal_object(schema: dict[str, Any]) -> dict[str, Any]:
    """The required properties, and the first of each group of which one is needed."""
    names = list(schema.get("required", ()))
    names += [
        rule["anyOf"][0]["required"][0] for rule in schema.get("allOf", ()) if "anyOf" in rule
    ]
    return {name: allowed(schema["properties"][name]) for name in names}


def refused(schema: dict[str, Any]) -> Any:
    """One value that the schema does not allow."""
    if "enum" in schema:
        return "nonsense"
    return _WRONG.get(schema["type"], {"not": "a text"})


def _text(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    prefix = re.match(r"\^\(+([a-z]+_)", pattern)
    candidates = [f"{prefix[1]}nothing"] if prefix else []
    for text in (*candidates, *_TEXTS):
        fits = len(text) <= schema.get("maxLength", len(text))
        if fits and re.fullmatch(pattern or ".*", text):
            return text
    raise AssertionError(f"no sample for {schema}")
