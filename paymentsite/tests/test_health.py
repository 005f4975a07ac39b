"""Health answers quickly, whether or not the database does."""

from __future__ import annotations

import time

import pytest
from django.db import connection
from django.test import Client

pytestmark = pytest.mark.usefixtures("database")


def test_healthz_is_200_with_a_database() -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()["database"]) == (200, "ok")


def test_healthz_is_503_without_and_livez_still_200() -> None:
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], "1"
    started = time.monotonic()
    try:
        answer = Client().get("/healthz")
        alive = Client().get("/livez")
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert alive.status_code == 200
    assert time.monotonic() - started < 2


def test_the_documentation_needs_no_other_server() -> None:
    page = Client().get("/docs").content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "https://" not in page
