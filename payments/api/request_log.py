"""Counts, times and logs each request to the merchant API, by the route that served it.

A log line names the request as its answer does (`Request-Id`), never its headers or parameters.
"""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import Final

import structlog
from django.http import HttpRequest, HttpResponse

from payments import metrics
from payments.api.card_data import holds_card_number
from payments.models import Merchant

log = structlog.get_logger(__name__)

UNRECOGNIZED: Final = "unrecognized"
"""The route of every URL that does not exist: the label must not have endlessly many values."""
_PATH_LENGTH_MAX: Final = 200
_METHODS: Final = frozenset({"GET", "POST", "DELETE"})
_PATH_ID: Final = re.compile("<[^>]+>")


def record_request(
    request: HttpRequest,
    response: HttpResponse,
    *,
    request_id: str,
    arrived_monotonic: float,
    merchant: Merchant | None,
) -> None:
    """Count and log an answered request; `merchant` is None if its key was not accepted."""
    seconds = time.monotonic() - arrived_monotonic
    method = str(request.method)
    match = request.resolver_match
    route = _route_of(match.route) if match is not None else UNRECOGNIZED
    # A client may send anything as the method.
    labels = (method if method in _METHODS else "other", route)
    metrics.REQUESTS.labels(*labels, str(response.status_code)).inc()
    metrics.REQUEST_SECONDS.labels(*labels).observe(seconds)
    log.info(
        "request",
        request_id=request_id,
        method=method,
        # The redaction of logs cannot tell a card number inside an id; this search can.
        path=route if holds_card_number(request.path) else request.path[:_PATH_LENGTH_MAX],
        status=response.status_code,
        milliseconds=round(1000 * seconds, 1),
        merchant=merchant.public_id if merchant else None,
        replayed="Idempotent-Replayed" in response,
    )


@lru_cache(maxsize=256)
def _route_of(route: str) -> str:
    """`/v1/refunds/{id}` for Django's `v1/refunds/<str:public_id>`."""
    if route.startswith("^"):
        return UNRECOGNIZED
    return "/" + _PATH_ID.sub("{id}", route)
