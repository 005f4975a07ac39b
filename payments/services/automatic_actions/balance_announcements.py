"""Tells merchants that pending money has become available: the event `balance.available`.

Once for each merchant, mode and day on which something became available, and once when a settlement
line made it available sooner than expected. How far a merchant was told is a row that its events
are written with, so none is lost, and none is written twice.
"""

from __future__ import annotations

import logging
import time
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import Q

from ledger.database.statements import Batch, execute
from payments.clock import now_utc
from payments.models import MerchantBalance
from payments.objects.balance import balance_object
from payments.selectors.balance import became_available, read_balance
from payments.selectors.scope import Scope
from payments.services import callers
from payments.services.outbox.events import EventDraft, events_of

logger = logging.getLogger(__name__)

ACTOR: Final = "job:balances"
SWEEP_SECONDS: Final = 5.0
UNDER_WAY_MOST: Final = timedelta(minutes=1)
"""A day is over so much later: no transaction that books for it is under way then."""
_WATCH_NEW: Final = """
    INSERT INTO payments_merchant_balance
        (id, merchant_id, livemode, announced_to, is_due, event_seq)
    SELECT gen_random_uuid(), m.id, mode.live, %s, false, 0
      FROM payments_merchant m CROSS JOIN (VALUES (true), (false)) AS mode (live)
     WHERE NOT EXISTS (SELECT FROM payments_merchant_balance b
                        WHERE b.merchant_id = m.id AND b.livemode = mode.live)
    ON CONFLICT DO NOTHING"""


def announce_balances(*, now: datetime | None = None) -> int:
    """Emit `balance.available` for every balance that has more available; returns how many.

    Bounded in time; a further run goes on. Safe to repeat, and several workers may run it at once.
    """
    today, end = ((now or now_utc()) - UNDER_WAY_MOST).date(), time.monotonic() + SWEEP_SECONDS
    execute(_WATCH_NEW, [today])
    waiting = MerchantBalance.objects.filter(Q(announced_to__lt=today) | Q(is_due=True))
    told = 0
    for balance_id in list(waiting.values_list("id", flat=True)):
        if time.monotonic() >= end:
            break
        try:
            told += _announce(balance_id, today)
        except OperationalError as reason:
            # A settlement line has changed it meanwhile; the next run finds it.
            logger.info("balance %s is announced later: %s", balance_id, reason)
        except Exception:
            logger.exception("alert: balance %s could not be announced", balance_id)
    return told


def _announce(balance_id: UUID, today: date) -> bool:
    with transaction.atomic(durable=True):
        # The balance as it stood at one moment.
        execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        row = MerchantBalance.objects.select_for_update().get(pk=balance_id)
        scope = Scope(row.merchant_id, row.livemode)
        batch = Batch()
        is_more = row.is_due or became_available(scope, after=row.announced_to, to=today)
        if is_more:
            shown = balance_object(read_balance(scope), livemode=row.livemode)
            draft = EventDraft("balance.available", shown)
            batch.insert(*events_of(row, [draft], callers.for_balance(row, ACTOR)))
        row.announced_to, row.is_due = max(today, row.announced_to), False
        batch.update(row, ("announced_to", "is_due", "event_seq")).execute()
    return is_more
