"""`/metrics` for Prometheus: counters of every process of this machine, and figures of the tables.

Each process writes its counters to a shared folder (PROMETHEUS_MULTIPROC_DIR). Any API process adds
them up, so each gives the whole answer. The figures of the tables are queried on request. These
queries use indexes of open rows only, and read no more than a fixed number of rows.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from hmac import compare_digest
from pathlib import Path
from typing import Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from payments import metrics as payment_metrics
from paymentsite.database_metrics import BREAKER_STATE, FromDatabase

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PROXIES_SAY: Final = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")
_LIVE_FILE: Final = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_OPEN_UNTIL: Final = "payments_psp_breaker_open_until_seconds"


@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answers with all metrics in Prometheus's text format; 404 without permission.

    The request needs METRICS_TOKEN as its bearer token. In development, without a token set, it
    must come from this machine and through no proxy: a proxy of this machine may not say that it
    is one.
    """
    if not _may_read(request):
        return HttpResponseNotFound()
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if not settings.IN_DEVELOPMENT or any(name in request.META for name in _PROXIES_SAY):
        return False
    return request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1")


def _registry() -> CollectorRegistry:
    folder = os.environ.get(_FOLDER_VARIABLE)
    registry = CollectorRegistry()
    if folder:
        _remove_ended_processes(Path(folder))
        registry.register(_Counted(MultiProcessCollector(None, path=folder)))
    else:
        registry.register(_Counted(REGISTRY))
    registry.register(FromDatabase())
    return registry


def _remove_ended_processes(folder: Path) -> None:
    """Remove the gauges of processes that have ended; their counters stay."""
    for file in folder.glob("gauge_live*.db"):
        found = _LIVE_FILE.fullmatch(file.name)
        if found is not None and not Path("/proc", found[1]).exists():
            mark_process_dead(int(found[1]), path=str(folder))


class _Counted(Collector):
    """Counters of the processes (without a shared folder: of this one), and circuit breakers.

    An open circuit becomes half open with time, without any call. Its process therefore writes
    until when it is open, and the state is derived here.
    """

    def __init__(self, source: Collector) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        for family in self._source.collect():
            yield family
            if family.name == _OPEN_UNTIL:
                yield _breaker_states(family)


def _breaker_states(open_until: Metric) -> Metric:
    now = time.time()
    return BREAKER_STATE.of(
        {
            (sample.labels["account"], sample.labels["kind"]): payment_metrics.breaker_state(
                sample.value, now=now
            )
            for sample in open_until.samples
        }
    )
