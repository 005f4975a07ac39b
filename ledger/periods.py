"""Closes days of the books: what is posted for a closed day counts for the first open one.

Days are closed for each PSP account; what is posted for none (a bank line that is no payout) has
days of its own, under the empty code. What PostgreSQL refuses is in
`ledger/sql/closed_days_stay_closed.sql`.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import date
from typing import Final
from uuid import UUID

from django.db import OperationalError, transaction
from django.db.models import Q

from ledger.models import Period

WAIT_SECONDS: Final = 30.0
"""For the database transactions that began before; a payment's takes milliseconds."""
_RETRY_SECONDS: Final = 0.05


class DayNotOver(ValueError):
    """Transactions that may still post for the day have not ended in time."""


def close_days(psp_account: str, through: date) -> bool:
    """Close all days up to and including this one; returns False if they are closed already.

    Commits in two steps and waits between them, so it is called outside a transaction. After a
    crash between both, call it again: meanwhile postings count for the first open day already.
    Raises DayNotOver if some transaction stays open; no posting is refused then either.
    """
    before = closed_through(psp_account)
    if before is not None and through <= before:
        return False
    with transaction.atomic(durable=True):
        period, is_new = Period.objects.select_for_update().get_or_create(
            psp_account=psp_account, defaults={"closing_through": through}
        )
        if not is_new and period.closing_through < through:
            period.closing_through = through
            period.save(update_fields=["closing_through"])
    deadline = time.monotonic() + WAIT_SECONDS
    while not _finish(psp_account, through):
        if time.monotonic() >= deadline:
            raise DayNotOver(
                f"a database transaction that may still post for {through} has not ended: find it "
                "in pg_stat_activity, and close the day again"
            )
        time.sleep(_RETRY_SECONDS)
    return True


def lock_periods(psp_accounts: Collection[str]) -> None:
    """Let nothing else close or open these days until the end of the transaction."""
    rows = Period.objects.select_for_update().filter(psp_account__in=psp_accounts)
    list(rows.order_by("psp_account"))


def reopen_days(psp_account: str, *, after: date, approval_id: UUID) -> bool:
    """Open all days after this one again, in the transaction that carries the approval out.

    Returns False if no later day is closed. What was posted late meanwhile stays where it is.
    """
    later = Period.objects.filter(psp_account=psp_account, closing_through__gt=after)
    return bool(
        later.update(closing_through=after, closed_through=after, reopened_under=approval_id)
    )


def closed_through(psp_account: str) -> date | None:
    """The last closed day of a PSP account; None if none is."""
    row = Period.objects.filter(psp_account=psp_account).values_list("closed_through").first()
    return row[0] if row is not None else None


def _finish(psp_account: str, through: date) -> bool:
    try:
        with transaction.atomic(durable=True):
            open_before = Q(closed_through__isnull=True) | Q(closed_through__lt=through)
            Period.objects.filter(open_before, psp_account=psp_account).update(
                closed_through=through
            )
    except OperationalError as error:
        if "ledger_period_busy" not in str(error):
            raise
        return False
    return True
