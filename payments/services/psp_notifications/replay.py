"""The dead-letter list of notifications: what was given up, and having it looked at again.

Looking again is always harmless: the PSP is asked, and the one door decides. What may not live
here: processing.
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
class Choice:
    """Which notifications are meant; what is not named is not looked at."""

    status: NotificationStatus = NotificationStatus.DEAD
    account_code: str = ""
    type: str = ""
    event_id: str = ""
    received_from: datetime | None = None
    received_before: datetime | None = None


def chosen_notifications(choice: Choice) -> QuerySet[PspNotification]:
    """The notifications of a choice, oldest first, without their bodies.

    Refuses with ValueError a status that waits anyway.
    """
    if choice.status not in REPLAYABLE:
        raise ValueError(f"notifications that are {choice.status} are looked at anyway")
    rows = PspNotification.objects.filter(status=choice.status).defer("body").order_by("id")
    if choice.account_code:
        rows = rows.filter(psp_account__code=choice.account_code)
    if choice.type:
        rows = rows.filter(type=choice.type)
    if choice.event_id:
        rows = rows.filter(event_id=choice.event_id)
    if choice.received_from is not None:
        rows = rows.filter(received_at__gte=choice.received_from)
    if choice.received_before is not None:
        rows = rows.filter(received_at__lt=choice.received_before)
    return rows


def replay_notification(notification_id: UUID) -> bool:
    """Have one notification looked at again; False if it waits anyway or does not exist."""
    return _revive([notification_id]) == 1


def replay_notifications(choice: Choice, *, limit: int = 10_000) -> int:
    """Have the chosen notifications looked at again, at most `limit`; how many there were."""
    ids = list(chosen_notifications(choice).values_list("id", flat=True)[:limit])
    return sum(
        _revive(ids[start : start + _PER_TRANSACTION])
        for start in range(0, len(ids), _PER_TRANSACTION)
    )


def _revive(ids: list[UUID]) -> int:
    now = now_utc()
    with transaction.atomic(durable=True):
        rows = list(
            PspNotification.objects.select_for_update(skip_locked=True)
            .filter(pk__in=ids, status__in=sorted(REPLAYABLE))
            .defer("body")
        )
        for row in rows:
            row.revive()
            row.next_try_at, row.give_up_at = now, now + GIVE_UP_AFTER
            row.processed_at = None
            row.save(update_fields=["status", "next_try_at", "give_up_at", "processed_at"])
        if rows:
            wakeups.ring(wakeups.PROCESS_NOTIFICATIONS)
    return len(rows)
