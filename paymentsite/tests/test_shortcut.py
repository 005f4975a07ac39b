"""The merchant API skips the middleware for browsers, but keeps the security headers."""

from __future__ import annotations

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


def test_pages_for_browsers_still_have_their_sessions() -> None:
    answer = Client(enforce_csrf_checks=True).get("/admin/login/")
    assert answer.status_code == 200
    assert "csrftoken" in answer.cookies


def test_an_unknown_address_of_the_api_is_answered_by_the_api() -> None:
    answer = Client().post("/v1/nothing")
    assert answer.status_code == 404
    assert "Unrecognized request URL" in answer.json()["error"]["message"]


def test_addresses_without_their_slash_lead_on() -> None:
    assert Client().get("/admin")["Location"] == "/admin/"
