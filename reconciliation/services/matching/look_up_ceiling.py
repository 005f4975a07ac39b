"""Holds the look-ups of settlement lines at a PSP account below its ceiling, over all workers.

A line begins only while one is left in the present minute; it then makes all that it needs. Above
the ceiling each line is given a time of its own: as many a minute as the ceiling allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from ledger.database.statements import execute, table_of
from payments.models import PspAccount
from payments.services.psp_gateway.queries import Inconclusive, before_each_look_up
from reconciliation.models import LookUpBudget
from reconciliation.services.run_report import Ended, count_lines

_TABLE: Final = table_of(LookUpBudget)
_TAKE: Final = f"""
    INSERT INTO {_TABLE} AS b (psp_account_id, minute, used, given_until)
    VALUES (%s, date_trunc('minute', now()), 1, now())
    ON CONFLICT (psp_account_id) DO UPDATE SET minute = excluded.minute,
           used = CASE WHEN b.minute = excluded.minute THEN b.used + 1 ELSE 1 END
     WHERE b.minute <> excluded.minute OR b.used < %s OR %s
    RETURNING used"""
_WAIT: Final = f"""
    UPDATE {_TABLE} SET given_until = greatest(
           given_until, date_trunc('minute', now()) + interval '1 minute')
           + make_interval(secs => 60.0 / %s)
     WHERE psp_account_id = %s RETURNING given_until"""


class LookUpsSpent(Inconclusive):
    """The ceiling of this minute is reached; the line was not attempted."""


@contextmanager
def within_ceiling(account: PspAccount) -> Iterator[None]:
    """Count the look-ups of one line; raises LookUpsSpent from the first if none is left."""
    has_begun = False

    def take() -> None:
        nonlocal has_begun
        if not execute(_TAKE, [account.pk, account.look_ups_per_minute, has_begun]):
            raise LookUpsSpent(f"{account.look_ups_per_minute} look-ups a minute are spent")
        if not has_begun:
            count_lines(Ended.ASKED)
        has_begun = True

    with before_each_look_up(take):
        yield


def time_to_wait_for(account: PspAccount) -> datetime:
    """Give a line the next time at which it can look up."""
    [(given,)] = execute(_WAIT, [account.look_ups_per_minute, account.pk])
    assert isinstance(given, datetime)
    return given
