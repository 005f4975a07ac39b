"""The pages under /docs: every object, field, operation, parameter and error code is on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from django.conf import settings
from django.test import Client
from django.utils.html import escape

from payments.api import decoding
from payments.api.error_codes import ERROR_CODES
from payments.api.parameters import Parameter, Parameters, Phone, Text
from payments.api.parameters.expansion import MAX_EXPANSION_DEPTH
from payments.api.parameters.structures import MAX_METADATA_KEYS
from payments.api.reference_rows import as_form, field_rows
from payments.api.request_headers import KEY_LENGTH_MAX
from payments.api.views.reference import PAGES
from payments.exceptions import InvalidParameter
from payments.models import Merchant
from payments.objects.catalog import OBJECT_TYPES
from payments.selectors.paging import DEFAULT_LIMIT
from payments.tests.http.support.routes import ROUTES
from paymentsite.tests.fixtures.described_answers import document

SCALAR = re.compile("string|integer|boolean|time|id|one of")


def page(name: str = "") -> str:
    answer = Client().get(f"/docs/{name}" if name else "/docs")
    assert answer.status_code == 200
    return answer.content.decode()


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_page_leads_to_every_other_and_needs_no_other_server() -> None:
    links = {f"/docs/{name}" for name in PAGES} | {"/docs", "/docs/try", "/docs/openapi.json"}
    anchors = {name: set(re.findall(r'id="([^"]+)"', page(name))) for name in ("", *PAGES)}
    for name in ("", *PAGES):
        found = re.findall(r'(?:href|src)="([^"]+)"', page(name))
        assert links <= set(found)
        for link in found:
            target, _, anchor = link.partition("#")
            assert target in {*links, ""} or target.startswith("https://www.standardwebhooks")
            where = target.removeprefix("/docs").removeprefix("/") if target else name
            assert not anchor or anchor in anchors[where], link


def test_an_unknown_page_is_missing() -> None:
    assert Client().get("/docs/surprise").status_code == 404


def test_every_field_of_every_object_is_told_with_its_meaning() -> None:
    shown = page("objects")
    for name, of in OBJECT_TYPES.items():
        assert f'id="{name}"' in shown
        for field, declared in of.fields.items():
            assert f"<code>{field}</code>" in shown, f"{name}.{field}"
            assert declared.meaning, f"{name}.{field}"


def test_every_field_has_an_example_of_a_value_that_it_may_have() -> None:
    """The fields of objects inside have theirs; a list or an object of any shape has none."""
    for name, of in OBJECT_TYPES.items():
        rows = list(field_rows(of.schema(), of.example()))
        bare = [row.name for row in rows if not row.example]
        kinds = {row.name: row.type for row in rows}
        assert [each for each in bare if SCALAR.match(kinds[each])] == [], name
        for schema in leaves(of.schema()):
            alone = {key: value for key, value in schema.items() if key != "anyOf"}
            assert jsonschema_rs.is_valid(alone, *schema["examples"]), schema


def leaves(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas with an example of their own."""
    for member in schema.get("properties", {}).values():
        if "examples" in member:
            yield member
        yield from leaves(member)


def test_every_error_code_has_a_row_with_an_anchor() -> None:
    anchors = re.findall(r'<tr id="(\w+)"', page("errors"))
    assert anchors == sorted(ERROR_CODES)


def test_every_operation_is_shown_with_a_request_and_an_answer() -> None:
    shown = page("operations")
    for path, method, operation in operations():
        assert f'id="{operation["operationId"]}"' in shown
        assert f"<code>{path}</code>" in shown
        assert operation["responses"]["200"]["content"]["application/json"]["examples"], method


def test_every_example_of_an_answer_is_as_described() -> None:
    components = {"components": document()["components"]}
    for path, method, operation in operations():
        answer = operation["responses"]["200"]["content"]["application/json"]
        (example,) = answer["examples"].values()
        found = jsonschema_rs.validator_for({**answer["schema"], **components})
        errors = [error.message for error in found.iter_errors(example["value"])]
        assert errors == [], f"{method} {path}"
    for name, schema in components["components"]["schemas"].items():
        (example,) = schema["examples"]
        found = jsonschema_rs.validator_for({**schema, **components})
        assert [error.message for error in found.iter_errors(example)] == [], name


def test_limits_that_the_page_names_are_those_of_the_code() -> None:
    text = (settings.BASE_DIR / "docs" / "requests.md").read_text()
    default_ms = Merchant._meta.get_field("psp_wait_ms").default
    for said in (
        f"waits {default_ms // 1000} s for the PSP",
        f"1 to {KEY_LENGTH_MAX} printable ASCII",
        f"kept for {settings.IDEMPOTENCY_KEYS_KEPT_DAYS} days",
        f"{decoding.MAX_BODY_BYTES // 1024**2} MiB",
        f"{decoding.MAX_PARAMETERS:,}, nested {decoding.MAX_DEPTH} deep",
        f"{MAX_METADATA_KEYS} keys",
        f"up to {MAX_EXPANSION_DEPTH} levels deep",
        f"{DEFAULT_LIMIT} if `limit` is not given",
    ):
        assert said in text


def each_parameter(declared: Parameters, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
    for name, kind in declared.declared.items():
        if kind.documented:
            shown = f"{prefix}[{name}]" if prefix else name
            yield shown, kind
            below = getattr(getattr(kind, "item", kind), "parameters", None)
            if below is not None:
                yield from each_parameter(below, shown)


def test_every_free_text_takes_what_people_write() -> None:
    """Names, addresses, phones, descriptions: limits of length only, and no control characters."""
    texts = {
        f"{route}: {name}": kind
        for route in ROUTES
        for name, kind in each_parameter(route.parameters)
        if type(kind) in (Text, Phone) and kind.pattern is None
    }
    assert len(texts) > 100
    for written in (
        "Ünï 코드",
        "O'Brien & Co, n/a",
        "اسم <b>",
        "two\r\nlines\tand",
        "(+49) 30 – 9",
    ):
        for name, kind in texts.items():
            assert kind.read(written[: kind.max_length], name, is_text=True), name
            with pytest.raises(InvalidParameter):
                kind.read("a\x1b", name, is_text=True)


def test_every_parameter_is_described() -> None:
    found = [
        (f"{route}: {name}", kind.description)
        for route in ROUTES
        for name, kind in each_parameter(route.parameters)
    ]
    assert len(found) > 350
    assert [name for name, description in found if not description] == []


def test_every_example_of_a_request_passes_the_validator_of_its_operation() -> None:
    for route in ROUTES:
        declared = route.parameters
        if set(declared.declared) - {"expand"} and route.method != "GET":
            assert declared.example, f"{route} has no example"
        assert declared.validate(declared.example).keys() == declared.example.keys()


def test_every_example_of_a_request_is_shown_as_a_form_that_reads_back_as_the_same() -> None:
    shown = page("operations")
    for route in ROUTES:
        declared = route.parameters
        form = as_form(declared.example)
        assert declared.validate(decoding.decode_query(form)) == declared.validate(declared.example)
        assert all(escape(pair) in shown for pair in form.split("&"))
