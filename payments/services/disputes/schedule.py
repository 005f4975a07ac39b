"""When a dispute is next synced with the PSP, and when its merchant is reminded."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from payments.models import Dispute

REMINDERS_BEFORE_DEADLINE: Final = (timedelta(hours=72), timedelta(hours=24))
"""A merchant gets one reminder each, so long before the deadline."""


OPEN_DISPUTE_SYNC_INTERVAL: Final = timedelta(hours=6)
"""Open disputes are synced this often without a notification, for notifications get lost."""


SYNC_AFTER_DEADLINE: Final = timedelta(minutes=5)


def next_sync(dispute: Dispute, now: datetime) -> datetime | None:
    """When to sync an open dispute next: soon after its deadline, or every few hours."""
    if not dispute.is_open:
        return None
    usual = now + OPEN_DISPUTE_SYNC_INTERVAL * random.uniform(0.9, 1.1)
    if dispute.evidence_due_by is None or dispute.evidence_due_by < now:
        return usual
    return min(usual, dispute.evidence_due_by + SYNC_AFTER_DEADLINE)


def next_reminder(dispute: Dispute, now: datetime) -> datetime | None:
    """The next reminder still to come; None if the merchant need not or cannot respond."""
    if dispute.slot_is_spent or dispute.evidence_due_by is None:
        return None
    moments = (dispute.evidence_due_by - before for before in REMINDERS_BEFORE_DEADLINE)
    return min((moment for moment in moments if moment > now), default=None)
