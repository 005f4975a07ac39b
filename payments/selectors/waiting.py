"""Reads how much is waiting, and for how long, for the metrics.

Each query reads a partial index of what is open and stops after a fixed number of rows, so that
none grows with data or with what has piled up. What may not live here: one merchant's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ledger.database.statements import execute, table_of
from payments import public_ids
from payments.models import (
    Case,
    Delivery,
    Dispatch,
    Dispute,
    Operation,
    PspNotification,
    SetupAttempt,
    StreamEntry,
    StreamGroup,
    UnnumberedEvent,
    WebhookEndpoint,
)
from payments.models.dispute import Stage
from payments.states import (
    DISPUTE_UNANSWERED,
    CaseKind,
    CaseStatus,
    DisputeStatus,
    EndpointStatus,
    NotificationStatus,
    OperationStatus,
    SetupAttemptStatus,
)

COUNT_MOST: Final = 10_000
"""More than this is counted as this: it is as bad."""

AGES: Final = {"1h": 3_600, "1d": 86_400, "7d": 604_800}
"""Labels of ages by the seconds that they end before; what is older is `older`."""
DAYS_LEFT: Final = {"overdue": 0, "0": 1, "1": 2, "2": 3, "3-6": 7}
"""Labels of days left by the day that they end before; later is `7+`, no deadline `none`."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Operations, or setups, whose outcome is unknown."""

    count: int
    oldest_seconds: float


def operations_with_unknown_outcome() -> Doubt:
    """Operations in `UNKNOWN`; one that is still being sent does not count."""
    return _doubt(table_of(Operation), f"status = '{OperationStatus.UNKNOWN.value}'")


def setups_with_unknown_outcome() -> Doubt:
    """Setup attempts in `UNKNOWN`, which the index of those that wait for a look-up holds."""
    status = SetupAttemptStatus.UNKNOWN.value
    return _doubt(table_of(SetupAttempt), f"next_check_at IS NOT NULL AND status = '{status}'")


def _doubt(table: str, condition: str) -> Doubt:
    count, oldest_seconds = execute(
        "SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM "
        f"(SELECT created_at FROM {table} WHERE {condition} "
        "ORDER BY created_at LIMIT %s) oldest",
        [COUNT_MOST],
    )[0]
    return Doubt(count, oldest_seconds)


def recovery_overdue_seconds() -> float:
    """For how long the operation that has been due for longest is due; 0 if none is."""
    return _overdue_seconds(table_of(Operation), "next_check_at")


def setups_overdue_seconds() -> float:
    """For how long the setup attempt that has been due for longest is due; 0 if none is."""
    return _overdue_seconds(table_of(SetupAttempt), "next_check_at")


def notifications_waiting() -> int:
    """Notifications stored or failing."""
    return _count(table_of(PspNotification), "next_attempt_at IS NOT NULL")


def notifications_overdue_seconds() -> float:
    """For how long the notification that has been due for longest is due; 0 if none is."""
    return _overdue_seconds(table_of(PspNotification), "next_attempt_at")


def notifications_dead() -> int:
    """Notifications on the dead-letter list."""
    return _count(table_of(PspNotification), f"status = '{NotificationStatus.DEAD.value}'")


def open_cases() -> dict[tuple[str, ...], int]:
    """Open cases by kind and age, the oldest; every combination is there."""
    rows = execute(
        f"SELECT kind, {_bucket('extract(epoch FROM now() - opened_at)', AGES)}, count(*) FROM "
        f"(SELECT kind, opened_at FROM {table_of(Case)} WHERE status = '{CaseStatus.OPEN.value}' "
        "ORDER BY opened_at LIMIT %s) oldest GROUP BY 1, 2",
        [COUNT_MOST],
    )
    ages = (*AGES, "older")
    counts: dict[tuple[str, ...], int] = {(kind.value, age): 0 for kind in CaseKind for age in ages}
    return counts | {(kind, ages[bucket]): count for kind, bucket, count in rows}


def unanswered_disputes() -> dict[str, int]:
    """Disputes that need evidence and have none on its way, by days left; every label is there."""
    left = "extract(epoch FROM evidence_due_by - now()) / 86400"
    stage = (
        f"CASE status WHEN '{DisputeStatus.WARNING_NEEDS_RESPONSE.value}' "
        f"THEN '{Stage.INQUIRY.value}' ELSE '{Stage.CHARGEBACK.value}' END"
    )
    statuses = ", ".join(f"'{status.value}'" for status in sorted(DISPUTE_UNANSWERED))
    rows = execute(
        f"SELECT {_bucket(left, DAYS_LEFT)}, count(*) FROM "
        f"(SELECT evidence_due_by, status, answered_stage FROM {table_of(Dispute)} "
        f"WHERE status IN ({statuses}) ORDER BY evidence_due_by LIMIT %s) urgent "
        f"WHERE answered_stage <> {stage} GROUP BY 1",
        [COUNT_MOST],
    )
    labels = (*DAYS_LEFT, "7+")
    counts = dict.fromkeys((*labels, "none"), 0)
    return counts | {"none" if bucket is None else labels[bucket]: n for bucket, n in rows}


