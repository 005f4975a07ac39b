"""Declares the metrics that each scrape computes, and reads those of the database.

Their queries use indexes of open rows, and read no more than a fixed number of rows. Metrics that
processes count themselves are declared in payments.metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.database import row_ids
from payments.selectors import books_checks, waiting
from paymentsite.sweep_runs import last_runs
from reconciliation import selectors as settlement

log = structlog.get_logger(__name__)

Samples = Mapping[tuple[str, ...], float]
"""By the values of the labels."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric computed at each scrape: a gauge, or the total of a counter."""

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    is_counter: bool = False

    def of(self, values: float | Samples) -> Metric:
        """The metric with one value, or with one for each combination of its labels."""
        kind = CounterMetricFamily if self.is_counter else GaugeMetricFamily
        family = kind(self.name, self.meaning, labels=self.labels)
        samples = values if isinstance(values, Mapping) else {(): values}
        for labels, value in samples.items():
            family.add_metric(labels, value)
        return family


BREAKER_STATE: Final = Figure(
    "payments_psp_breaker_state",
    "Worst circuit breaker of the living processes: 0 closed, 1 half open, 2 open.",
    ("account", "kind"),
)
"""Not from the database: paymentsite.metrics derives it from what the processes wrote."""
_MOST: Final = f"{waiting.COUNT_MOST} at most"
_WAY, _GROUP, _SWEEP = ("way",), ("group",), ("sweep",)
_declared: Final = (
    BREAKER_STATE,
    Figure("payments_database_up", "1 if the database answered the queries of this page."),
    Figure("payments_operations_unknown", f"Operations whose outcome is unknown, {_MOST}."),
    Figure(
        "payments_oldest_unknown_operation_seconds",
        "Age of the oldest operation whose outcome is unknown.",
    ),
    Figure(
        "payments_recovery_overdue_seconds",
        "How long the longest overdue look-up of an operation has been due.",
    ),
    Figure("payments_setups_unknown", f"Setups of cards whose outcome is unknown, {_MOST}."),
    Figure(
        "payments_oldest_unknown_setup_seconds", "Age of the oldest setup whose outcome is unknown."
    ),
    Figure(
        "payments_setups_overdue_seconds",
        "How long the longest overdue look-up of a setup has been due.",
    ),
    Figure("payments_notifications_waiting", f"Notifications of PSPs not processed yet, {_MOST}."),
    Figure(
        "payments_notifications_overdue_seconds",
        "How long the longest overdue notification has been due.",
    ),
    Figure("payments_notifications_dead", f"Dead-lettered notifications, {_MOST}."),
    Figure(
        "payments_settlement_lines_overdue_seconds",
        "How long the longest overdue settlement line has been due.",
    ),
    Figure(
        "payments_settlement_lines_dead",
        f"Dead-lettered settlement lines, {settlement.COUNT_MOST} at most.",
    ),
    Figure(
        "payments_settlement_lines_unmatched",
        "Settlement lines that are failing or dead-lettered, by discrepancy, "
        f"{settlement.COUNT_MOST} at most.",
        ("discrepancy",),
    ),
    Figure(
        "payments_settlement_lines_over_ceiling",
        "Settlement lines that wait because the look-ups of their account are spent.",
        ("account",),
    ),
    Figure(
        "payments_settlements_missing",
        "Captures and refunds that should be in a settlement report by now and are in none, "
        f"{settlement.COUNT_MOST} at most.",
    ),
    Figure(
        "payments_cases_open",
        f"Open cases by kind and by how long they have been open; {_MOST}, the oldest.",
        ("kind", "age"),
    ),
    Figure(
        "payments_disputes_unanswered",
        "Disputes that need evidence, by the whole days left to submit it; "
        f"{_MOST}, the most urgent.",
        ("days_left",),
    ),
    Figure(
        "payments_webhook_endpoints_failing",
        f"Enabled webhook endpoints that fail, by for how long, {_MOST}.",
        ("age",),
    ),
    Figure(
        "payments_books_differences",
        f"Open cases `books_differ`, {books_checks.DIFFERENCES_MOST} at most.",
    ),
    Figure(
        "payments_books_check_behind_seconds",
        "Age of the oldest change of a payment not yet compared with the books.",
    ),
    Figure(
        "payments_list_horizon_seconds",
        "Age of the oldest transaction under way that makes ids of listed rows.",
    ),
    Figure(
        "payments_books_verified_seconds_ago",
        "Seconds since the books were last verified completely.",
    ),
    Figure(
        "payments_books_unchecked_parts",
        "Parts of the books that the daily verification skipped because they took too long.",
    ),
    Figure(
        "payments_events_overdue_seconds",
        "How long the oldest event has waited to be sent, by way.",
        _WAY,
    ),
    Figure(
        "payments_deliveries_overdue_seconds",
        "How long the longest overdue delivery to a working webhook endpoint has been due.",
    ),
    Figure(
        "payments_stream_behind",
        "Events that a group of the internal stream has not consumed yet.",
        _GROUP,
    ),
    Figure(
        "payments_months_ahead",
        "Months after the present one that a table partitioned by month has.",
        ("table",),
    ),
    Figure("payments_sweep_age_seconds", "Seconds since a sweep last succeeded.", _SWEEP),
    Figure("payments_sweep_runs", "Runs of a sweep.", _SWEEP, is_counter=True),
    Figure("payments_sweep_failures", "Runs of a sweep that failed.", _SWEEP, is_counter=True),
    Figure("payments_sweep_result", "The number that a sweep's last run returned.", _SWEEP),
)
FIGURES: Final = {figure.name: figure for figure in _declared}


