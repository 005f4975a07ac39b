"""Requeues settlement lines that were given up, once an operator has removed the cause."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from payments.clock import now_utc
from payments.services.psp_gateway.accounts import adapter_of
from psp_adapters.contract.report_files import ReportFile
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services.matching.sweep import locked_line
from reconciliation.services.reports.line_identity import numbered
from reconciliation.services.reports.stored_file import stored_file
from reconciliation.states import LineStatus


def requeue_lines(*, account_code: str = "", report_name: str = "") -> int:
    """Requeue lines that were given up; returns how many.

    A line of an unknown kind is read again: the adapter may know that kind by now.
    """
    rows = SettlementLine.objects.filter(status=LineStatus.DEAD)
    if account_code:
        rows = rows.filter(psp_account__code=account_code)
    if report_name:
        rows = rows.filter(report__name=report_name)
    unknown = rows.filter(kind=LineKind.UNKNOWN.value)
    for report_id in list(unknown.order_by().values_list("report_id", flat=True).distinct()):
        _update_unknown_kinds(report_id)
    return sum(_requeue(line_id) for line_id in list(rows.values_list("id", flat=True)))


def _update_unknown_kinds(report_id: UUID) -> None:
    """Store the kinds that the adapter knows by now."""
    report = SettlementReport.objects.select_related("psp_account").get(pk=report_id)
    file = ReportFile(stored_file(report_id))
    rows = SettlementLine.objects.filter(report_id=report_id, kind=LineKind.UNKNOWN.value)
    unknown = set(rows.values_list("number", flat=True))
    lines: Iterable[tuple[int, LineKind]] = (
        (each.number, each.line.kind)
        for each in numbered(adapter_of(report.psp_account).read_report(file))
        if each.number in unknown
    )
    for number, kind in list(lines):
        if kind is not LineKind.UNKNOWN:
            rows.filter(number=number).update(kind=kind.value)


def _requeue(line_id: int) -> bool:
    with transaction.atomic(durable=True):
        line = locked_line(line_id)
        if line.status != LineStatus.DEAD:
            return False
        line.requeue_at(now_utc())
    return True
