"""Each request to the merchant API is counted, timed and logged once, without secrets."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest

from payments.tests.support.api_client import ApiClient, api_of
from payments.tests.support.metrics_scrape import read
from payments.tests.support.shop import Shop

CARD = "4242424242424242"


@pytest.fixture
def api(shop: Shop) -> ApiClient:
    return api_of(shop)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What goes to stderr through the project's own handler."""
    stream = io.StringIO()
    handler = next(h for h in logging.getLogger().handlers if h.name == "stderr")
    monkeypatch.setattr(handler, "stream", stream)
    return stream


def requests_in(written: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in lines if line["event"] == "request"]


def counted(method: str, route: str, status: int) -> float:
    labels = (("method", method), ("route", route), ("status", str(status)))
    return read().get(("payments_api_requests_total", labels), 0)


def timed(method: str, route: str) -> float:
    labels = (("method", method), ("route", route))
    return read().get(("payments_api_request_seconds_count", labels), 0)


def test_a_payment_is_logged_as_its_answer_names_it(
    shop: Shop, api: ApiClient, written: io.StringIO
) -> None:
    reply = api.post("/v1/customers", name="Ada", key="once")
    again = api.post("/v1/customers", name="Ada", key="once")
    first, second = requests_in(written)
    assert (first["request_id"], second["request_id"]) == (
        reply.response["Request-Id"],
        again.response["Request-Id"],
    )
    assert (first["method"], first["path"], first["status"]) == ("POST", "/v1/customers", 200)
    assert (first["merchant"], first["milliseconds"] > 0) == (shop.merchant.public_id, True)
    assert (first["replayed"], second["replayed"]) == (False, True)
    assert "Ada" not in written.getvalue()


@pytest.mark.parametrize(
    ("method", "path", "route", "status"),
    [
        ("GET", "/v1/refunds/re_1", "/v1/refunds/{id}", 404),
        ("GET", "/v1/refunds", "/v1/refunds", 200),
        ("POST", "/v1/payment_intents", "/v1/payment_intents", 400),
        ("DELETE", "/v1/refunds", "/v1/refunds", 404),
        ("GET", "/v1/nothing/of/this", "unrecognized", 404),
        ("GET", "/v2/core/events", "unrecognized", 404),
    ],
)
def test_requests_are_counted_by_route_whatever_they_end_in(
    api: ApiClient, method: str, path: str, route: str, status: int
) -> None:
    before, before_timed = counted(method, route, status), timed(method, route)
    assert api.send(method, path).status == status
    assert counted(method, route, status) == before + 1
    assert timed(method, route) == before_timed + 1


def test_a_request_without_a_valid_key_is_logged_without_a_merchant(
    shop: Shop, written: io.StringIO
) -> None:
    assert ApiClient("sk_test_" + "x" * 33).get("/v1/balance").status == 401
    (line,) = requests_in(written)
    assert (line["status"], line["merchant"]) == (401, None)


def test_neither_a_card_number_nor_a_key_in_a_path_is_logged(
    api: ApiClient, written: io.StringIO
) -> None:
    for secret in (CARD, f"ch_{CARD}", f"{'x' * 180}_{CARD}", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"):
        api.get(f"/v1/charges/{secret}")
    paths = [line["path"] for line in requests_in(written)]
    assert paths == [*["/v1/charges/{id}"] * 3, "/v1/charges/[removed]"]
    assert CARD[:12] not in written.getvalue()


def test_an_invented_method_makes_no_new_label(api: ApiClient) -> None:
    before = counted("other", "/v1/balance", 404)
    api.send("BREW", "/v1/balance")
    assert counted("other", "/v1/balance", 404) == before + 1
    assert counted("BREW", "/v1/balance", 404) == 0
