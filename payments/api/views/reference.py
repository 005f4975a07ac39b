"""The pages under /docs, made from the OpenAPI document, the table of errors and docs/*.md."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from drf_spectacular.renderers import OpenApiJsonRenderer
from markdown_it import MarkdownIt

from payments.api.decoding import JSON
from payments.api.error_codes import DECLINE_CODES, ERROR_CODES, WITHOUT_CODE, type_of
from payments.api.openapi import UNSUPPORTED, document
from payments.api.reference_rows import (
    always_null,
    as_form,
    as_json,
    example_request,
    field_rows,
    marked,
    parameter_rows,
    query_schema,
)
from payments.objects.catalog import OBJECT_TYPES, search_page_of
from payments.objects.fields import ObjectType
from payments.objects.parts import page_of

_TEXTS: Final[dict[str, tuple[str, str]]] = {
    "coming-from-stripe": ("Coming from Stripe", "coming-from-stripe.md"),
    "payment-methods": ("How a card becomes a payment method", "payment-methods.md"),
    "requests": ("Requests: keys, repeats, time budgets, limits", "requests.md"),
    "webhooks": ("Webhooks", "webhooks.md"),
}
"""Pages that are written by hand: title and file in docs/."""
_GENERATED: Final = {
    "operations": "Operations",
    "objects": "Objects",
    "errors": "Errors",
    "unsupported": "What is not supported",
}
PAGES: Final = (*_GENERATED, *_TEXTS)
_FOR_OTHER_READERS: Final = "\n## For support"
"""Where the part of a page ends that is for merchants' developers."""
_LINK: Final = re.compile(r'<a href="([a-z-]+)\.md(#[^"]*)?">(.*?)</a>')
_HEADING: Final = re.compile(r"<h([23])>(.*?)</h\1>")


@require_safe
def reference_page(request: HttpRequest, page: str = "overview") -> HttpResponse:
    """One page of the reference; 404 if there is none of this name."""
    if page != "overview" and page not in PAGES:
        raise Http404
    return HttpResponse(_page(page, settings.PUBLIC_BASE_URL))


@require_safe
def openapi_document(request: HttpRequest) -> HttpResponse:
    """The OpenAPI document as JSON."""
    return HttpResponse(_json(), content_type=OpenApiJsonRenderer.media_type)


@cache
def _json() -> bytes:
    rendered: bytes = OpenApiJsonRenderer().render(document())
    return rendered


@cache
def _page(page: str, base_url: str) -> str:
    titles = _GENERATED | {name: title for name, (title, _) in _TEXTS.items()}
    shown = {
        "base_url": base_url,
        "links": [(name, titles[name]) for name in PAGES],
        "title": titles.get(page, "The merchant API"),
        "page": page,
    }
    if page in _TEXTS:
        return render_to_string("reference/text.html", {**shown, "text": _text(_TEXTS[page][1])})
    return render_to_string(f"reference/{page}.html", {**shown, **_CONTENTS[page]()})


def _text(file: str) -> str:
    """A page of docs/ as HTML; links to pages that are not served here are taken out."""
    source = (settings.BASE_DIR / "docs" / file).read_text(encoding="utf-8")
    body = source.partition(_FOR_OTHER_READERS)[0].partition("\n")[2]
    html = MarkdownIt("commonmark", {"html": False}).enable("table").render(body)
    html = _LINK.sub(_link, _HEADING.sub(_heading, html))
    return mark_safe(html)  # noqa: S308  (our own files, with HTML in them escaped)


def _heading(found: re.Match[str]) -> str:
    """A heading with the anchor by which links name it."""
    level, heading = found.groups()
    plain = re.sub(r"[^\w -]", "", re.sub("<[^>]*>", "", heading).lower())
    return f'<h{level} id="{plain.replace(" ", "-")}">{heading}</h{level}>'


def _link(found: re.Match[str]) -> str:
    page, anchor, text = found.groups()
    served = {file.removesuffix(".md"): name for name, (_, file) in _TEXTS.items()}
    return f'<a href="/docs/{served[page]}{anchor or ""}">{text}</a>' if page in served else text


def _overview() -> dict[str, Any]:
    return {"operations": _operations()["groups"], "objects": list(OBJECT_TYPES.values())}


def _objects() -> dict[str, Any]:
    pages = page_of("payment_intent"), search_page_of("payment_intent")
    errors = document()["components"]["schemas"]
    shown = [_object(of) for of in (*OBJECT_TYPES.values(), *pages)]
    declined = errors["error_402"]
    error = {
        "name": "error",
        "meaning": "The body of every answer that is not 200. Keys without a value are absent.",
        "rows": list(field_rows(declined, declined["examples"][0])),
        "example": as_json(declined["examples"][0]),
    }
    return {"objects": [*shown, error]}


def _object(of: ObjectType) -> dict[str, Any]:
    schema, example = of.schema(), of.example()
    return {
        "name": of.name,
        "meaning": marked(of.meaning),
        "rows": list(field_rows(schema, example)),
        "nulls": list(always_null(schema)),
        "example": as_json(example),
    }


def _operations() -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            shown = _operation(path, method.upper(), operation)
            groups.setdefault(operation["tags"][0], []).append(shown)
    return {"groups": groups}


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    answer = operation["responses"]["200"]["content"][JSON]
    example = next(iter(answer["examples"].values()))["value"]
    body = operation.get("requestBody", {}).get("content", {}).get(JSON, {})
    parameters = operation.get("parameters", [])
    schema = body.get("schema") or query_schema(parameters)
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "summary": operation["summary"],
        "description": marked(operation.get("description", "")),
        "headers": [
            {"name": each["name"], "meaning": marked(each["description"])}
            for each in parameters
            if each["in"] == "header"
        ],
        "rows": list(parameter_rows(schema)),
        "request": as_form(example_request(operation)),
        "example_path": path.format(
            **{each["name"]: each["example"] for each in parameters if each["in"] == "path"}
        ),
        "answer": as_json(example),
        "errors": [status for status in operation["responses"] if status != "200"],
        "unsupported": {
            name: marked(instead) for name, instead in operation.get(UNSUPPORTED, {}).items()
        },
    }


def _errors() -> dict[str, Any]:
    rows = [
        (code, status, type_of(status), marked(row.cause), marked(row.remedy))
        for code, row in sorted(ERROR_CODES.items())
        for status in row.statuses
    ]
    without = [(*row[:2], marked(row[2]), marked(row[3])) for row in WITHOUT_CODE]
    return {"rows": rows, "without_code": without, "declines": DECLINE_CODES.items()}


def _unsupported() -> dict[str, Any]:
    by_reason: dict[str, dict[str, list[str]]] = {}
    for operations in _operations()["groups"].values():
        for operation in operations:
            for name, instead in operation["unsupported"].items():
                names = by_reason.setdefault(instead, {})
                names.setdefault(name, []).append(operation["summary"])
    return {"by_reason": by_reason.items()}


_CONTENTS: Final = {
    "overview": _overview,
    "objects": _objects,
    "operations": _operations,
    "errors": _errors,
    "unsupported": _unsupported,
}
