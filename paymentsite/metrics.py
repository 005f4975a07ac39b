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

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.views.decorators.cache import never_cache
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from ledger.database import row_ids
from payments import metrics as payment_metrics
from payments.selectors import books_checks, waiting
from paymentsite.sweep_runs import last_runs
from reconciliation import selectors as settlement

log = structlog.get_logger(__name__)

_FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PROXIES_SAY: Final = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_VIA")
_LIVE_FILE: Final = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_OPEN_UNTIL: Final = "payments_psp_breaker_open_until_seconds"


@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answers with all metrics in Prometheus's text format; 404 without permission.

    If METRICS_TOKEN is set, the request needs it as its bearer token. Otherwise the request must
    come from this machine and through no proxy.
    """
    if not _may_read(request):
        return HttpResponseNotFound()
    return HttpResponse(generate_latest(_registry()), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    if any(name in request.META for name in _PROXIES_SAY):
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
    registry.register(_Database())
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
    family = GaugeMetricFamily(
        "payments_psp_breaker_state",
        "Worst circuit breaker of the living processes: 0 closed, 1 half open, 2 open.",
        labels=("account", "kind"),
    )
    now = time.time()
    for sample in open_until.samples:
        labels = (sample.labels["account"], sample.labels["kind"])
        family.add_metric(labels, payment_metrics.breaker_state(sample.value, now=now))
    return family


class _Database(Collector):
    """Figures of what is open, waiting and overdue, and whether the database answered."""

    def collect(self) -> Iterator[Metric]:
        try:
            families = [
                *_of_operations(),
                *_of_notifications(),
                *_of_settlement(),
                *_of_events(),
                *_of_the_books(),
                *_of_sweeps(),
            ]
        except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
            log.warning("database not reached", error=type(error).__name__)
            families = []
        yield GaugeMetricFamily(
            "payments_database_up",
            "1 if the database answered the queries of this page.",
            value=1 if families else 0,
        )
        yield from families


def _of_operations() -> Iterator[Metric]:
    unknown = waiting.operations_with_unknown_outcome()
    yield GaugeMetricFamily(
        "payments_operations_unknown",
        f"Operations whose outcome is unknown, {waiting.COUNT_MOST} at most.",
        value=unknown.count,
    )
    yield GaugeMetricFamily(
        "payments_oldest_unknown_operation_seconds",
        "Age of the oldest operation whose outcome is unknown.",
        value=unknown.oldest_seconds,
    )
    yield GaugeMetricFamily(
        "payments_recovery_overdue_seconds",
        "How long the longest overdue look-up of an operation has been due.",
        value=waiting.recovery_overdue_seconds(),
    )


def _of_notifications() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "payments_notifications_waiting",
        f"Notifications of PSPs not processed yet, {waiting.COUNT_MOST} at most.",
        value=waiting.notifications_waiting(),
    )
    yield GaugeMetricFamily(
        "payments_notifications_overdue_seconds",
        "How long the longest overdue notification has been due.",
        value=waiting.notifications_overdue_seconds(),
    )
    yield GaugeMetricFamily(
        "payments_notifications_dead",
        f"Dead-lettered notifications, {waiting.COUNT_MOST} at most.",
        value=waiting.notifications_dead(),
    )


def _of_settlement() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "payments_settlement_lines_overdue_seconds",
        "How long the longest overdue settlement line has been due.",
        value=settlement.lines_overdue_seconds(),
    )
    yield GaugeMetricFamily(
        "payments_settlement_lines_dead",
        f"Dead-lettered settlement lines, {settlement.COUNT_MOST} at most.",
        value=settlement.lines_dead(),
    )


def _of_the_books() -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "payments_books_differences",
        f"Open cases `books_differ`, {books_checks.DIFFERENCES_MOST} at most.",
        value=books_checks.books_differences(),
    )
    yield GaugeMetricFamily(
        "payments_books_check_behind_seconds",
        "Age of the oldest change of a payment not yet compared with the books.",
        value=books_checks.recent_check_behind_seconds(),
    )
    yield GaugeMetricFamily(
        "payments_list_horizon_seconds",
        "Age of the oldest transaction under way that makes ids of listed rows.",
        value=row_ids.horizon_seconds(),
    )
    last = books_checks.last_pass()
    if last is not None:
        yield GaugeMetricFamily(
            "payments_books_verified_seconds_ago",
            "Seconds since the books were last verified completely.",
            value=last.seconds_ago,
        )
        yield GaugeMetricFamily(
            "payments_books_unchecked_parts",
            "Parts of the books that the daily verification skipped because they took too long.",
            value=last.unchecked,
        )


def _of_events() -> Iterator[Metric]:
    overdue = GaugeMetricFamily(
        "payments_events_overdue_seconds",
        "How long the oldest event has waited to be sent, by way.",
        labels=["way"],
    )
    for way, seconds in waiting.events_overdue_seconds().items():
        overdue.add_metric([way], seconds)
    yield overdue
    yield GaugeMetricFamily(
        "payments_deliveries_overdue_seconds",
        "How long the longest overdue delivery to a working webhook endpoint has been due.",
        value=waiting.deliveries_overdue_seconds(),
    )
    behind = GaugeMetricFamily(
        "payments_stream_behind",
        "Events that a group of the internal stream has not consumed yet.",
        labels=["group"],
    )
    for group, events in waiting.stream_behind().items():
        if group in settings.STREAM_GROUPS:
            behind.add_metric([group], events)
    yield behind


def _of_sweeps() -> Iterator[Metric]:
    age = GaugeMetricFamily(
        "payments_sweep_age_seconds", "Seconds since a sweep last succeeded.", labels=["sweep"]
    )
    runs = CounterMetricFamily("payments_sweep_runs", "Runs of a sweep.", labels=["sweep"])
    failures = CounterMetricFamily(
        "payments_sweep_failures", "Runs of a sweep that failed.", labels=["sweep"]
    )
    result = GaugeMetricFamily(
        "payments_sweep_result", "The number that a sweep's last run returned.", labels=["sweep"]
    )
    for run in last_runs():
        if run.finished_seconds_ago is not None:
            age.add_metric([run.name], run.finished_seconds_ago)
        runs.add_metric([run.name], run.runs)
        failures.add_metric([run.name], run.failures)
        if run.last_result.isdigit():
            result.add_metric([run.name], int(run.last_result))
    yield from (age, runs, failures, result)
