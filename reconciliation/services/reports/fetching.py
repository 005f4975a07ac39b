"""Ask PSPs which settlement reports there are, and for each of them, until it is here.

Every question has a row, which is its queue: a report that was listed once is never forgotten, one
that does not come holds up no other, and several workers may run at once. What may not live here:
reading files, a PSP's file format.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from ledger.database.statements import execute, table_of
from payments.clock import now_utc
from payments.models import PspAccount
from payments.services.cases.opening import case_about_account, open_case
from payments.services.jobs.backoff import GIVE_UP_AFTER, is_over, next_try
from payments.services.psp_gateway.accounts import adapter_of
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.services.psp_gateway.queries import ask_psp, give_connection_back
from payments.services.psp_gateway.unresponsive_accounts import Silence
from payments.states import CaseKind
from psp_adapters.contract.operations import PspUnavailable
from reconciliation.models import ReportFetch
from reconciliation.services.reports.archive import store_report
from reconciliation.states import ReportStatus

logger = logging.getLogger(__name__)

ACTOR: Final = "job:settlement_reports"
SWEEP_SECONDS: Final = 5.0
LIST_DEADLINE_SECONDS: Final = 5.0
FETCH_DEADLINE_SECONDS: Final = 9.0
"""With what a sweep began before, short enough for the heartbeat of its queue."""
LEASE_SECONDS: Final = 60.0
LIST_EVERY_SECONDS: Final = 300.0
LISTED_AGAIN: Final = timedelta(days=7)
"""So far before the newest report that we know of is asked: a PSP may publish one out of order."""
UNREADABLE_AGAIN: Final = timedelta(hours=1)
"""An answer may lie once: a report that cannot be read is asked for again, for some days."""


def fetch_due_reports() -> int:
    """Ask what is due; returns how many reports came that were not here.

    Bounded in time, safe to run again, safe to run several at once (SKIP LOCKED, and a lease each).
    An account that gives no answer twice in a row is left alone for the rest of it.
    """
    _remember_accounts()
    silence = Silence()
    end = time.monotonic() + SWEEP_SECONDS
    came = 0
    while time.monotonic() < end:
        fetch = _lease_next(silence.accounts)
        if fetch is None:
            break
        came += _try(fetch, silence)
    return came


def make_due() -> int:
    """Have everything asked now that would be asked some time; returns how many questions."""
    _remember_accounts()
    return ReportFetch.objects.filter(next_try_at__isnull=False).update(next_try_at=now_utc())


def ask_again_for(report_id: UUID) -> None:
    """A report that came cannot be read: ask for it once more in a while."""
    ReportFetch.objects.filter(report_id=report_id, next_try_at__isnull=True).update(
        next_try_at=now_utc() + UNREADABLE_AGAIN
    )


def _remember_accounts() -> None:
    """Every account whose PSP can list its reports has the question for the list."""
    asked = ReportFetch.objects.filter(name="").values("psp_account_id")
    accounts = PspAccount.objects.filter(code__in=settings.PSP_CREDENTIALS).exclude(pk__in=asked)
    now = now_utc()
    for account in accounts.order_by("code"):
        if _lists_reports(account):
            row = ReportFetch(psp_account=account, next_try_at=now, added_at=now)
            ReportFetch.objects.bulk_create([row], ignore_conflicts=True)


def _lists_reports(account: PspAccount) -> bool:
    try:
        return adapter_of(account).capabilities.settlement_reports
    except Exception:
        # Credentials of one account that are no good are no reason to leave the others alone.
        logger.exception("alert: the account %s has no adapter", account.code)
        return False


def _lease_next(silent: list[UUID]) -> ReportFetch | None:
    """The question that has waited longest, but for those to silent accounts."""
    table = table_of(ReportFetch)
    with transaction.atomic(durable=True):
        rows = execute(
            f"UPDATE {table} SET tries = tries + 1, "
            "next_try_at = now() + make_interval(secs => %s) "
            f"WHERE id = (SELECT id FROM {table} WHERE next_try_at <= now() "
            "AND psp_account_id <> ALL(%s) "
            "ORDER BY next_try_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id",
            [LEASE_SECONDS, silent],
        )
    if not rows:
        return None
    return ReportFetch.objects.select_related("psp_account", "report").get(pk=rows[0][0])


def _try(fetch: ReportFetch, silence: Silence) -> bool:
    """Ask one question and write how it ended; did a report come that was not here?"""
    answered = True
    try:
        came = _fetch(fetch) if fetch.name else _list(fetch)
    except (PspUnavailable, CallRefused) as reason:
        answered, came = False, False
        _note_failure(fetch, str(reason))
    except Exception as failure:
        logger.exception("%s of %s did not come", fetch, fetch.psp_account.code)
        came = False
        _note_failure(fetch, f"{type(failure).__name__}: {failure}")
    silence.note(fetch.psp_account_id, answered=answered)
    return came


def _list(fetch: ReportFetch) -> bool:
    account = fetch.psp_account
    adapter = adapter_of(account)
    since = _list_since(account)
    give_connection_back()
    listed = ask_psp(
        account,
        lambda: adapter.list_reports(since=since, deadline_seconds=LIST_DEADLINE_SECONDS),
    )
    now = now_utc()
    rows = [
        ReportFetch(
            psp_account=account,
            name=each.name,
            closed_at=each.closed_at,
            lines_announced=each.line_count,
            next_try_at=now,
            added_at=now,
        )
        for each in listed
    ]
    ReportFetch.objects.bulk_create(rows, ignore_conflicts=True)
    _note_success(fetch, next_try_at=now + timedelta(seconds=LIST_EVERY_SECONDS))
    return False


def _list_since(account: PspAccount) -> datetime | None:
    known = ReportFetch.objects.filter(psp_account=account, closed_at__isnull=False)
    newest = known.order_by("-closed_at").values_list("closed_at", flat=True).first()
    # One that says it is of the future must not hide those before it.
    return min(newest, now_utc()) - LISTED_AGAIN if newest is not None else None


def _fetch(fetch: ReportFetch) -> bool:
    account, name = fetch.psp_account, fetch.name
    adapter = adapter_of(account)
    give_connection_back()
    body = ask_psp(
        account, lambda: adapter.fetch_report(name, deadline_seconds=FETCH_DEADLINE_SECONDS)
    )
    stored = store_report(
        account=account,
        name=name,
        body=body,
        brought_by=ACTOR,
        closed_at=fetch.closed_at,
        lines_announced=fetch.lines_announced,
    )
    fetch.report = stored.report
    _note_success(fetch, next_try_at=None)
    # The same bytes as before; or somebody has read them before we noted what came.
    stored.report.refresh_from_db(fields=["status"])
    is_hopeful = now_utc() - fetch.added_at < GIVE_UP_AFTER
    if stored.report.status == ReportStatus.UNREADABLE and is_hopeful:
        ask_again_for(stored.report.pk)
    return stored.is_new


def _note_success(fetch: ReportFetch, *, next_try_at: datetime | None) -> None:
    fetch.tries, fetch.failing_since, fetch.last_error = 0, None, ""
    fetch.next_try_at = next_try_at
    fetch.save(update_fields=["report", "tries", "failing_since", "last_error", "next_try_at"])


def _note_failure(fetch: ReportFetch, error: str) -> None:
    """It is tried again for ever; after some days a person is told."""
    now = now_utc()
    since = fetch.failing_since = fetch.failing_since or now
    fetch.next_try_at, fetch.last_error = next_try(now, since=since), error[:500]
    what = f"report {fetch.name}" if fetch.name else "list of settlement reports"
    with transaction.atomic(durable=True):
        fetch.save(update_fields=["failing_since", "next_try_at", "last_error"])
        if is_over(now, since=since, tries=fetch.tries):
            account = fetch.psp_account
            summary = f"The {what} of {account.code} has not come since {since:%Y-%m-%d}: {error}."
            subject = f"{what} ({account.code})"[-128:]
            open_case(case_about_account(CaseKind.CONTRADICTION, account, summary, subject=subject))
    logger.warning("the %s of %s did not come: %s", what, fetch.psp_account.code, error)
