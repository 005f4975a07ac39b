"""The sweep of payments that wait: whoever is due is attended to, under a lease.

Bounded; safe to run again, and several at once (SKIP LOCKED, a lease each). PostgreSQL writes the
rows. What may not live here: what is done for a hold or an abandoned payment.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from ledger.database.statements import columns_of, execute, instance_of, table_of
from payments.clock import now_utc
from payments.models import Deadline, PaymentIntent
from payments.services.automatic_actions.abandoned_payments import ABANDONED_FROM, attend_abandoned
from payments.services.automatic_actions.expiring_authorizations import attend_hold
from payments.states import IntentStatus

logger = logging.getLogger(__name__)

LEASE_SECONDS: Final = 60.0
"""How long one worker has for one payment: a void and a question, each with its deadline."""
SWEEP_LIMIT: Final = 500
SWEEP_SECONDS: Final = 5.0
"""Short: the heartbeat of its queue waits for it."""
_AFTER_FAILURE: Final = timedelta(minutes=5)


def attend_due_deadlines(*, limit: int = SWEEP_LIMIT) -> int:
    """Do what time has to do for payments that wait; returns how many it looked at."""
    end = time.monotonic() + SWEEP_SECONDS
    done = 0
    while done < limit and time.monotonic() < end:
        wait = _lease_next()
        if wait is None:
            break
        done += 1
        _conclude(wait, _attend(wait))
    return done


def _lease_next() -> Deadline | None:
    """The payment that has been due for longest, ours until the lease ends."""
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table_of(Deadline)} SET next_at = now() + make_interval(secs => %s) "
            f"WHERE intent_id = (SELECT intent_id FROM {table_of(Deadline)} "
            "WHERE next_at <= now() ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED) "
            f"RETURNING {columns_of(Deadline)}",
            [LEASE_SECONDS],
        )
    return instance_of(Deadline, rows[0]) if rows else None


def _attend(wait: Deadline) -> datetime | None:
    """When to look again; None: it waits no more."""
    try:
        intent = PaymentIntent.objects.get(pk=wait.intent_id)
        if intent.status == IntentStatus.AUTHORIZED:
            return attend_hold(intent, wait)
        if intent.status in ABANDONED_FROM:
            return attend_abandoned(intent, wait)
    except Exception:
        logger.exception("the deadline of payment %s could not be attended to", wait.intent_id)
        return now_utc() + _AFTER_FAILURE
    return None


def _conclude(wait: Deadline, next_at: datetime | None) -> None:
    """Put it off, or take the row away; not if the lease is over, or the payment waits anew."""
    row = Deadline.objects.filter(pk=wait.intent_id, next_at=wait.next_at)
    if next_at is None:
        row.delete()
    else:
        row.update(next_at=next_at)
