"""When a dispute is next synced with the PSP, and when its merchant is reminded."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from payments.models import Dispute

REMINDERS_BEFORE_DEADLINE: Final = (timedelta(hours=72), timedelta(hours=24))
"""How long before the deadline a merchant is reminded, once each."""


OPEN_DISPUTE_SYNC_INTERVAL: Final = timedelta(hours=6)
"""Open disputes are asked about although nobody told us anything: notices get lost."""


SYNC_AFTER_DEADLINE: Final = timedelta(minutes=5)


def next_sync(dispute: Dispute, now: datetime) -> datetime | None:
    """When to ask about an open dispute again: soon after its deadline, or every few hours."""
    if not dispute.is_open:
        return None
    usual = now + OPEN_DISPUTE_SYNC_INTERVAL * random.uniform(0.9, 1.1)
    if dispute.evidence_due_by is None or dispute.evidence_due_by < now:
        return usual
    return min(usual, dispute.evidence_due_by + SYNC_AFTER_DEADLINE)


def next_reminder(dispute: Dispute, now: datetime) -> datetime | None:
    """The next reminder that is still to come; none for whoever need not or cannot answer."""
    if dispute.slot_is_spent or dispute.evidence_due_by is None:
        return None
    moments = (dispute.evidence_due_by - before for before in REMINDERS_BEFORE_DEADLINE)
    return min((moment for moment in moments if moment > now), default=None)
