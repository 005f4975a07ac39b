"""Holds requests to Mollie, and answers of its face, to Mollie's published OpenAPI document.

`MOLLIE_OPENAPI_FILE` names a file of it, as JSON. Mollie publishes it without a license, so it is
not kept here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs

from psp_adapters.http import HttpAnswer
from psp_adapters.mollie.connection import Transport

Json = dict[str, Any]
SETTING = "MOLLIE_OPENAPI_FILE"
_FORM = "application/json"
_ANSWER_FORM = "application/hal+json"
# The document wants these in the request of a refund, though it says that Mollie sets them.
_OF_ANSWERS = ("resource", "id", "mode", "status", "createdAt", "paymentId", "_links")


@cache
def specification() -> Json | None:
    """The document that the environment names; None if it names none."""
    name = os.environ.get(SETTING, "")
    if not name:
        return None
    found: Json = json.loads(Path(name).read_bytes())
    return found


class CheckedTransport(Transport):
    """Notes each request, and each answer, that the document does not describe."""

    def __init__(self, base_url: str, document: Json, *, key: str) -> None:
        super().__init__(base_url, key=key)
        self._document = document
        self.checked = 0
        self.violations: list[str] = []

    def exchange(
        self, method: str, target: str, body: Json | None, headers: dict[str, str]
    ) -> HttpAnswer:
        parts = urlsplit(target)
        operation = self._operation(method.lower(), parts.path)
        self.checked += 1
        for name, _ in parse_qsl(parts.query):
            if name not in self._filters(operation):
                self._note(f"{method} {parts.path}: unknown filter {name}")
        if body is not None:
            schema = operation["requestBody"]["content"][_FORM]["schema"]
            self._validate(schema, body, f"{method} {parts.path}", left_out=_OF_ANSWERS)
        answer = super().exchange(method, target, body, headers)
        described = operation["responses"].get(str(answer.status))
        if described and answer.body and (content := self._resolved(described).get("content")):
            schema = content[_ANSWER_FORM]["schema"]
            self._validate(schema, json.loads(answer.body), f"{answer.status} to {method}")
        return answer

    def _operation(self, method: str, path: str) -> Json:
        for template, operations in self._document["paths"].items():
            pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
            if method in operations and re.fullmatch(pattern, path):
                found: Json = operations[method]
                return found
        raise AssertionError(f"{method} {path} is not in the document")

    def _filters(self, operation: Json) -> set[str]:
        listed = [self._resolved(each) for each in operation.get("parameters", ())]
        return {each["name"] for each in listed if each["in"] == "query"}

    def _resolved(self, view: Json) -> Json:
        while "$ref" in view:
            found: Any = self._document
            for step in view["$ref"].split("/")[1:]:
                found = found[step]
            view = {**found, **{name: said for name, said in view.items() if name != "$ref"}}
        return view

    def _validate(
        self, schema: Json, instance: Any, where: str, *, left_out: Collection[str] = ()
    ) -> None:
        whole = {**schema, "components": self._document["components"]}
        for error in jsonschema_rs.Draft202012Validator(whole).iter_errors(instance):
            if error.message in {f'"{name}" is a required property' for name in left_out}:
                continue
            self._note(f"{where}: {error.message[:300]} at {list(error.instance_path)}")

    def _note(self, violation: str) -> None:
        if violation not in self.violations:
            self.violations.append(violation)
