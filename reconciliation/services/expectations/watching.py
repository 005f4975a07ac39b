"""Finds captures and refunds that should be in a settlement report by now, and are in none.

Each ledger account of open items is looked through once, in the order in which it was written, as
far as the account's settlement calendar says that it must be reported. So a run reads what became
due since the last one, however many open or settled items there are. What is missing then has a row
and a case; it is checked again until its line comes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Max, Q

from ledger.database.statements import execute, insert_absent
from ledger.selectors import accounts_of
from payments.clock import now_utc
from payments.metrics import LATE_SETTLEMENTS
from payments.models import Case, Operation, PspAccount
from payments.services.cases.closing import ClosingRule, close_by_rule
from payments.services.cases.opening import (
    case_about_account,
    case_about_operation,
    open_case,
)
from payments.services.jobs.backoff import GIVE_UP_AFTER
from payments.services.psp_gateway.terms import settlement_calendar_of
from payments.states import CaseKind
from psp_adapters.contract.settlement_calendar import Due, SettlementCalendar
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import MissingSettlement, ReportFetch, SettlementReport, SettlementWatch
from reconciliation.services.expectations.open_items import (
    CODES,
    Moved,
    entries_after,
    lines_came_at,
    open_items,
)
from reconciliation.states import ReportStatus

logger = logging.getLogger(__name__)

_SIGNS: Final = {"refund": -1, "capture": 1, "authorize": 1}
"""Of the change of our balance with the PSP, by the kind of an operation."""
SWEEP_SECONDS: Final = 5.0
ENTRIES_AT_ONCE: Final = 500
"""If all of them are missing, their cases are opened within the time of a transaction."""
CHECKED_AT_ONCE: Final = 1_000
UNDER_WAY_MOST: Final = timedelta(minutes=1)
"""No transaction that posts lives so long: what is due is committed."""
WAITING_MOST: Final = 20_000
"""With more lines that were not attempted yet, no account is judged: matching is behind."""

_WAITING: Final = """
    SELECT psp_account_id, count(*) FROM (
        SELECT psp_account_id FROM reconciliation_settlement_line
         WHERE next_attempt_at IS NOT NULL AND status = 'open' LIMIT %s) AS waiting
     GROUP BY psp_account_id"""


@dataclass(slots=True)
class _Watch:
    """One run over one PSP account."""

    account: PspAccount
    calendar: SettlementCalendar
    due: Due
    now: datetime
    end: float
    """Of time.monotonic(): no further step begins then."""
    opened: int = 0


def watch_settlements(*, now: datetime | None = None) -> int:
    """Open cases about what became overdue, and close those whose line came; returns how many.

    Bounded in time; a further run goes on. Safe to repeat. An account whose reports do not come has
    one case, and is not judged item by item.
    """
    moment, end = now or now_utc(), time.monotonic() + SWEEP_SECONDS
    closed = _check_again(moment)
    waiting: dict[UUID, int] = dict(execute(_WAITING, [WAITING_MOST]))
    if sum(waiting.values()) >= WAITING_MOST:
        return closed
    accounts = PspAccount.objects.exclude(pk__in=list(waiting)).order_by("code")
    return closed + sum(_watch_account(account, moment, end) for account in accounts)


def _watch_account(account: PspAccount, now: datetime, end: float) -> int:
    """How many cases were opened; what is wrong with one account delays no other."""
    try:
        calendar = settlement_calendar_of(account)
        if not calendar.watched or waits_for_a_report(account, now):
            return 0
        watch = _Watch(account, calendar, calendar.due(now - UNDER_WAY_MOST), now, end)
        _look_through(watch)
    except Exception:
        logger.exception("alert: the settlement of %s could not be watched", account.code)
        return 0
    return watch.opened


def waits_for_a_report(account: PspAccount, now: datetime) -> bool:
    """Whether a report is being read; or is listed and not here, or not readable, for some days.

    Its own case says so then. What is in it is not missing.
    """
    since = now - GIVE_UP_AFTER
    reports = SettlementReport.objects.filter(psp_account=account).exclude(status=ReportStatus.READ)
    if reports.filter(Q(status=ReportStatus.STORED) | Q(received_at__gt=since)).exists():
        return True
    listed = ReportFetch.objects.filter(psp_account=account, report__isnull=True).exclude(name="")
    return listed.filter(added_at__gt=since).exists()


def _look_through(watch: _Watch) -> None:
    newest = _newest_report(watch.account)
    is_without_report = newest is None or newest < watch.due.day_began_at
    overdue = False
    for ledger_account in accounts_of(codes=CODES, dimension=watch.account.code):
        while time.monotonic() < watch.end:
            step = _Step.of(watch, ledger_account.id)
            overdue = overdue or bool(step.missing)
            if (is_without_report and step.missing) or not step.entries:
                break
            step.record(watch)
    if is_without_report and overdue:
        watch.opened += _open_case_of_no_report(watch.account, newest)
    elif not is_without_report:
        _close_case_of_no_report(watch.account, newest)


def _newest_report(account: PspAccount) -> datetime | None:
    """When the newest report that could be read came."""
    read = SettlementReport.objects.filter(psp_account=account, status=ReportStatus.READ)
    newest: datetime | None = read.aggregate(newest=Max("received_at"))["newest"]
    return newest


@dataclass(frozen=True, slots=True)
class _Step:
    """The next entries of one ledger account that are due, and what of them is missing."""

    ledger_account_id: UUID
    entries: Sequence[Moved]
    missing: dict[UUID, int]

    @classmethod
    def of(cls, watch: _Watch, ledger_account_id: UUID) -> _Step:
        row = SettlementWatch.objects.filter(pk=ledger_account_id).first()
        position = row.position if row is not None else 0
        read = entries_after(ledger_account_id, position, most=ENTRIES_AT_ONCE)
        due = list(takewhile(lambda entry: entry.at < watch.due.moved_before, read))
        if len(due) < len(read):
            # Those of a transaction stay together.
            due = [entry for entry in due if entry.xid < read[len(due)].xid]
        ids = {entry.operation_id for entry in due if entry.operation_id is not None}
        found = open_items(ids)
        missing = {key: item.minor for key, item in found.items() if not item.is_named}
        return cls(ledger_account_id, due, missing)

    def record(self, watch: _Watch) -> None:
        """Write what is missing, with its cases, and how far it was looked for."""
        moved_at = {entry.operation_id: entry.at for entry in self.entries}
        operations = Operation.objects.in_bulk(list(self.missing))
        with transaction.atomic(durable=True):
            for operation in operations.values():
                row = _row_of(watch, operation, self.missing[operation.id], moved_at[operation.id])
                # An operation has one case ever, and its reversal another one.
                if insert_absent([row], conflict="(operation_id, amount_minor)"):
                    watch.opened += open_case(_case_of(row, operation))
            SettlementWatch.objects.update_or_create(
                pk=self.ledger_account_id,
                defaults={"position": self.entries[-1].xid, "watched_at": watch.now},
            )


def _row_of(
    watch: _Watch, operation: Operation, minor: int, moved_at: datetime
) -> MissingSettlement:
    return MissingSettlement(
        operation=operation,
        psp_account=watch.account,
        amount_minor=minor,
        currency=operation.currency,
        moved_at=moved_at,
        expected_by=watch.calendar.reported_by(moved_at),
        found_at=watch.now,
        checked_at=watch.now,
    )


def _case_of(row: MissingSettlement, operation: Operation) -> Case:
    what = "reversal of the " if row.amount_minor * _SIGNS[operation.kind] < 0 else ""
    summary = (
        f"The {what}{operation.kind} of {operation.amount} should be in a settlement report of "
        f"{row.psp_account.code} since {row.expected_by:%Y-%m-%d %H:%M} UTC, and is in none."
    )
    case = case_about_operation(CaseKind.NOT_SETTLED, operation, summary)
    case.discrepancy = Discrepancy.MISSING_AT_PSP
    return case


def subject_of_reports(account: PspAccount) -> str:
    return f"reports of {account.code}"


def _open_case_of_no_report(account: PspAccount, newest: datetime | None) -> bool:
    since = f"since {newest:%Y-%m-%d}" if newest is not None else "ever"
    summary = (
        f"No settlement report of {account.code} has come {since}, and captures or refunds should "
        "be in one by now. None of them has a case of its own until a report comes."
    )
    case = case_about_account(
        CaseKind.NOT_SETTLED,
        account,
        summary,
        subject=subject_of_reports(account),
        discrepancy=Discrepancy.FILE_GAP,
    )
    with transaction.atomic(durable=True):
        return open_case(case)


def _close_case_of_no_report(account: PspAccount, newest: datetime | None) -> None:
    with transaction.atomic(durable=True):
        close_by_rule(
            ClosingRule.REPORT_CAME,
            account,
            CaseKind.NOT_SETTLED,
            subject_of_reports(account),
            resolution=f"A settlement report came: {newest:%Y-%m-%d %H:%M} UTC.",
        )


def _check_again(now: datetime) -> int:
    """Settle what is no open item any more: its line came, or it was reversed; those first that
    were not checked for longest."""
    with transaction.atomic(durable=True):
        rows = MissingSettlement.objects.select_for_update(of=("self",))
        rows = rows.select_related("operation", "psp_account").filter(settled_at__isnull=True)
        checked = list(rows.order_by("checked_at")[:CHECKED_AT_ONCE])
        ids = [row.operation_id for row in checked]
        still_open, came_at = open_items(ids), lines_came_at(ids)
        for row in checked:
            row.checked_at = now
            item = still_open.get(row.operation_id)
            if item is None or item.minor != row.amount_minor:
                _settle(row, came_at.get(row.operation_id), now)
        MissingSettlement.objects.bulk_update(checked, ["checked_at", "settled_at", "late_by"])
    return sum(row.settled_at is not None for row in checked)


def _settle(row: MissingSettlement, came_at: datetime | None, now: datetime) -> None:
    row.settled_at = now
    resolution = "It was reversed: no line of it is expected any more."
    if came_at is not None:
        row.late_by = max(came_at - row.expected_by, timedelta())
        resolution = f"{Discrepancy.LATE_SETTLEMENT}: its line came {row.late_by} late."
        LATE_SETTLEMENTS.labels(row.psp_account.code).inc()
    close_by_rule(
        ClosingRule.LATE_LINE,
        row.psp_account,
        CaseKind.NOT_SETTLED,
        row.operation.public_id,
        resolution=resolution,
    )
