"""Requeues notifications that were dead-lettered or processed, so that they are processed again.

A repeat is harmless: it looks up the PSP and records the result like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from payments.clock import now_utc
from payments.models import PspNotification
from payments.services.jobs import wakeups
from payments.services.psp_notifications.receiving import GIVE_UP_AFTER
from payments.states import NotificationStatus

_PER_TRANSACTION: Final = 200
REPLAYABLE: Final = frozenset({NotificationStatus.DEAD, NotificationStatus.PROCESSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationFilter:
    """Which notifications are meant; a field that is not set restricts nothing."""

    status: NotificationStatus = NotificationStatus.DEAD
    account_code: str = ""
    type: str = ""
    event_id: str = ""
    received_from: datetime | None = None
    received_before: datetime | None = None


def matching_notifications(wanted: NotificationFilter) -> QuerySet[PspNotification]:
    """The notifications that match, oldest first, without their bodies.

    Raises ValueError for a status that is processed anyway.
    """
    if wanted.status not in REPLAYABLE:
        raise ValueError(f"notifications that are {wanted.status} are processed anyway")
    rows = PspNotification.objects.filter(status=wanted.status).defer("body").order_by("id")
    if wanted.account_code:
        rows = rows.filter(psp_account__code=wanted.account_code)
    if wanted.type:
        rows = rows.filter(type=wanted.type)
    if wanted.event_id:
        rows = rows.filter(event_id=wanted.event_id)
    if wanted.received_from is not None:
        rows = rows.filter(received_at__gte=wanted.received_from)
    if wanted.received_before is not None:
        rows = rows.filter(received_at__lt=wanted.received_before)
    return rows


def replay_notifications(wanted: NotificationFilter, *, limit: int = 10_000) -> int:
    """Requeue the notifications that match, at most `limit`; returns how many."""
    ids = list(matching_notifications(wanted).values_list("id", flat=True)[:limit])
    return sum(
        _requeue(ids[start : start + _PER_TRANSACTION])
        for start in range(0, len(ids), _PER_TRANSACTION)
    )


def _requeue(ids: list[UUID]) -> int:
    now = now_utc()
    with transaction.atomic(durable=True):
        rows = list(
            PspNotification.objects.select_for_update(skip_locked=True)
            .filter(pk__in=ids, status__in=sorted(REPLAYABLE))
            .defer("body")
        )
        for row in rows:
            row.requeue()
            row.next_attempt_at, row.give_up_at = now, now + GIVE_UP_AFTER
            row.processed_at = None
            row.save(update_fields=["status", "next_attempt_at", "give_up_at", "processed_at"])
        if rows:
            wakeups.wake(wakeups.PROCESS_NOTIFICATIONS)
    return len(rows)
