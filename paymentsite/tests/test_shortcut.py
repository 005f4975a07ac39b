"""The merchant API skips the middleware for browsers, but keeps the security headers."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.usefixtures("database")


def test_the_merchant_api_sets_no_cookie_and_keeps_the_security_headers() -> None:
    answer = Client().get("/v1/balance")
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer["Content-Length"] == str(len(answer.content))
    assert not answer.cookies
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_webhook_of_psps_passes_by_what_browsers_need() -> None:
    answer = Client().post("/psp/no-account/webhook", b"{}", content_type="application/json")
    assert answer.status_code == 404
    assert "X-Frame-Options" not in answer.headers, "a middleware for browsers adds it"
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_pages_for_browsers_still_have_their_sessions() -> None:
    answer = Client(enforce_csrf_checks=True).get("/admin/login/")
    assert answer.status_code == 200
    assert "csrftoken" in answer.cookies


def test_an_unknown_address_of_the_api_is_answered_by_the_api() -> None:
    answer = Client().post("/v1/nothing")
    assert answer.status_code == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/admin", "/docs", "/docs/openapi.json", "/metrics", "/healthz/jobs"]
)
def test_pages_of_staff_are_on_the_internal_port_alone_once_there_is_one(
    path: str, settings: Any
) -> None:
    def status(port: str, **headers: str) -> int:
        return int(Client().get(path, SERVER_PORT=port, headers=headers).status_code)

    before = status("8000")
    assert before != 404
    settings.INTERNAL_ADDRESS = ("127.0.0.1", 9000)
    assert status("8000") == 404
    assert status("8000", host="127.0.0.1:9000", **{"x-forwarded-port": "9000"}) == 404
    assert status("9000") == before
    for public in ("/livez", "/healthz"):
        assert Client().get(public, SERVER_PORT="8000").status_code == 200
    assert Client().get("/v1/balance", SERVER_PORT="8000").status_code == 401


def test_addresses_without_their_slash_lead_on() -> None:
    assert Client().get("/admin")["Location"] == "/admin/"
