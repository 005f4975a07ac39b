"""Our bank accounts, their statements, and what PSPs paid out to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from reconciliation.models import BankAccount, BankLine, BankStatement, BankStatementFile
from reconciliation.services.bank_statements.bookings import transactions_of
from reconciliation.states import LineStatus

_STATUS_LABELS = {"open": "info", "failing": "warning", "matched": "success", "dead": "danger"}
_LINES = "admin:reconciliation_bankline_changelist"


@admin.register(BankAccount)
class BankAccountAdmin(ReadOnlyAdmin):
    """`manage.py bank_statements --add` adds one."""

    list_display = ("number", "currency", "shown_payers", "payouts_since", "livemode")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("number", "currency"),
                    ("shown_payers", "payouts_since"),
                    ("livemode", "added_at"),
                )
            },
        ),
    )

    @shown(description="paid by")
    def shown_payers(self, account: BankAccount) -> str:
        return ", ".join(account.psp_accounts)


@admin.register(BankStatementFile)
class BankStatementFileAdmin(ReadOnlyAdmin):
    """The files as operators imported them."""

    list_display = ("name", "format", "imported_by", "received_at")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("name", "format"),
                    ("imported_by", "received_at"),
                    ("body_sha256", "statements"),
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[BankStatementFile]:
        rows: QuerySet[BankStatementFile] = super().get_queryset(request)
        return rows.defer("body")

    @shown(description="statements")
    def statements(self, file: BankStatementFile) -> SafeString | str:
        found = file.statements.order_by("closed_on", "id")
        links = ((_link_to_statement(each),) for each in found)
        return format_html_join(" ", "{}", links) or display.NOTHING


@admin.register(BankStatement)
class BankStatementAdmin(SearchByPublicId, ReadOnlyAdmin):
    """`manage.py bank_statements` imports them, and proves their balances."""

    list_display = (
        "reference",
        "bank_account",
        "opened_on",
        "closed_on",
        "shown_opening",
        "shown_closing",
        "line_count",
    )
    list_select_related = ("bank_account",)
    list_filter = (("bank_account", RelatedDropdownFilter),)
    search_help_text = "The bank's name of the statement"
    id_paths = {}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("reference", "number"),
                    ("bank_account", "shown_file"),
                    ("opened_on", "closed_on"),
                    ("shown_opening", "shown_closing"),
                    ("line_count", "lines"),
                    "stored_at",
                )
            },
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(reference=term)

    @shown(description="opens with")
    def shown_opening(self, statement: BankStatement) -> SafeString:
        return display.in_one_line(str(statement.opening))

    @shown(description="closes with")
    def shown_closing(self, statement: BankStatement) -> SafeString:
        return display.in_one_line(str(statement.closing))

    @shown(description="lines")
    def line_count(self, statement: BankStatement) -> int:
        return len(statement.identities)

    @shown(description="those that it was the first to show")
    def lines(self, statement: BankStatement) -> SafeString:
        return display.link_to(f"{reverse(_LINES)}?q={statement.pk}", "lines")

    @shown(description="file")
    def shown_file(self, statement: BankStatement) -> SafeString:
        file = BankStatementFile.objects.only("name").get(pk=statement.file_id)
        url = reverse("admin:reconciliation_bankstatementfile_change", args=[file.pk])
        return display.link_to(url, file.name)


@admin.register(BankLine)
class BankLineAdmin(SearchByPublicId, ReadOnlyAdmin):
    """The dead ones are in suspense, each with a case."""

    list_display = (
        "shown_line",
        "shown_amount",
        "shown_status",
        "discrepancy",
        "shown_payout",
        "text",
        "bank_account",
    )
    list_select_related = ("bank_account", "statement", "payout")
    list_filter = (
        one_of("status", LineStatus),
        CurrencyFilter,
        ("bank_account", RelatedDropdownFilter),
    )
    search_help_text = "The bank's reference of the line, or the end-to-end id"
    id_paths = {}
    fieldsets = (
        (
            "What the statement says",
            {
                "fields": (
                    ("shown_statement", "number"),
                    ("bank_account", "shown_amount"),
                    ("booked_on", "value_on"),
                    ("bank_reference", "end_to_end_id"),
                    "text",
                    ("identity", "occurrence"),
                    "stored_at",
                )
            },
        ),
        (
            "What in our books it is",
            {
                "fields": (
                    ("shown_status", "attempts"),
                    ("shown_payout", "named_by"),
                    ("transactions", "discrepancy"),
                    ("matched_at", "given_up_at"),
                    ("next_attempt_at", "retrying_since"),
                    "last_error",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        # A statement's page links here with the statement's own id; lines are numbered.
        try:
            statement_id = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(statement_id=statement_id), False

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(bank_reference=term) & ~Q(bank_reference="")
        yield Q(end_to_end_id=term) & ~Q(end_to_end_id="")

    @shown(description="line")
    def shown_line(self, line: BankLine) -> SafeString:
        return display.in_one_line(f"{line.booked_on} {line.statement.reference} {line.number}")

    @shown(description="amount")
    def shown_amount(self, line: BankLine) -> SafeString:
        return display.in_one_line(str(line.amount))

    @shown(description="status", label=_STATUS_LABELS)
    def shown_status(self, line: BankLine) -> str:
        return str(line.status)

    @shown(description="payout")
    def shown_payout(self, line: BankLine) -> SafeString | str:
        if line.payout is None:
            return display.NOTHING
        url = reverse("admin:reconciliation_settlementline_change", args=[line.payout.pk])
        return display.link_to(url, line.payout.psp_id or line.payout.identity)

    @shown(description="statement")
    def shown_statement(self, line: BankLine) -> SafeString:
        return _link_to_statement(line.statement)

    @shown(description="ledger transactions")
    def transactions(self, line: BankLine) -> SafeString | str:
        ids = transactions_of(line)
        links = ((display.link(public_ids.BALANCE_TRANSACTION, each),) for each in ids)
        return format_html_join(" ", "{}", links) or display.NOTHING


def _link_to_statement(statement: BankStatement) -> SafeString:
    url = reverse("admin:reconciliation_bankstatement_change", args=[statement.pk])
    return display.link_to(url, statement.reference)
