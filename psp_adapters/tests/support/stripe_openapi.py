"""Holds requests to Stripe to its published OpenAPI document, where a file of it is there.

`STRIPE_OPENAPI_FILE` names the file (JSON, or JSON compressed by gzip). The document may be older
than the SDK: what is newer is listed here.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from psp_adapters.stripe.connection import Transport

Json = dict[str, Any]
SETTING = "STRIPE_OPENAPI_FILE"
_FORM = "application/x-www-form-urlencoded"
# Added to the API after 2023-08-16.
NEWER = frozenset(
    {
        "payment_method_options[card][request_incremental_authorization]",
        "payment_method_options[card][request_multicapture]",
        "payment_method_options[card][request_three_d_secure]=challenge",
        "final_capture",
    }
)


class OffContract(AssertionError):
    """A request that Stripe's document does not know."""


@cache
def specification() -> Json | None:
    """The document that the environment names; None if it names none."""
    name = os.environ.get(SETTING, "")
    if not name:
        return None
    content = Path(name).read_bytes()
    found: Json = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    return found


def check(document: Json, method: str, url: str, body: str, *, has_key: bool) -> None:
    """Raise OffContract unless the request is one that the document describes."""
    parts = urlsplit(url)
    operation = _operation(document, method.lower(), parts.path)
    if method.upper() == "POST" and not has_key:
        raise OffContract(f"{method} {parts.path} without an idempotency key")
    query = {
        each["name"]: each for each in operation.get("parameters", ()) if each["in"] == "query"
    }
    given = _tree(parts.query)
    for name, value in given.items():
        if name not in query:
            raise OffContract(f"{parts.path}: unknown filter {name}")
        _check_value(query[name]["schema"], value, name)
    if method.upper() == "POST":
        schema = operation["requestBody"]["content"][_FORM]["schema"]
        _check_value(schema, _tree(body), "")


def _operation(document: Json, method: str, path: str) -> Json:
    for template, operations in document["paths"].items():
        pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
        if method in operations and re.fullmatch(pattern, path):
            if "{" in template and path in document["paths"]:
                continue
            found: Json = operations[method]
            return found
    raise OffContract(f"{method} {path} is not in the document")


def _tree(encoded: str) -> Json:
    """A form as nested objects: `a[b]=1` is {"a": {"b": "1"}}."""
    tree: Json = {}
    for name, value in parse_qsl(encoded, keep_blank_values=True):
        *path, last = re.findall(r"[^\[\]]+", name)
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return tree


def _check_value(schema: Json, value: Any, where: str) -> None:
    if "anyOf" in schema:
        failures = []
        for each in schema["anyOf"]:
            try:
                return _check_value(each, value, where)
            except OffContract as failure:
                failures.append(str(failure))
        raise OffContract("; ".join(failures))
    kind = schema.get("type")
    if kind == "object":
        return _check_object(schema, value, where)
    if kind == "array":
        if not isinstance(value, dict) or not all(key.isdigit() for key in value):
            raise OffContract(f"{where} is not a list")
        for key, each in value.items():
            _check_value(schema["items"], each, f"{where}[{key}]")
        return None
    if not isinstance(value, str):
        raise OffContract(f"{where} is not a {kind}")
    if kind == "integer" and not re.fullmatch(r"-?[0-9]+", value):
        raise OffContract(f"{where} is not an integer")
    if kind == "boolean" and value not in ("true", "false"):
        raise OffContract(f"{where} is not true or false")
    if "enum" in schema and value not in schema["enum"]:
        raise OffContract(f"{where} is none of its values")
    if len(value) > schema.get("maxLength", len(value)):
        raise OffContract(f"{where} is too long")
    return None


def _check_object(schema: Json, value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise OffContract(f"{where} is not an object")
    known = schema.get("properties", {})
    for name, each in value.items():
        path = f"{where}[{name}]" if where else name
        if path in NEWER or f"{path}={each}" in NEWER:
            continue
        if name in known:
            _check_value(known[name], each, path)
        elif schema.get("additionalProperties") is False or not isinstance(
            schema.get("additionalProperties"), dict
        ):
            raise OffContract(f"{path} is unknown")
    missing = set(schema.get("required", ())) - set(value)
    if missing:
        raise OffContract(f"{where}: {', '.join(sorted(missing))} is missing")


class CheckedTransport(Transport):
    """Sends requests, and keeps what the document says against them: the adapter would take an
    exception for an answer that it cannot read."""

    def __init__(self, base_url: str, document: Json) -> None:
        super().__init__(base_url)
        self._document = document
        self._address = base_url
        self.violations: list[str] = []

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: Any = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        has_key = bool((headers or {}).get("Idempotency-Key"))
        path = url.removeprefix(self._address)
        try:
            check(self._document, method, path, post_data or "", has_key=has_key)
        except OffContract as violation:
            self.violations.append(str(violation))
        return super().request(method, url, headers, post_data)
