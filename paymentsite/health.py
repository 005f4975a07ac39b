"""Answers health checks: `/livez` (the process answers), `/healthz` (it reaches the database) and
`/healthz/jobs` (workers consume the queues of jobs); and exceptions that no page caught.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import psycopg
import structlog
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from payments.api.errors import database_is_unavailable
from paymentsite.sweep_runs import last_runs
from paymentsite.sweeps import HEARTBEATS

# Shorter than a request waits for a connection: a probe must not wait.
_WAIT_SECONDS = 1.0
NOT_CONSUMED_AFTER_SECONDS: Final = 3 * settings.HEARTBEAT_SECONDS
"""Three missed heartbeats: a queue is reported as not consumed."""

log = structlog.get_logger(__name__)

_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    "<title>Not available</title></head><body><main><p>{text}</p></main></body></html>"
)


@never_cache
def livez(request: HttpRequest) -> JsonResponse:
    """200 while the process answers."""
    return JsonResponse({"status": "ok"})


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when this process can serve a payment, 503 when it cannot reach the database."""
    try:
        _query_database()
    except (Error, psycopg.Error) as error:
        log.warning("database not reached", error=type(error).__name__)
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


@never_cache
def jobs(request: HttpRequest) -> JsonResponse:
    """200 while every queue is consumed, else 503; both with the age of each queue's heartbeat.

    The ages come from the database, so that every API process answers the same.
    """
    try:
        ages = _heartbeat_ages_seconds()
    except (Error, psycopg.Error) as error:
        log.warning("database not reached", error=type(error).__name__)
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    not_consumed = [
        queue for queue, age in ages.items() if age is None or age > NOT_CONSUMED_AFTER_SECONDS
    ]
    body = {
        "status": "unavailable" if not_consumed else "ok",
        "silent": not_consumed,
        "seconds_since_heartbeat": ages,
        "silent_after_seconds": NOT_CONSUMED_AFTER_SECONDS,
    }
    return JsonResponse(body, status=503 if not_consumed else 200)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page of an exception that no view caught: 503 if the database is away, else 500.

    Django logs the exception. The merchant API answers its own.
    """
    error = sys.exc_info()[1]
    if error is not None and database_is_unavailable(error):
        text = "The service is not available right now. Please try again in a minute."
        response = HttpResponse(_PAGE.format(text=text), status=503)
        response["Retry-After"] = "10"
    else:
        response = HttpResponse(_PAGE.format(text="Something went wrong on our side."), status=500)
    response["Cache-Control"] = "no-store"
    return response


def _heartbeat_ages_seconds() -> dict[str, float | None]:
    """By queue the age of the last heartbeat that a worker ran; None if there was none."""
    ages = {run.name: run.finished_seconds_ago for run in last_runs()}
    return {
        queue.value: None if (age := ages.get(name)) is None else round(age, 1)
        for queue, name in HEARTBEATS.items()
    }


def _query_database() -> None:
    pool: Any = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    pool.open()
    with pool.connection(timeout=_WAIT_SECONDS) as raw:
        raw.execute("SELECT 1")
