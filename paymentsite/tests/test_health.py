"""Health answers quickly, whether or not the database does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from payments import public_ids
from paymentsite.celery import heartbeat_money, heartbeat_routine
from paymentsite.health import server_error
from paymentsite.models import SweepRun

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
    assert time.monotonic() - started < 10


@pytest.fixture
def no_database() -> Iterator[None]:
    """Every connection is refused."""
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], "1"
    yield
    connection.close()
    connection.settings_dict["PORT"] = port


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/metrics"])
def test_a_probe_is_answered_whatever_its_host(path: str) -> None:
    answer = Client().get(path, headers={"host": "10.0.0.7:8000"})
    assert answer.status_code == 200
    assert Client().get("/admin/login/", headers={"host": "10.0.0.7"}).status_code == 400


RETURNED = f"/return/{public_ids.encode(public_ids.PAYMENT_INTENT, UUID(int=1))}?token=x"


@pytest.mark.parametrize("path", [RETURNED, "/admin/payments/paymentintent/"])
def test_a_page_without_the_database_says_so(no_database: None, path: str) -> None:
    client = Client(raise_request_exception=False)
    client.cookies["sessionid"] = "0123456789abcdef"
    answer = client.get(path)
    assert (answer.status_code, answer["Retry-After"]) == (503, "10")
    assert "try again in a minute" in answer.content.decode()


def test_another_exception_is_a_500_that_tells_nothing() -> None:
    try:
        raise ValueError("secret internals")
    except ValueError:
        answer = server_error(RequestFactory().get("/"))
    assert answer.status_code == 500
    assert "secret" not in answer.content.decode()


def test_jobs_are_healthy_while_every_queue_is_consumed() -> None:
    answer = Client().get("/healthz/jobs")
    assert answer.status_code == 503
    assert answer.json()["silent"] == ["money", "routine"]
    heartbeat_money()
    heartbeat_routine()
    answer = Client().get("/healthz/jobs")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert all(0 <= age < 30 for age in answer.json()["seconds_since_heartbeat"].values())


def test_an_old_heartbeat_is_reported_with_its_age() -> None:
    heartbeat_money()
    heartbeat_routine()
    SweepRun.objects.filter(name="heartbeat-money").update(
        last_finished_at=timezone.now() - timedelta(seconds=31)
    )
    answer = Client().get("/healthz/jobs")
    assert (answer.status_code, answer.json()["silent"]) == (503, ["money"])
    assert 31 <= answer.json()["seconds_since_heartbeat"]["money"] < 60


def test_the_documentation_needs_no_other_server() -> None:
    page = Client().get("/docs/try").content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "https://" not in page
