"""What is still open at the end of a day, for the person who closes it. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from payments.models import Case, Operation, PspAccount
from payments.states import OPERATION_OPEN, CaseStatus
from reconciliation.models import (
    BankLine,
    MissingSettlement,
    ReportFetch,
    SettlementLine,
    SettlementReport,
)
from reconciliation.states import LINE_WAITING, LineStatus, ReportStatus


def end_of_day(day: date) -> datetime:
    """Midnight after this day, UTC."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


def open_points(code: str, through: date) -> list[str]:
    """One sentence for each kind of thing that is open for a PSP account; empty code: the bank."""
    if not code:
        return list(_of_the_bank(through))
    account = PspAccount.objects.get(code=code)
    return [f"{code}: {each}" for each in _of_account(account, end_of_day(through))]


def _of_account(account: PspAccount, end: datetime) -> Iterator[str]:
    operations = Operation.objects.filter(psp_account=account, status__in=sorted(OPERATION_OPEN))
    lines = SettlementLine.objects.filter(psp_account=account, occurred_at__lt=end)
    reports = SettlementReport.objects.filter(psp_account=account)
    unread = [ReportStatus.RECEIVING, ReportStatus.STORED]
    missing = MissingSettlement.objects.filter(psp_account=account, settled_at__isnull=True)
    cases = Case.objects.filter(psp_account=account, status=CaseStatus.OPEN, opened_at__lt=end)
    counts = {
        "operations have no outcome yet": operations.filter(created_at__lt=end).count(),
        "settlement lines wait": lines.filter(status__in=sorted(LINE_WAITING)).count(),
        "settlement lines are in suspense": lines.filter(status=LineStatus.DEAD).count(),
        "settlement reports are not read": reports.filter(status__in=unread).count(),
        "settlement reports do not come": ReportFetch.objects.filter(
            psp_account=account, failing_since__isnull=False
        ).count(),
        "captures and refunds are in no report in time": missing.filter(
            expected_by__lt=end
        ).count(),
        "cases are open": cases.count(),
    }
    return (f"{count} {what}" for what, count in counts.items() if count)


def _of_the_bank(through: date) -> Iterator[str]:
    lines = BankLine.objects.filter(booked_on__lte=through)
    cases = Case.objects.filter(
        psp_account__isnull=True, status=CaseStatus.OPEN, opened_at__lt=end_of_day(through)
    )
    counts = {
        "bank lines wait": lines.filter(status__in=sorted(LINE_WAITING)).count(),
        "bank lines are in suspense": lines.filter(status=LineStatus.DEAD).count(),
        "cases of no PSP account are open": cases.count(),
    }
    return (f"{count} {what}" for what, count in counts.items() if count)
