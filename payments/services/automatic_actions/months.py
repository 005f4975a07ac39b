"""Keeps months ahead of the tables that an operator partitioned by month, and drops old ones.

PostgreSQL does it with the rights of the tables' owner (`payments/sql/months.sql`): the application
itself may neither make tables nor drop any. A row whose month is missing is written all the same,
to the partition for the rest.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Any, Final

import psycopg
from django.db import OperationalError, models, transaction

from ledger.database.statements import execute
from payments.models import Delivery, DeliveryAttempt, Event, PspNotification

logger = logging.getLogger(__name__)

TABLES: Final[tuple[type[models.Model], ...]] = (Event, PspNotification, Delivery, DeliveryAttempt)
"""Those that may be partitioned."""
SWEEP_SECONDS: Final = 5.0
MONTHS_AHEAD: Final = 3
MONTHS_AHEAD_LEAST: Final = 2
"""Below it there is an alert, weeks before a month is missing."""


def make_months() -> int:
    """Make the next months of each partitioned table; returns how many it made.

    Rows of a new month that were written to the rest are moved there. Logs an alert for a table
    with too few months ahead, and for one with rows in no month. Safe to repeat; a table that is in
    use for half a second is left for the next call.
    """
    made, end = 0, time.monotonic() + SWEEP_SECONDS
    for model in TABLES:
        table = model._meta.db_table
        if time.monotonic() < end and is_partitioned(model):
            made += _unless_in_use("SELECT payments_make_months(%s, %s)", table, MONTHS_AHEAD) or 0
            _report(table)
    return made


def drop_months_of_deliveries(kept: timedelta) -> int:
    """Drop the months of deliveries that ended before; returns how many tables it dropped.

    A month stays while a delivery in it is pending. Attempts go with the last month whose
    deliveries they can be of.
    """
    return len(_unless_in_use("SELECT payments_drop_months(%s)", kept) or [])


def is_partitioned(model: type[models.Model]) -> bool:
    """Whether an operator has partitioned the table."""
    rows = execute(
        "SELECT EXISTS (SELECT FROM pg_partitioned_table WHERE partrelid = %s::regclass)",
        [model._meta.db_table],
    )
    return bool(rows[0][0])


def _report(table: str) -> None:
    ahead, is_rest = execute(
        f"SELECT ahead, EXISTS (SELECT FROM {table} WHERE id >= payments_first_id(last_ends)) "
        f"OR EXISTS (SELECT FROM {table} WHERE id < payments_first_id(first_begins)) FROM ("
        "SELECT count(*) FILTER (WHERE begins > now()) AS ahead, max(ends) AS last_ends, "
        "CASE WHEN count(begins) = count(*) THEN min(begins) END AS first_begins "
        "FROM payments_months(%s)) AS months",
        [table],
    )[0]
    if ahead < MONTHS_AHEAD_LEAST:
        logger.error("alert: %s has %d months ahead, not %d", table, ahead, MONTHS_AHEAD)
    if is_rest:
        logger.error("alert: %s has rows in no month: they are in %s_rest", table, table)


def _unless_in_use(statement: str, *parameters: Any) -> Any:
    """What the function returns; None if another session kept one of its locks for too long."""
    try:
        with transaction.atomic(durable=True):
            return execute(statement, list(parameters))[0][0]
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise
        logger.info("months: a table is in use: %s", error)
        return None