def failing_endpoints() -> dict[str, int]:
    """Enabled webhook endpoints whose attempts fail, by for how long; every age is there."""
    rows = execute(
        f"SELECT {_bucket('extract(epoch FROM now() - failing_since)', AGES)}, count(*) FROM "
        f"(SELECT failing_since FROM {table_of(WebhookEndpoint)} WHERE failing_since IS NOT NULL "
        f"AND status = '{EndpointStatus.ENABLED.value}' ORDER BY failing_since LIMIT %s) longest "
        "GROUP BY 1",
        [COUNT_MOST],
    )
    ages = (*AGES, "older")
    return dict.fromkeys(ages, 0) | {ages[bucket]: count for bucket, count in rows}


def events_overdue_seconds() -> dict[str, float]:
    """By way out (`webhooks`, `stream`): for how long the oldest event has waited for it."""
    rows = execute(
        "SELECT extract(epoch FROM now())::float8, "
        f"(SELECT event_id FROM {table_of(Dispatch)} ORDER BY event_id LIMIT 1), "
        f"(SELECT event_id FROM {table_of(UnnumberedEvent)} ORDER BY event_id LIMIT 1)"
    )
    now, *oldest = rows[0]
    return {
        way: max(0.0, now - public_ids.created_ms_of(event_id) / 1000) if event_id else 0.0
        for way, event_id in zip(("webhooks", "stream"), oldest, strict=True)
    }


def deliveries_overdue_seconds() -> float:
    """For how long the delivery that is due for longest is due, at endpoints that work.

    One that fails is late by itself. As many steps as there are endpoints with something to try.
    """
    delivery = table_of(Delivery)
    rows = execute(
        "WITH RECURSIVE waiting AS ("
        f"(SELECT endpoint_id, next_attempt_at FROM {delivery} WHERE next_attempt_at IS NOT NULL "
        "ORDER BY endpoint_id, next_attempt_at LIMIT 1) UNION ALL "
        f"SELECT following.* FROM waiting w CROSS JOIN LATERAL ("
        f"SELECT d.endpoint_id, d.next_attempt_at FROM {delivery} d "
        "WHERE d.next_attempt_at IS NOT NULL AND d.endpoint_id > w.endpoint_id "
        "ORDER BY d.endpoint_id, d.next_attempt_at LIMIT 1"
        ") AS following) "
        "SELECT greatest(extract(epoch FROM now() - min(w.next_attempt_at)), 0)::float8 "
        f"FROM waiting w JOIN {table_of(WebhookEndpoint)} e ON e.id = w.endpoint_id "
        "WHERE e.status = 'enabled' AND e.failing_since IS NULL"
    )
    seconds: float | None = rows[0][0]
    return seconds or 0.0


def months_ahead() -> dict[str, int]:
    """By table that is partitioned by month: how many months after the present one it has."""
    rows = execute(
        "SELECT parent, (SELECT count(*) FROM payments_months(parent) WHERE begins > now()) "
        "FROM (SELECT partrelid::regclass::text AS parent FROM pg_partitioned_table) AS tables"
    )
    return dict(rows)


def stream_behind() -> dict[str, int]:
    """By group of the internal stream: how many events it has not consumed yet."""
    rows = execute(
        f"SELECT name, greatest((SELECT coalesce(max(number), 0) FROM {table_of(StreamEntry)}) "
        f"- consumed_to, 0) FROM {table_of(StreamGroup)} ORDER BY name"
    )
    return dict(rows)


def _bucket(value: str, ends: Mapping[str, int]) -> str:
    """SQL: the position of the first end that is greater; their number if none is."""
    return f"width_bucket(({value})::float8, ARRAY{list(ends.values())}::float8[])"


def _count(table: str, condition: str) -> int:
    rows = execute(
        f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {condition} LIMIT %s) found",
        [COUNT_MOST],
    )
    counted: int = rows[0][0]
    return counted


def _overdue_seconds(table: str, column: str) -> float:
    rows = execute(
        f"SELECT greatest(extract(epoch FROM now() - min({column})), 0)::float8 FROM {table} "
        f"WHERE {column} IS NOT NULL"
    )
    seconds: float | None = rows[0][0]
    return seconds or 0.0