class FromDatabase(Collector):
    """Reads every figure; without a database only `payments_database_up`, which is then 0."""

    def collect(self) -> Iterator[Metric]:
        try:
            values = {
                **_of_payments(),
                **_of_settlement_and_the_books(),
                **_of_events(),
                **_of_sweeps(),
            }
        except (OperationalError, InterfaceError, psycopg.OperationalError) as error:
            log.warning("database not reached", error=type(error).__name__)
            values = {}
        values["payments_database_up"] = 1 if values else 0
        for name, value in values.items():
            yield FIGURES[name].of(value)


def _of_payments() -> dict[str, float | Samples]:
    unknown = waiting.operations_with_unknown_outcome()
    setups = waiting.setups_with_unknown_outcome()
    return {
        "payments_operations_unknown": unknown.count,
        "payments_oldest_unknown_operation_seconds": unknown.oldest_seconds,
        "payments_recovery_overdue_seconds": waiting.recovery_overdue_seconds(),
        "payments_setups_unknown": setups.count,
        "payments_oldest_unknown_setup_seconds": setups.oldest_seconds,
        "payments_setups_overdue_seconds": waiting.setups_overdue_seconds(),
        "payments_notifications_waiting": waiting.notifications_waiting(),
        "payments_notifications_overdue_seconds": waiting.notifications_overdue_seconds(),
        "payments_notifications_dead": waiting.notifications_dead(),
        "payments_cases_open": waiting.open_cases(),
        "payments_disputes_unanswered": _by_one_label(waiting.unanswered_disputes()),
    }


def _of_settlement_and_the_books() -> dict[str, float | Samples]:
    values: dict[str, float | Samples] = {
        "payments_settlement_lines_overdue_seconds": settlement.lines_overdue_seconds(),
        "payments_settlement_lines_dead": settlement.lines_dead(),
        "payments_settlement_lines_unmatched": _by_one_label(settlement.unmatched_lines()),
        "payments_settlement_lines_over_ceiling": _by_one_label(settlement.lines_over_ceiling()),
        "payments_settlements_missing": settlement.settlements_missing(),
        "payments_books_differences": books_checks.books_differences(),
        "payments_books_check_behind_seconds": books_checks.recent_check_behind_seconds(),
        "payments_list_horizon_seconds": row_ids.horizon_seconds(),
    }
    last = books_checks.last_pass()
    if last is not None:
        values["payments_books_verified_seconds_ago"] = last.seconds_ago
        values["payments_books_unchecked_parts"] = last.unchecked
    return values


def _of_events() -> dict[str, float | Samples]:
    behind = waiting.stream_behind()
    return {
        "payments_events_overdue_seconds": _by_one_label(waiting.events_overdue_seconds()),
        "payments_deliveries_overdue_seconds": waiting.deliveries_overdue_seconds(),
        "payments_webhook_endpoints_failing": _by_one_label(waiting.failing_endpoints()),
        "payments_months_ahead": _by_one_label(waiting.months_ahead()),
        "payments_stream_behind": {
            (group,): behind[group] for group in settings.STREAM_GROUPS if group in behind
        },
    }


def _of_sweeps() -> dict[str, float | Samples]:
    runs = last_runs()
    return {
        "payments_sweep_age_seconds": {
            (run.name,): run.finished_seconds_ago
            for run in runs
            if run.finished_seconds_ago is not None
        },
        "payments_sweep_runs": {(run.name,): run.runs for run in runs},
        "payments_sweep_failures": {(run.name,): run.failures for run in runs},
        "payments_sweep_result": {
            (run.name,): int(run.last_result.partition(":")[0])
            for run in runs
            if run.last_result.partition(":")[0].isdigit()
        },
    }


def _by_one_label(values: Mapping[str, float]) -> Samples:
    return {(label,): value for label, value in values.items()}
