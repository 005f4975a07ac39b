"""Writes the exports of each day and month that is over into EXPORTS_FOLDER: each once.

A row says that a file is due, and later that it is written. Days that were missed are written
afterwards. A file that is there is never written over: a run that was killed after it put the file
there finds it whole, by its manifest, and takes it for its own.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q

from ledger.database.row_ids import complete_before
from ledger.database.statements import insert_absent
from payments.clock import now_utc
from payments.services.jobs.backoff import next_attempt
from psp_adapters.contract.stored_text import clean_text
from reconciliation.models import ScheduledExport
from reconciliation.services.exports.declaration import Chosen, Period
from reconciliation.services.exports.files import (
    PART,
    faults_of,
    manifest_of,
    name_of_file,
    write_file,
)
from reconciliation.services.exports.registry import export_named

logger = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 3.0
FILE_SECONDS: Final = 14.0
"""Of one file that the sweep writes. A larger one is written by `manage.py export scheduled`."""
NONE: Final = "none"
"""In EXPORTS_DAILY or EXPORTS_MONTHLY: no export."""
_PARTS_KEPT: Final = timedelta(days=1)


class NotOurs(Exception):
    """Something else has the name of the file."""


def write_due_exports(*, now: datetime | None = None) -> int:
    """Write what is due, as the sweep does; returns how many files.

    Bounded in time; a further run goes on. Raises the first failure at the end: what is wrong with
    one export delays no other.
    """
    end = time.monotonic() + SWEEP_SECONDS
    written, failure = 0, None
    for row in _due(now or now_utc()):
        if time.monotonic() >= end:
            break
        try:
            _write(row, seconds_most=FILE_SECONDS)
            written += 1
        except Exception as error:
            logger.exception("alert: %s could not be written", row)
            _record_failure(row, error)
            failure = failure or error
    if failure is not None:
        raise failure
    return written


def write_all_due_exports(*, now: datetime | None = None) -> Iterator[ScheduledExport]:
    """Write what is due however long it takes, also what failed before; yields each row."""
    for row in _due(now or now_utc(), also_later=True):
        _write(row, seconds_most=None)
        yield row


def exports_of(names: tuple[str, ...]) -> list[str]:
    """The exports that a setting names; raises ValueError for one that does not exist."""
    return [export_named(name).name for name in names if name != NONE]


def _due(now: datetime, *, also_later: bool = False) -> list[ScheduledExport]:
    """Rows to write now, oldest first; plans those of days that ended since the last run."""
    if not settings.EXPORTS_FOLDER:
        return []
    with transaction.atomic(durable=True):
        insert_absent(list(_planned(now)), conflict="(export, first_day, last_day)")
    rows = ScheduledExport.objects.filter(next_attempt_at__isnull=False)
    if not also_later:
        rows = rows.filter(next_attempt_at__lte=now)
    return list(rows.order_by("last_day", "id"))


def _planned(now: datetime) -> Iterator[ScheduledExport]:
    yesterday = now.date() - timedelta(1)
    for name in exports_of(settings.EXPORTS_DAILY):
        for day in _days_since(_last_of(name, of_month=False), yesterday):
            # What is about the present cannot be made up for.
            if export_named(name).period is not Period.NOW or day == yesterday:
                yield _row(name, day, day, now)
    for name in exports_of(settings.EXPORTS_MONTHLY):
        for first in _months_since(_last_of(name, of_month=True), now.date()):
            yield _row(name, first, _next_month(first) - timedelta(1), now)


def _last_of(name: str, *, of_month: bool) -> date | None:
    """The last day that was planned so far."""
    rows = ScheduledExport.objects.filter(export=name)
    is_of_a_month = Q(first_day__lt=F("last_day"))
    last: date | None = rows.filter(is_of_a_month if of_month else ~is_of_a_month).aggregate(
        last=Max("last_day")
    )["last"]
    return last


def _days_since(last: date | None, yesterday: date) -> Iterator[date]:
    """Of an export that was never planned, yesterday alone."""
    day = yesterday if last is None else last + timedelta(1)
    while day <= yesterday:
        yield day
        day += timedelta(1)


def _months_since(last: date | None, today: date) -> Iterator[date]:
    """The first days of the months that are over; at the beginning the last one alone."""
    this_month = today.replace(day=1)
    first = (this_month - timedelta(1)).replace(day=1) if last is None else last + timedelta(1)
    while first < this_month:
        yield first
        first = _next_month(first)


def _next_month(first: date) -> date:
    return (first + timedelta(31)).replace(day=1)


def _row(name: str, first: date, last: date, now: datetime) -> ScheduledExport:
    return ScheduledExport(
        export=name, first_day=first, last_day=last, planned_at=now, next_attempt_at=now
    )


def _write(row: ScheduledExport, *, seconds_most: float | None) -> None:
    export = export_named(row.export)
    first = row.last_day if export.period is Period.DAY else row.first_day
    chosen = Chosen(first=first, last=row.last_day)
    if chosen.end_id > complete_before():
        raise RuntimeError(f"a transaction of {row.last_day} is still under way")
    kind = "monthly" if row.is_of_a_month else "daily"
    place = Path(kind, row.period, name_of_file(export, chosen))
    path = Path(settings.EXPORTS_FOLDER) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_parts(path)
    if path.exists():
        said = _adopted(path, export.name)
    else:
        manifest_of(path).unlink(missing_ok=True)  # Of a run that was killed before the file came.
        said = write_file(export, chosen, path, seconds_most=seconds_most).as_json(path.name)
    row.file, row.file_sha256, row.row_count = str(place), said["sha256"], said["rows"]
    row.written_at, row.next_attempt_at = now_utc(), None
    row.failing_since, row.last_error = None, ""
    row.save(
        update_fields=[
            *("file", "file_sha256", "row_count", "written_at", "next_attempt_at"),
            *("failing_since", "last_error"),
        ]
    )


def _adopted(path: Path, export_name: str) -> dict[str, str]:
    """The manifest of a file that is there; raises NotOurs unless it is whole, and this export."""
    if not manifest_of(path).exists():
        raise NotOurs(f"{path} is there without a manifest: it is not of this job; move it away")
    said: dict[str, str] = json.loads(manifest_of(path).read_text())
    if said["export"] != export_name or faults_of(path):
        raise NotOurs(f"{path} is not what its manifest says; move it away")
    return said


def _remove_parts(path: Path) -> None:
    """Remove what killed runs left of this file; a run of today may still write."""
    long_ago = time.time() - _PARTS_KEPT.total_seconds()
    for part in path.parent.glob(f"{path.name}*{PART}"):
        if part.stat().st_mtime < long_ago:
            part.unlink(missing_ok=True)


def _record_failure(row: ScheduledExport, error: Exception) -> None:
    now = now_utc()
    row.failing_since = row.failing_since or now
    row.attempts += 1
    row.next_attempt_at = next_attempt(now, since=row.failing_since)
    row.last_error = clean_text(f"{type(error).__name__}: {error}", most=500)
    row.save(update_fields=["failing_since", "attempts", "next_attempt_at", "last_error"])
