"""Fetches the lists of settlement reports from PSPs, and each report until it is stored.

Every list and report to fetch has a row, which is its queue: a listed report is never lost, and one
that does not come delays no other.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, BinaryIO, Final, cast
from uuid import UUID

from django.db import transaction

from ledger.database.statements import release_connection
from payments.clock import now_utc
from payments.models import PspAccount
from payments.services.cases.opening import case_about_account, open_case
from payments.services.jobs.backoff import GIVE_UP_AFTER, is_time_to_give_up, next_attempt
from payments.services.jobs.due_queue import DueQueue, Handled, run_sweep
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import query_psp
from payments.states import CaseKind
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.contract.report_files import REPORT_BYTES_MAX
from psp_adapters.contract.stored_text import clean_text
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import ReportFetch, SettlementReport
from reconciliation.services.reports.archive import store_report
from reconciliation.states import ReportStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "job:settlement_reports"
SWEEP_SECONDS: Final = 5.0
LIST_DEADLINE_SECONDS: Final = 5.0
FETCH_DEADLINE_SECONDS: Final = 9.0
SWEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Of a report that a sweep fetches, some 390,000 lines: the heartbeat of its queue waits for
the sweep. `manage.py settlement_reports --fetch` has more time, and takes larger ones."""
QUEUE: Final = DueQueue(
    ReportFetch.objects.select_related("psp_account", "report"),
    due="next_attempt_at",
    lease=timedelta(seconds=60),
    attempts="attempts",
    account="psp_account_id",
)
LIST_EVERY_SECONDS: Final = 300.0
LIST_OVERLAP: Final = timedelta(days=7)
"""Lists begin so long before the newest known report: a PSP may publish out of order."""
UNREADABLE_AGAIN: Final = timedelta(hours=1)
"""One answer may be wrong: a report that cannot be read is fetched again, for some days."""


class TooLarge(Exception):
    """A report has more bytes than are fetched at this place."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one report: how long its transfer may take, and how large it may be."""

    deadline_seconds: float
    bytes_most: int


SWEPT: Final = Bounds(deadline_seconds=FETCH_DEADLINE_SECONDS, bytes_most=SWEPT_BYTES_MAX)
BY_COMMAND: Final = Bounds(deadline_seconds=1_800.0, bytes_most=REPORT_BYTES_MAX)
"""For a command that an operator starts."""


def fetch_due_reports(bounds: Bounds = SWEPT) -> int:
    """Fetch the lists and reports that are due; returns how many new reports came.

    Bounded in time. Safe to repeat, and several workers may run it at once.
    """
    _add_missing_lists()
    came: list[str] = []

    def fetch_and_record(fetch: ReportFetch) -> Handled:
        try:
            if not fetch.name:
                _list(fetch)
            elif _fetch(fetch, bounds):
                came.append(fetch.name)
        except (PspUnavailable, CallRefused) as reason:
            _record_failure(fetch, str(reason))
            return Handled.NO_ANSWER
        except Exception as failure:
            logger.exception("%s of %s did not come", fetch, fetch.psp_account.code)
            _record_failure(fetch, f"{type(failure).__name__}: {failure}")
        return Handled.ANSWERED

    run_sweep(QUEUE, fetch_and_record, seconds=SWEEP_SECONDS)
    return len(came)


def make_due() -> int:
    """Make every list and report that is still to be fetched due now; returns how many."""
    _add_missing_lists()
    return ReportFetch.objects.filter(next_attempt_at__isnull=False).update(
        next_attempt_at=now_utc()
    )


def fetch_again(report_id: UUID) -> None:
    """Fetch a report again later, since what came cannot be read."""
    ReportFetch.objects.filter(report_id=report_id, next_attempt_at__isnull=True).update(
        next_attempt_at=now_utc() + UNREADABLE_AGAIN
    )


def _add_missing_lists() -> None:
    """Add the row for the list of each account whose PSP can list its reports."""
    asked = ReportFetch.objects.filter(name="").values("psp_account_id")
    accounts = PspAccount.objects.exclude(sealed_credentials="").exclude(pk__in=asked)
    now = now_utc()
    for account in accounts.order_by("code"):
        if _lists_reports(account):
            row = ReportFetch(psp_account=account, next_attempt_at=now, added_at=now)
            ReportFetch.objects.bulk_create([row], ignore_conflicts=True)


def _lists_reports(account: PspAccount) -> bool:
    try:
        return adapter_of(account).capabilities.settlement_reports
    except Exception:
        # Bad credentials of one account must not keep the others from being listed.
        logger.exception("alert: the account %s has no adapter", account.code)
        return False


