"""Tells finance of lines that moved another amount than agreed: one case for each report and code.

A case is opened once no line of the report waits any more, or an hour after the first was found. It
closes by no rule: the money is booked as the PSP says, and an operator agrees or objects.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Min, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from ledger.money import Money
from payments.clock import now_utc
from payments.services.cases.opening import case_about_account, open_case
from payments.states import CaseKind
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import LineVariance, SettlementLine, SettlementReport
from reconciliation.services.reports.archive import name_of_report

logger = logging.getLogger(__name__)

REPORTS_MOST: Final = 100
"""Told of in one run."""
WAIT_MOST: Final = timedelta(hours=1)
_WHOLE: Final = {Discrepancy.FEE_VARIANCE: "fee", Discrepancy.FX_VARIANCE: "amount"}
_RIGHT: Final = {
    Discrepancy.FEE_VARIANCE: "agreed",
    Discrepancy.FX_VARIANCE: "converted at the stated rate",
}


def tell_variances() -> int:
    """Open the cases that are due; returns how many reports were told of. Safe to repeat."""
    now = now_utc()
    untold = LineVariance.objects.filter(told_at__isnull=True)
    reports = untold.values_list("report_id").annotate(since=Min("found_at")).order_by("since")
    due = [
        report_id
        for report_id, since in reports[:REPORTS_MOST]
        if since <= now - WAIT_MOST or not _waits(report_id)
    ]
    for report_id in due:
        _tell(report_id, now)
    return len(due)


def _waits(report_id: UUID) -> bool:
    report = SettlementReport.objects.get(pk=report_id)
    lines = SettlementLine.objects.filter(report_id=report_id, next_attempt_at__isnull=False)
    return report.lines_taken < report.lines_read or lines.exists()


def _tell(report_id: UUID, now: datetime) -> None:
    with transaction.atomic(durable=True):
        rows = LineVariance.objects.select_for_update().filter(
            report_id=report_id, told_at__isnull=True
        )
        ids = list(rows.values_list("pk", flat=True))
        told = LineVariance.objects.filter(pk__in=ids)
        for code in sorted(set(told.values_list("discrepancy", flat=True))):
            _open_case(report_id, told.filter(discrepancy=code), Discrepancy(code))
        told.update(told_at=now)


def _open_case(report_id: UUID, rows: QuerySet[LineVariance], code: Discrepancy) -> None:
    report = SettlementReport.objects.select_related("psp_account").get(pk=report_id)
    difference = F("stated_minor") - F("agreed_minor")
    groups = rows.values("currency", "component").annotate(
        lines=Count("id"),
        more=Coalesce(Sum(difference, filter=Q(stated_minor__gt=F("agreed_minor"))), 0),
        less=Coalesce(Sum(-difference, filter=Q(stated_minor__lt=F("agreed_minor"))), 0),
    )
    found = list(groups.order_by("currency", "component"))
    named = name_of_report(report)
    groups_in_words = "; ".join(_in_words(group, _WHOLE[code]) for group in found)
    summary = (
        f"{code}: lines of {named} are not as {_RIGHT[code]}: {groups_in_words}. They are booked "
        "as they say; settlement_reports --variances lists them."
    )
    case = case_about_account(
        CaseKind.CONTRADICTION,
        report.psp_account,
        summary,
        subject=f"{code} in {named}"[:128],
        discrepancy=code,
    )
    case.amount_minor = int(found[0]["more"] + found[0]["less"])
    case.currency = found[0]["currency"]
    if open_case(case):
        logger.error("alert: %s", case.summary)


def _in_words(group: Mapping[str, Any], whole: str) -> str:
    currency = group["currency"]
    more, less = (Money(int(group[name]), currency) for name in ("more", "less"))
    return f"{group['component'] or whole} of {group['lines']}, {more} more and {less} less"
