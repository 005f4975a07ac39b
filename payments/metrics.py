"""Declares the Prometheus metrics that processes count: requests, PSP calls, pools and more.

With PROMETHEUS_MULTIPROC_DIR set (the launcher does) every process of the machine writes its part
into that folder, and the process that is scraped adds them up: counters and histograms by sum,
gauges of living processes as they are. Figures from the database are read by
paymentsite.database_metrics at each scrape, not here.

Why not django-prometheus: its middleware and database wrapper would stand on the payment path twice
over (the merchant API passes by the middlewares, the database backend is ours), and its view is ten
lines around the same client library.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

BREAKER_STATES: Final = {"closed": 0, "half_open": 1, "open": 2}
"""As numbers, so that the greatest of several processes is the worst."""

REQUESTS: Final = Counter(
    "payments_api_requests",
    "Requests to the merchant API by route and status.",
    ("method", "route", "status"),
)
REQUEST_SECONDS: Final = Histogram(
    "payments_api_request_seconds",
    "How long requests to the merchant API took, from their first byte in Python.",
    ("method", "route"),
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
_CALL: Final = ("account", "kind")

CALLS: Final = Counter(
    "payments_psp_calls", "Calls to PSPs by what they ended in.", (*_CALL, "outcome")
)
CALL_SECONDS: Final = Histogram(
    "payments_psp_call_seconds",
    "How long calls to PSPs took.",
    _CALL,
    buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 12),
)
RETRIES: Final = Counter("payments_psp_retries", "Calls that were made again at once.", _CALL)
FAILOVERS: Final = Counter(
    "payments_failovers",
    "Charges that an account did not make, and that went on at another one.",
    ("account", "reason"),
)
CASES_CLOSED_BY_RULE: Final = Counter(
    "payments_cases_closed_by_rule",
    "Cases that were closed without an operator, by rule.",
    ("account", "rule"),
)
LATE_SETTLEMENTS: Final = Counter(
    "payments_late_settlements",
    "Captures and refunds whose settlement line came later than the settlement calendar says.",
    ("account",),
)
SETTLEMENT_VARIANCES: Final = Counter(
    "payments_settlement_variances",
    "Amounts of matched settlement lines that are not the agreed ones.",
    ("account", "discrepancy"),
)
RETRIES_FORGONE: Final = Counter(
    "payments_psp_retries_forgone", "Retries not made, the retry budget being empty.", _CALL
)
REFUSALS: Final = Counter(
    "payments_psp_refusals", "Calls that were not made to spare a PSP or us.", (*_CALL, "reason")
)
PLACES_IN_USE: Final = Gauge(
    "payments_psp_calls_under_way", "Calls under way.", _CALL, multiprocess_mode="livesum"
)
BREAKER_OPEN_UNTIL: Final = Gauge(
    "payments_psp_breaker_open_until_seconds",
    "Unix time at which the last circuit of the living processes lets a probe through; 0: closed.",
    _CALL,
    multiprocess_mode="livemax",
)
"""Not the state, which also changes by time alone, while no process makes a call."""
BREAKER_OPENED: Final = Counter(
    "payments_psp_breaker_opened", "How often a circuit breaker opened.", _CALL
)
LOST_WAKEUPS: Final = Counter(
    "payments_wakeups_lost", "Wake-ups that the broker did not take.", ("task",)
)
WEBHOOKS_REFUSED: Final = Counter(
    "payments_webhooks_refused", "Deliveries of PSPs that were refused.", ("reason",)
)
NOTIFICATIONS: Final = Counter(
    "payments_notifications",
    "Attempts to process notifications of PSPs by how they ended.",
    ("outcome",),
)
DELIVERIES_DEAD_LETTERED: Final = Counter(
    "payments_deliveries_dead_lettered",
    "Deliveries to merchants' webhook endpoints that became dead letters.",
    ("reason",),
)
CROWDED_ANSWERS: Final = Counter(
    "payments_psp_crowded_answers",
    "Requests that waited only a moment, too many others waiting for the same PSP account.",
    ("account",),
)

POOL_IN_USE: Final = Gauge(
    "payments_database_connections_in_use",
    "Pooled database connections that a thread holds.",
    multiprocess_mode="livesum",
)
POOL_WAITING: Final = Gauge(
    "payments_database_connections_waiting",
    "Threads that wait for a pooled database connection.",
    multiprocess_mode="livesum",
)
POOL_TIMEOUTS: Final = Counter(
    "payments_database_pool_timeouts", "Threads that got no pooled connection in time."
)


def breaker_state(open_until: float, *, now: float) -> int:
    """The number of a circuit's state, from what BREAKER_OPEN_UNTIL says of it.

    Of the latest end of several circuits: the worst state of them.
    """
    if not open_until:
        return BREAKER_STATES["closed"]
    return BREAKER_STATES["open" if now < open_until else "half_open"]
