"""The OpenAPI document of the merchant API covers every route, without warnings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import drf_spectacular
import jsonschema_rs
import pytest
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer

from payments.api import urls
from payments.api.views.exchange import MerchantView


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    schema: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    return schema


def declared() -> set[tuple[str, str]]:
    """Every address and method that the routes lead to."""
    found = set()
    for pattern in urls.urlpatterns:
        view = getattr(pattern.callback, "cls", None)
        if view is not None and issubclass(view, MerchantView):
            path = "/" + re.sub(r"<str:(\w+)>", r"{\1}", str(pattern.pattern))
            methods = [m for m in ("get", "post", "delete") if hasattr(view, m)]
            found |= {(path, method) for method in methods}
    return found


def test_every_endpoint_is_documented_and_nothing_else(document: dict[str, Any]) -> None:
    documented = {(p, method) for p, item in document["paths"].items() for method in item}
    assert len(documented) > 25
    assert documented == declared()


def test_the_document_is_valid_and_made_without_warnings(document: dict[str, Any]) -> None:
    specification = Path(drf_spectacular.__file__).parent / "validation/openapi_3_1_schema.json"
    valid = jsonschema_rs.validator_for(json.loads(specification.read_text()))
    given = json.loads(OpenApiJsonRenderer().render(document))
    assert [error.message[:500] for error in valid.iter_errors(given)] == []
    assert not GENERATOR_STATS, "drf-spectacular had something to complain about"


def test_every_endpoint_that_moves_money_documents_its_idempotency_key(
    document: dict[str, Any],
) -> None:
    post = document["paths"]["/v1/payment_intents/{public_id}/capture"]["post"]
    assert {"Idempotency-Key", "Prefer"} <= {p["name"] for p in post["parameters"]}
    assert "402" in post["responses"]


def test_the_merchant_api_answers_at_the_root_of_the_site() -> None:
    assert get_resolver().resolve("/v1/payment_intents").func.cls.__name__ == "PaymentIntents"  # type: ignore[attr-defined]