def _list(fetch: ReportFetch) -> None:
    account = fetch.psp_account
    adapter = adapter_of(account)
    since = _list_since(account)
    release_connection()
    listed = query_psp(
        account, lambda: adapter.list_reports(since=since, deadline_seconds=LIST_DEADLINE_SECONDS)
    )
    now = now_utc()
    rows = [
        ReportFetch(
            psp_account=account,
            name=each.name,
            closed_at=each.closed_at,
            lines_announced=each.line_count,
            next_attempt_at=now,
            added_at=now,
        )
        for each in listed
    ]
    ReportFetch.objects.bulk_create(rows, ignore_conflicts=True)
    next_attempt_at = now + timedelta(seconds=LIST_EVERY_SECONDS)
    _record_success(fetch, report=fetch.report, next_attempt_at=next_attempt_at)


def _list_since(account: PspAccount) -> datetime | None:
    known = ReportFetch.objects.filter(psp_account=account, closed_at__isnull=False)
    newest = known.order_by("-closed_at").values_list("closed_at", flat=True).first()
    # A report dated in the future must not hide those before it.
    return min(newest, now_utc()) - LIST_OVERLAP if newest is not None else None


def _fetch(fetch: ReportFetch, bounds: Bounds) -> bool:
    account, name = fetch.psp_account, fetch.name
    adapter = adapter_of(account)
    seconds = bounds.deadline_seconds
    _hold(fetch, seconds=seconds)
    release_connection()
    # On disk and without a name: if a card number is in it, no part may be kept.
    with tempfile.TemporaryFile() as file:
        into = _Bounded(file, bounds.bytes_most)
        query_psp(
            account,
            lambda: adapter.fetch_report(
                name, into=cast("BinaryIO", into), deadline_seconds=seconds
            ),
        )
        stored = store_report(
            account=account,
            name=name,
            file=file,
            imported_by=ACTOR,
            closed_at=fetch.closed_at,
            lines_announced=fetch.lines_announced,
        )
    _record_success(fetch, report=stored.report, next_attempt_at=None)
    # The same bytes as before; or a worker has read them before this was recorded.
    stored.report.refresh_from_db(fields=["status"])
    is_hopeful = now_utc() - fetch.added_at < GIVE_UP_AFTER
    if stored.report.status == ReportStatus.UNREADABLE and is_hopeful:
        fetch_again(stored.report.pk)
    return stored.is_new


class _Bounded:
    """A file to write to, which takes so many bytes."""

    def __init__(self, file: IO[bytes], bytes_most: int) -> None:
        self._file = file
        self._most = self._left = bytes_most

    def write(self, piece: bytes) -> int:
        self._left -= len(piece)
        if self._left < 0:
            raise TooLarge(
                f"it has more than {self._most} bytes: settlement_reports --fetch takes it in"
            )
        return self._file.write(piece)


def _hold(fetch: ReportFetch, *, seconds: float) -> None:
    """Prolong the lease for a transfer that takes longer than a sweep."""
    if seconds > FETCH_DEADLINE_SECONDS:
        until = now_utc() + QUEUE.lease + timedelta(seconds=seconds)
        QUEUE.under_lease(fetch).update(next_attempt_at=until)
        fetch.next_attempt_at = until


def _record_success(
    fetch: ReportFetch, *, report: SettlementReport | None, next_attempt_at: datetime | None
) -> None:
    """Write it, unless the lease has passed or an operator made the row due again meanwhile."""
    QUEUE.under_lease(fetch).update(
        report=report,
        attempts=0,
        failing_since=None,
        last_error="",
        next_attempt_at=next_attempt_at,
    )


def _record_failure(fetch: ReportFetch, error: str) -> None:
    """Retry later, without end; after some days a case opens."""
    now = now_utc()
    since = fetch.failing_since or now
    what = f"report {fetch.name}" if fetch.name else "list of settlement reports"
    with transaction.atomic(durable=True):
        written = QUEUE.under_lease(fetch).update(
            failing_since=since,
            next_attempt_at=next_attempt(now, since=since),
            last_error=clean_text(error, most=500),
        )
        if written and is_time_to_give_up(now, since=since, attempts=fetch.attempts):
            account = fetch.psp_account
            summary = f"The {what} of {account.code} has not come since {since:%Y-%m-%d}: {error}."
            subject = f"{what} ({account.code})"[-128:]
            open_case(
                case_about_account(
                    CaseKind.CONTRADICTION,
                    account,
                    summary,
                    subject=subject,
                    discrepancy=Discrepancy.FILE_GAP,
                )
            )
    logger.warning("the %s of %s did not come: %s", what, fetch.psp_account.code, error)
