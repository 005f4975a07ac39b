"""Settlement reports: what a PSP says it did with the money, as it came, and how far we read it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import action
from unfold.decorators import display as shown

from ledger.database.statements import execute, table_of
from ledger.money import Money
from payments.admin import display
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import PspAccount
from reconciliation.admin.report_import import PERMISSION, import_report
from reconciliation.models import (
    LookUpBudget,
    ReportChunk,
    ReportFetch,
    SettlementReport,
    StagedLine,
    WatchedFile,
)
from reconciliation.selectors import discrepancies_of
from reconciliation.states import ReportStatus

_SHOWN_BYTES = 20_000
_STATUS_LABELS = {
    "receiving": "warning",
    "stored": "info",
    "read": "success",
    "unreadable": "danger",
}


@admin.register(SettlementReport)
class SettlementReportAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Finance imports one here; `manage.py settlement_reports` fetches and reads again."""

    list_display = (
        "name",
        "psp_account",
        "shown_status",
        "lines_read",
        "lines_new",
        "last_error",
        "received",
    )
    list_select_related = ("psp_account",)
    list_filter = (
        one_of("status", ReportStatus),
        ("psp_account", RelatedDropdownFilter),
        ("received_at", CreatedFilter),
    )
    search_help_text = "The PSP's name of the report"
    actions_list = ("import_report",)
    id_paths = {}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "psp_account"),
                    ("closed_at", "received_at"),
                    ("imported_by", "shown_status"),
                    ("lines_announced", "lines"),
                    ("lines_read", "lines_new"),
                    "discrepancies",
                    ("whole_at", "lines_taken"),
                    ("read_at", "next_attempt_at"),
                    ("failing_since", "last_error"),
                )
            },
        ),
        ("As it came", {"fields": ("body_sha256", "size", "shown_body")}),
    )

    @action(description="Import a report", url_path="import", permissions=["import"])
    def import_report(self, request: HttpRequest) -> HttpResponse:
        return import_report(request, self.admin_site)

    def has_import_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(PERMISSION))

    def texts(self, term: str) -> Iterable[Q]:
        # With the accounts, of which there are few, the unique index serves.
        yield Q(name=term, psp_account__in=PspAccount.objects.values("pk"))

    @shown(description="status", label=_STATUS_LABELS)
    def shown_status(self, report: SettlementReport) -> str:
        return str(report.status)

    @shown(description="received")
    def received(self, report: SettlementReport) -> SafeString:
        return display.in_one_line(display.time(report.received_at))

    @shown(description="lines")
    def lines(self, report: SettlementReport) -> SafeString:
        url = reverse("admin:reconciliation_settlementline_changelist")
        return display.link_to(f"{url}?q={report.pk}", "those that it was the first to tell")

    @shown(description="discrepancies")
    def discrepancies(self, report: SettlementReport) -> str:
        """How many of its lines are not matched, by code."""
        found = discrepancies_of([report.pk])[report.pk]
        return ", ".join(f"{count} {code}" for code, count in found.items()) or "none"

    @shown(description="size")
    def size(self, report: SettlementReport) -> str:
        return f"{report.body_bytes:,} bytes"

    @shown(description="body")
    def shown_body(self, report: SettlementReport) -> SafeString:
        """Its beginning: a whole file may have many megabytes."""
        rows = execute(
            f"SELECT substring(body FOR {_SHOWN_BYTES}) FROM {table_of(ReportChunk)} "
            "WHERE report_id = %s AND number = 0",
            [report.pk],
        )
        return display.preformatted(bytes(rows[0][0]).decode(errors="replace") if rows else "")


@admin.register(ReportChunk)
class ReportChunkAdmin(ReadOnlyAdmin):
    """The files, in parts; the page of their report shows how each begins."""

    list_display = ("shown_report", "number")
    ordering = ("-report_id", "number")
    fieldsets = ((None, {"fields": (("shown_report", "number"),)}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReportChunk]:
        rows: QuerySet[ReportChunk] = super().get_queryset(request)
        return rows.defer("body").select_related("report")

    @shown(description="report")
    def shown_report(self, chunk: ReportChunk) -> str:
        return str(chunk.report)


@admin.register(StagedLine)
class StagedLineAdmin(ReadOnlyAdmin):
    """Lines of files that are being read: they do not count yet."""

    list_display = ("shown_report", "number", "psp_type", "gross", "fee")
    ordering = ("-report_id", "number")
    list_select_related = ("report",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("shown_report", "number"),
                    ("identity", "content_sha256"),
                    ("kind", "psp_type"),
                    ("psp_id", "psp_payment_id"),
                    ("reference", "occurred_at"),
                    ("gross", "fee"),
                )
            },
        ),
    )

    @shown(description="report")
    def shown_report(self, line: StagedLine) -> str:
        return str(line.report)

    @shown(description="gross")
    def gross(self, line: StagedLine) -> str:
        return str(Money(line.gross_minor, line.currency))

    @shown(description="fee")
    def fee(self, line: StagedLine) -> str:
        return str(Money(line.fee_minor, line.currency))


@admin.register(ReportFetch)
class ReportFetchAdmin(ReadOnlyAdmin):
    """What PSPs are asked for: the list of an account's reports, and each that is not here."""

    list_display = (
        "shown_name",
        "psp_account",
        "closed_at",
        "attempts",
        "failing_since",
        "next_attempt_at",
        "last_error",
    )
    list_select_related = ("psp_account",)
    list_filter = (("psp_account", RelatedDropdownFilter),)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("shown_name", "psp_account"),
                    ("closed_at", "lines_announced"),
                    ("report", "added_at"),
                    ("attempts", "failing_since"),
                    ("next_attempt_at", "last_error"),
                )
            },
        ),
    )

    @shown(description="report")
    def shown_name(self, fetch: ReportFetch) -> str:
        return str(fetch)


@admin.register(LookUpBudget)
class LookUpBudgetAdmin(ReadOnlyAdmin):
    """How often settlement lines looked something up at each PSP account in a minute."""

    list_display = ("psp_account", "minute", "used", "given_until")
    list_select_related = ("psp_account",)
    ordering = ("psp_account__code",)
    list_filter = (("psp_account", RelatedDropdownFilter),)
    fieldsets = ((None, {"fields": (("psp_account", "minute"), ("used", "given_until"))}),)


@admin.register(WatchedFile)
class WatchedFileAdmin(ReadOnlyAdmin):
    """Files of the watched folders, and which report each is."""

    list_display = ("name", "psp_account", "report", "next_attempt_at", "last_error")
    list_select_related = ("psp_account", "report")
    list_filter = (("psp_account", RelatedDropdownFilter),)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "psp_account"),
                    ("report", "found_at"),
                    ("size_bytes", "modified"),
                    ("failing_since", "next_attempt_at"),
                    ("last_error",),
                )
            },
        ),
    )

    @shown(description="changed last")
    def modified(self, file: WatchedFile) -> str:
        return display.time(datetime.fromtimestamp(file.modified_ns / 1e9, tz=UTC))
