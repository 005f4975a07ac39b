"""Health: is the process alive (`/livez`), does it reach the database (`/healthz`), and are the
queues of jobs consumed (`/healthz/jobs`)? What may not live here: metrics, restarts.
"""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache

from paymentsite import jobs_health

# A request waits longer for a connection; a probe wants to know now.
_WAIT_SECONDS = 1.0

log = structlog.get_logger(__name__)


@never_cache
def livez(request: HttpRequest) -> JsonResponse:
    """200 while the process answers at all."""
    return JsonResponse({"status": "ok"})


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """200 when this process can serve a payment, 503 when it cannot reach the database."""
    try:
        _ask_database()
    except (Error, psycopg.Error) as error:
        log.warning("database not reached", error=type(error).__name__)
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


@never_cache
def jobs(request: HttpRequest) -> JsonResponse:
    """200 while every queue is consumed, 503 with the ages when the last heartbeat of one is old.

    Every API process says the same: the ages come from the database.
    """
    try:
        ages = jobs_health.heartbeat_ages_seconds()
    except (Error, psycopg.Error) as error:
        log.warning("database not reached", error=type(error).__name__)
        return JsonResponse({"status": "unavailable", "database": "unreachable"}, status=503)
    silent = jobs_health.silent(ages)
    body = {
        "status": "unavailable" if silent else "ok",
        "silent": silent,
        "seconds_since_heartbeat": ages,
        "silent_after_seconds": jobs_health.SILENT_AFTER_SECONDS,
    }
    return JsonResponse(body, status=503 if silent else 200)


def _ask_database() -> None:
    pool: Any = getattr(connection, "pool", None)
    if pool is None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return
    pool.open()
    with pool.connection(timeout=_WAIT_SECONDS) as raw:
        raw.execute("SELECT 1")
