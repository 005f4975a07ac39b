"""Emits a reminder event before the evidence deadline of a dispute, once per reminder.

Several workers may run this at once: the next reminder is stored in the dispute's row, which is
locked.
"""

from __future__ import annotations

import logging
import time
from typing import Final
from uuid import UUID

from django.db import transaction

from ledger.database.statements import Batch
from payments.clock import now_utc
from payments.event_types import EVIDENCE_DUE_SOON
from payments.models import Dispute, PaymentIntent
from payments.objects.dispute import dispute_object
from payments.services import callers
from payments.services.disputes.effects import next_reminder
from payments.services.outbox.events import EventDraft, events_of

logger = logging.getLogger(__name__)

ACTOR: Final = "job:disputes"
SWEEP_LIMIT: Final = 200
SWEEP_SECONDS: Final = 5.0
"""Short: the heartbeat of its queue waits for it."""


def remind_of_due_evidence(*, limit: int = SWEEP_LIMIT) -> int:
    """Emit every reminder that is due; returns how many were written.

    Bounded in number and time, safe to run again, safe to run several at once.
    """
    end = time.monotonic() + SWEEP_SECONDS
    due = Dispute.objects.filter(next_reminder_at__lte=now_utc()).order_by("next_reminder_at")
    reminded = 0
    for dispute_id in list(due.values_list("id", flat=True)[:limit]):
        if time.monotonic() > end:
            break
        try:
            reminded += _remind(dispute_id)
        except Exception:
            logger.exception("no reminder could be written for dispute %s", dispute_id)
    return reminded


def _remind(dispute_id: UUID) -> bool:
    """Write one reminder, unless another worker did, or the deadline has passed."""
    found = Dispute.objects.select_related("charge").get(pk=dispute_id)
    caller = callers.for_operation(found.charge, ACTOR)
    with transaction.atomic(durable=True):
        intent = PaymentIntent.objects.select_for_update().get(pk=found.intent_id)
        dispute = Dispute.objects.select_for_update().get(pk=dispute_id)
        now = now_utc()
        if dispute.next_reminder_at is None or dispute.next_reminder_at > now:
            return False
        dispute.next_reminder_at = next_reminder(dispute, now)
        batch = Batch().update(dispute, ("next_reminder_at", "updated_at"))
        due_by = dispute.evidence_due_by
        reminds = not dispute.slot_is_spent and due_by is not None and due_by > now
        if reminds:
            intent.updated_at = now
            fact = EventDraft(EVIDENCE_DUE_SOON, dispute_object(dispute, now=now))
            events = events_of(intent, [fact], caller)
            batch.update(intent, ("event_seq", "updated_at")).insert(*events)
        batch.execute()
    return reminds
