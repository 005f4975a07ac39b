"""Health answers quickly, whether or not the database does."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from paymentsite.celery import heartbeat_money, heartbeat_routine
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
    assert time.monotonic() - started < 2


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
    page = Client().get("/docs").content.decode()
    assert "/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js" in page
    assert "https://" not in page
