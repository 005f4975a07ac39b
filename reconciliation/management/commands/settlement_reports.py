"""`manage.py settlement_reports`: what PSPs reported; fetch it, bring a file, try again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, QuerySet

from reconciliation.models import SettlementLine, SettlementReport
from reconciliation.services.lines import account_for_due_lines, look_again, name_of
from reconciliation.services.reading import read_again, read_report
from reconciliation.services.reports import (
    NoSuchAccount,
    account_of,
    fetch_reports,
    store_report,
)
from reconciliation.states import LineStatus, ReportStatus

_READ: Final = {ReportStatus.READ: "read", ReportStatus.UNREADABLE: "UNREADABLE"}


class Command(BaseCommand):
    help = (
        "List settlement reports, fetch the new ones, or import a file. What came is read, and the "
        "lines of disputes are accounted for; the sweeps do the same by themselves. Doing any of "
        "it again is harmless: a report is stored once, and a line counts once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fetch", action="store_true", help="fetch what PSPs have published")
        parser.add_argument("--import", dest="file", default="", help="take in this file")
        parser.add_argument("--account", default="", help="code of a PSP account")
        parser.add_argument("--name", default="", help="the report's name; else the file's")
        parser.add_argument("--by", default="", help="who brings the file, such as staff:ada")
        parser.add_argument("--read-again", action="store_true", help="unreadable ones once more")
        parser.add_argument("--look-again", action="store_true", help="dead lines once more")
        parser.add_argument("--lines", action="store_true", help="list lines that wait or are dead")
        parser.add_argument(
            "--check", action="store_true", help="exit 1 if a line waits in vain, or is dead"
        )
        parser.add_argument("--most", type=int, default=50, help="list at most so many")

    def handle(self, *args: Any, **given: Any) -> None:
        if given["fetch"]:
            self.stdout.write(f"{fetch_reports()} new reports")
        if given["file"]:
            self._import(given)
        if given["read_again"]:
            self._read_again(given["account"])
        if given["look_again"]:
            count = look_again(account_code=given["account"], report_name=given["name"])
            self.stdout.write(f"{count} lines will be looked at again")
        if any(given[name] for name in ("fetch", "file", "read_again", "look_again")):
            self._read_and_account()
        if given["lines"]:
            self._list_lines(given["account"], given["most"])
        else:
            self._list_reports(given["account"], given["most"])
        if given["check"]:
            self._check(given["account"], given["most"])

    def _import(self, given: dict[str, Any]) -> None:
        if not given["account"] or not given["by"].strip():
            raise CommandError("say whose report it is, and who brings it: --account, --by")
        path = Path(given["file"])
        try:
            report = store_report(
                account=account_of(given["account"]),
                name=given["name"] or path.name,
                body=path.read_bytes(),
                brought_by=given["by"].strip(),
            )
        except NoSuchAccount:
            raise CommandError(f"no PSP account with credentials: {given['account']}") from None
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write("it is here already" if report is None else f"{report.name} is stored")

    def _read_again(self, account_code: str) -> None:
        rows = SettlementReport.objects.filter(status=ReportStatus.UNREADABLE).defer("body")
        if account_code:
            rows = rows.filter(psp_account__code=account_code)
        for report in rows:
            read_again(report)

    def _read_and_account(self) -> None:
        stored = SettlementReport.objects.filter(status=ReportStatus.STORED).order_by("id")
        for report_id in list(stored.values_list("id", flat=True)):
            read_report(report_id)
        # Bounded like a sweep: with a PSP that is down, all of them would take hours.
        count = account_for_due_lines()
        self.stdout.write(f"{count} lines looked at; the sweeps go on with what is left")

    def _list_reports(self, account_code: str, most: int) -> None:
        rows = SettlementReport.objects.select_related("psp_account").defer("body")
        if account_code:
            rows = rows.filter(psp_account__code=account_code)
        found = list(rows.order_by("-id")[:most])
        counts = _counts([report.pk for report in found])
        for report in found:
            told = ", ".join(f"{n} {status}" for status, n in sorted(counts[report.pk].items()))
            state = _READ.get(ReportStatus(report.status), f"{report.lines_read} lines read")
            self.stdout.write(
                f"{report.received_at:%Y-%m-%d %H:%M:%S} {report.psp_account.code} {report.name} "
                f"{state}, {report.lines_read} lines ({report.lines_new} new: {told or 'none'})"
                f"{f': {report.last_error}' if report.last_error else ''}"
            )
        self.stdout.write(f"{rows.count()} settlement reports")

    def _check(self, account_code: str, most: int) -> None:
        unreadable = SettlementReport.objects.filter(status=ReportStatus.UNREADABLE)
        if account_code:
            unreadable = unreadable.filter(psp_account__code=account_code)
        if not _unexplained(account_code).exists() and not unreadable.exists():
            self.stdout.write("every line that a rule looks at is explained")
            return
        self._list_lines(account_code, most)
        for report in unreadable.select_related("psp_account").defer("body")[:most]:
            self.stdout.write(f"{report.name} ({report.psp_account.code}) is unreadable")
        sys.exit(1)

    def _list_lines(self, account_code: str, most: int) -> None:
        rows = _unexplained(account_code)
        for line in rows.order_by("id")[:most]:
            self.stdout.write(
                f"{line.occurred_at:%Y-%m-%d %H:%M:%S} {name_of(line)} {line.status}: "
                f"{line.psp_type} {line.net} {line.psp_id or line.identity}, tried "
                f"{line.attempts} times: {line.last_error}"
            )
        self.stdout.write(f"{rows.count()} lines wait or are dead")


def _unexplained(account_code: str) -> QuerySet[SettlementLine]:
    rows = SettlementLine.objects.select_related("report", "psp_account").defer("report__body")
    rows = rows.filter(status__in=[LineStatus.DEAD, LineStatus.FAILING])
    return rows.filter(psp_account__code=account_code) if account_code else rows


def _counts(report_ids: list[Any]) -> dict[Any, dict[str, int]]:
    counts: dict[Any, dict[str, int]] = {report_id: {} for report_id in report_ids}
    rows = SettlementLine.objects.filter(report_id__in=report_ids).values("report_id", "status")
    for row in rows.annotate(count=Count("id")).order_by():
        counts[row["report_id"]][row["status"]] = row["count"]
    return counts
