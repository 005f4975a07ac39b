"""`manage.py settlement_reports`: what PSPs reported; fetch it, bring a file, try again."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Count, QuerySet

from payments.management.authors import add_author, named_author_of
from payments.models import Act, Case, PspAccount
from payments.services.audit.trail import AuditSubject, recorded
from payments.services.psp_gateway.circuit_breaker import CallRefused
from payments.states import CaseStatus
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials
from reconciliation.discrepancies import Discrepancy
from reconciliation.models import (
    LineVariance,
    MissingSettlement,
    ReportFetch,
    SettlementLine,
    SettlementReport,
    StatedBalance,
)
from reconciliation.services.expectations.remainder import Remainder, remainders_of
from reconciliation.services.matching.preview import lines_of, preview_report
from reconciliation.services.matching.reprocess import requeue_lines
from reconciliation.services.matching.sweep import match_due_lines, name_of
from reconciliation.services.reports import fetching
from reconciliation.services.reports.archive import (
    NoSuchAccount,
    account_of,
    import_report,
    name_of_report,
)
from reconciliation.services.reports.reading import read_again, read_report
from reconciliation.services.run_report import reported
from reconciliation.states import LINE_WAITING, LineStatus, ReportStatus

_STATES: Final = {
    ReportStatus.READ: "read",
    ReportStatus.UNREADABLE: "UNREADABLE",
    ReportStatus.STORED: "being read",
    ReportStatus.RECEIVING: "NOT WHOLE",
}
_CHECK_EVERY_SECONDS: Final = 0.5


class Command(BaseCommand):
    help = (
        "List settlement reports, fetch the new ones, or import a file. What came is read, and its "
        "lines are matched; the sweeps do the same by themselves. Doing any of it again is "
        "harmless: a report is stored once, and a line counts once."
    )
    requires_system_checks = ()  # A third of the time until it runs; a deployment checks once.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fetch", action="store_true", help="ask PSPs now for what is new")
        parser.add_argument("--import", dest="file", default="", help="take in this file")
        parser.add_argument(
            "--preview",
            default="",
            metavar="FILE",
            help="what this file would change; writes nothing",
        )
        parser.add_argument("--account", default="", help="code of a PSP account")
        parser.add_argument(
            "--name", default="", help="the report's name (of a file: else its own)"
        )
        add_author(parser)
        parser.add_argument("--read-again", action="store_true", help="unreadable ones once more")
        parser.add_argument("--requeue", action="store_true", help="dead lines once more")
        parser.add_argument("--lines", action="store_true", help="list lines that are not matched")
        parser.add_argument(
            "--missing", action="store_true", help="list what should be in a report by now"
        )
        parser.add_argument(
            "--variances",
            action="store_true",
            help="list the newest amounts of matched lines that are not the agreed ones",
        )
        parser.add_argument(
            "--remainder",
            action="store_true",
            help="what each PSP says that it holds, and what of it is not explained",
        )
        parser.add_argument(
            "--balances",
            action="store_true",
            help="what each PSP said each day that it holds, beside the books of that moment",
        )
        parser.add_argument(
            "--check",
            action="store_true",
            help="exit 1 unless all is here, read and explained, or its case closed by an operator",
        )
        parser.add_argument(
            "--wait", type=float, default=0, help="seconds that --check gives the sweeps"
        )
        parser.add_argument("--most", type=int, default=50, help="list at most so many")

    def handle(self, *args: Any, **given: Any) -> None:
        self._require_sense(given)
        if given["preview"]:
            self._preview(given)
            return
        if given["fetch"]:
            fetching.make_due()
            self.stdout.write(f"{fetching.fetch_due_reports(fetching.BY_COMMAND)} new reports")
        if given["file"]:
            self._import(given)
        if given["read_again"]:
            self._read_again(given)
        if given["requeue"]:
            self._requeue(given)
        if any(given[name] for name in ("fetch", "file", "read_again", "requeue")):
            self._read_and_match()
        if given["lines"]:
            self._list_lines(given["account"], given["most"])
        elif given["missing"]:
            self._list_missing(given["account"], given["most"])
        elif given["variances"]:
            self._list_variances(given["account"], given["most"])
        elif given["remainder"]:
            self._show_remainders(given["account"])
        elif given["balances"]:
            self._list_balances(given["account"], given["most"])
        else:
            self._list_reports(given["account"], given["most"])
        if given["check"] and not self._is_explained(given):
            sys.exit(1)

    def _require_sense(self, given: dict[str, Any]) -> None:
        code = given["account"]
        if code and not PspAccount.objects.filter(code=code).exists():
            raise CommandError(f"no PSP account of the code {code}")
        if given["most"] < 1:
            raise CommandError("--most is 1 at least")

    def _import(self, given: dict[str, Any]) -> None:
        if not given["account"]:
            raise CommandError("say whose report it is: --account")
        path = Path(given["file"])
        try:
            with path.open("rb") as file:
                stored = import_report(
                    account=_account(given["account"]),
                    name=given["name"] or path.name,
                    file=file,
                    author=named_author_of(given),
                )
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        name = stored.report.name
        self.stdout.write(f"{name} is stored" if stored.is_new else f"{name} is here already")

    def _preview(self, given: dict[str, Any]) -> None:
        """Exit 1 if an operator would be needed."""
        try:
            with Path(given["preview"]).open("rb") as file:
                preview = preview_report(_account(given["account"]), file)
        except (OSError, ValueError) as error:
            raise CommandError(str(error)) from error
        for line in lines_of(preview):
            self.stdout.write(line)
        if preview.needs_an_operator:
            sys.exit(1)

    def _read_again(self, given: dict[str, Any]) -> None:
        unreadable = SettlementReport.objects.filter(status=ReportStatus.UNREADABLE)
        rows, name = _of(unreadable, given["account"]), given["name"]
        with self._recorded(Act.REPORT_READ_AGAIN, given) as changes:
            for report in rows.filter(name=name) if name else rows:
                read_again(report)
                changes[report.name] = {"before": ReportStatus.UNREADABLE.value}

    def _requeue(self, given: dict[str, Any]) -> None:
        with self._recorded(Act.LINES_REQUEUE, given) as changes:
            count = requeue_lines(account_code=given["account"], report_name=given["name"])
            changes["lines"] = {"after": count}
        self.stdout.write(f"{count} lines are requeued")

    def _recorded(self, act: Act, given: dict[str, Any]) -> AbstractContextManager[dict[str, Any]]:
        """Records what is done to the reports or lines that the options choose."""
        chosen = [each for each in (given["account"], given["name"]) if each]
        about = AuditSubject(label=" ".join(chosen) or "all accounts")
        try:
            return recorded(act, named_author_of(given), about)
        except ValueError as refusal:
            raise CommandError(str(refusal)) from None

    def _read_and_match(self) -> None:
        stored = SettlementReport.objects.filter(status=ReportStatus.STORED).order_by("id")
        for report_id in list(stored.values_list("id", flat=True)):
            read_report(report_id)
        # Bounded like a sweep: with a PSP that is down, all of them would take hours.
        done = reported(match_due_lines)
        self.stdout.write(f"lines attempted: {done}; the sweeps go on with what is left")

    def _list_reports(self, account_code: str, most: int) -> None:
        rows = _of(SettlementReport.objects.select_related("psp_account"), account_code)
        found = list(rows.order_by("-id")[:most])
        counts = _counts([report.pk for report in found])
        for report in found:
            states = ", ".join(f"{n} {status}" for status, n in sorted(counts[report.pk].items()))
            self.stdout.write(
                f"{report.received_at:%Y-%m-%d %H:%M:%S} {report.psp_account.code} {report.name} "
                f"{_STATES[ReportStatus(report.status)]}, {report.lines_read} lines "
                f"({report.lines_new} new: {states or 'none'})"
                f"{f': {report.last_error}' if report.last_error else ''}"
            )
        self.stdout.write(f"{rows.count()} settlement reports")
        for fetch in _missing(account_code)[:most]:
            self.stdout.write(
                f"{fetch} of {fetch.psp_account.code} has not come since "
                f"{fetch.failing_since:%Y-%m-%d %H:%M:%S}: {fetch.last_error}"
            )

    def _list_lines(self, account_code: str, most: int) -> None:
        rows = SettlementLine.objects.select_related("report", "psp_account")
        rows = _of(rows, account_code)
        given_up = rows.filter(status__in=[LineStatus.DEAD, LineStatus.FAILING])
        for line in given_up.order_by("id")[:most]:
            self.stdout.write(
                f"{line.occurred_at:%Y-%m-%d %H:%M:%S} {name_of(line)} {line.status}: "
                f"{line.psp_type} {line.net} {line.psp_id or line.identity}, tried "
                f"{line.attempts} times: {line.discrepancy}: {line.last_error}"
            )
        waiting = rows.filter(status=LineStatus.OPEN).count()
        self.stdout.write(f"{given_up.count()} lines failing or dead, {waiting} not attempted yet")

    def _list_missing(self, account_code: str, most: int) -> None:
        rows = MissingSettlement.objects.select_related("operation", "psp_account")
        missing = _of(rows.filter(settled_at__isnull=True), account_code)
        for row in missing.order_by("expected_by")[:most]:
            self.stdout.write(
                f"{row.operation.public_id} {row.operation.kind} at {row.psp_account.code}: "
                f"{row.amount}, expected until {row.expected_by:%Y-%m-%d %H:%M} UTC"
            )
        self.stdout.write(f"{missing.count()} captures and refunds are missing")

    def _list_variances(self, account_code: str, most: int) -> None:
        rows = _of(LineVariance.objects.all(), account_code)
        found = rows.select_related("line__report", "line__psp_account").order_by("-id")
        for row in found[:most]:
            self.stdout.write(f"{name_of(row.line)} {row.line.psp_id}: {row}")
        self.stdout.write(f"{rows.count()} amounts are not the agreed ones")

    def _show_remainders(self, account_code: str) -> None:
        rows = PspAccount.objects.exclude(sealed_credentials="").order_by("code")
        for account in rows.filter(code=account_code) if account_code else rows:
            try:
                remainders = remainders_of(account)
            except (PspUnavailable, CallRefused, BadCredentials) as reason:
                self.stdout.write(f"{account.code}: the PSP could not be asked: {reason}")
                continue
            for each in remainders:
                if not each.is_empty:
                    self._show_remainder(account, each)
            empty = ", ".join(each.currency for each in remainders if each.is_empty)
            if empty:
                self.stdout.write(f"{account.code} {empty}: nothing held, nothing expected")

    def _show_remainder(self, account: PspAccount, remainder: Remainder) -> None:
        """In one line if it is as it should be."""
        if remainder.is_plain:
            self.stdout.write(
                f"{account.code} {remainder.currency}: the PSP states {remainder.stated}, as its "
                f"lines explain; UNEXPLAINED {remainder.unexplained}"
            )
            return
        self.stdout.write(f"{account.code} {remainder.currency}")
        for name, amount in remainder.figures.items():
            text = "not stated by this PSP" if amount is None else str(amount)
            self.stdout.write(f"  {name:26} {text:>18}")

    def _list_balances(self, account_code: str, most: int) -> None:
        rows = _of(StatedBalance.objects.select_related("psp_account"), account_code)
        for row in rows.order_by("-id")[:most]:
            judged = "not judged yet"
            if row.books is not None:
                drift = f"{Discrepancy.BALANCE_DRIFT} {row.drift}" if row.drift else "proven"
                judged = f"by our books {row.books}, {drift}"
            self.stdout.write(
                f"{row.stated_at:%Y-%m-%d %H:%M:%S} {row.psp_account.code} states {row.stated}: "
                f"{judged}"
            )

    def _is_explained(self, given: dict[str, Any]) -> bool:
        """Is everything here, read and explained, at the latest when the sweeps had their time?"""
        end = time.monotonic() + given["wait"]
        while (why := _unexplained(given["account"])) and time.monotonic() < end:
            time.sleep(_CHECK_EVERY_SECONDS)
            match_due_lines()
        for reason in why or ["everything is here, read and explained"]:
            self.stdout.write(reason)
        return not why


def _account(code: str) -> PspAccount:
    try:
        return account_of(code)
    except NoSuchAccount:
        raise CommandError(f"no credentials of the account {code!r}: say --account") from None


def _of(rows: QuerySet[Any], account_code: str) -> QuerySet[Any]:
    return rows.filter(psp_account__code=account_code) if account_code else rows


def _missing(account_code: str) -> QuerySet[ReportFetch]:
    """What PSPs did not deliver."""
    rows = ReportFetch.objects.filter(failing_since__isnull=False).select_related("psp_account")
    return _of(rows, account_code).order_by("failing_since")


def _unexplained(account_code: str) -> list[str]:
    """Each reason why not all is well. What is given up counts until its case is closed."""
    reports = _of(SettlementReport.objects.select_related("psp_account"), account_code)
    lines = _of(SettlementLine.objects.select_related("report", "psp_account"), account_code)
    dead = [name_of(line) for line in lines.filter(status=LineStatus.DEAD).order_by("id")]
    unreadable = [
        name_of_report(report) for report in reports.filter(status=ReportStatus.UNREADABLE)
    ]
    figures = {
        "reports do not come": _missing(account_code).count(),
        "reports are not whole": reports.filter(status=ReportStatus.RECEIVING).count(),
        "reports are not read": reports.filter(status=ReportStatus.STORED).count(),
        "lines wait": lines.filter(status__in=sorted(LINE_WAITING)).count(),
        "lines are dead, with an open case": len(_with_open_case(dead)),
        "reports are unreadable, with an open case": len(_with_open_case(unreadable)),
    }
    return [f"{count} {what}" for what, count in figures.items() if count]


def _with_open_case(subjects: list[str]) -> set[str]:
    rows = Case.objects.filter(status=CaseStatus.OPEN, subject__in=subjects)
    return set(rows.values_list("subject", flat=True))


def _counts(report_ids: list[Any]) -> dict[Any, dict[str, int]]:
    counts: dict[Any, dict[str, int]] = {report_id: {} for report_id in report_ids}
    rows = SettlementLine.objects.filter(report_id__in=report_ids).values("report_id", "status")
    for row in rows.annotate(count=Count("id")).order_by():
        counts[row["report_id"]][row["status"]] = row["count"]
    return counts
