"""Lines of settlement reports, what in our books each is, and the section of a payment's story."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_
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

from ledger.chart import PSP_BALANCE
from ledger.money import Money
from ledger.selectors import changes_by_rule
from ledger.settlement_rules import SOURCE
from payments import public_ids
from payments.admin import display
from payments.admin.filters import CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.admin.story import ROWS_MAX, Section
from payments.models import Operation, PaymentIntent, PspAccount
from psp_adapters.contract.operations import OperationKind
from psp_adapters.contract.settlement_reports import LineKind
from reconciliation.discrepancies import ADVICE, OF_LINES, Discrepancy
from reconciliation.models import SettlementLine, SettlementMatch, SettlementReport, SettlementShare
from reconciliation.services.matching.line_bookings import source_of
from reconciliation.states import LineStatus

_STATUS_LABELS = {
    "open": "info",
    "failing": "warning",
    "matched": "success",
    "dead": "danger",
}


@admin.register(SettlementLine)
class SettlementLineAdmin(SearchByPublicId, ReadOnlyAdmin):
    """The dead ones need an operator; `manage.py settlement_reports --requeue` retries them."""

    list_display = (
        "identity",
        "kind",
        "shown_gross",
        "shown_fee",
        "shown_status",
        "discrepancy",
        "shown_dispute",
        "last_error",
        "psp_account",
        "occurred",
    )
    list_select_related = ("psp_account",)
    list_filter = (
        one_of("status", LineStatus),
        one_of("discrepancy", sorted(OF_LINES), label=str),
        one_of("kind", LineKind),
        CurrencyFilter,
        ("psp_account", RelatedDropdownFilter),
    )
    search_help_text = "The PSP's id of the line or of the payment, dp_… ch_… op_…"
    id_paths = {
        public_ids.DISPUTE: "dispute_id",
        public_ids.OPERATION: "operation_id",
        public_ids.CHARGE: "operation_id",
    }
    fieldsets = (
        (
            "What the report says",
            {
                "fields": (
                    ("identity", "occurrence"),
                    ("report_of_line", "number"),
                    ("kind", "psp_type"),
                    ("shown_gross", "shown_fee"),
                    ("shown_parts", "variances"),
                    ("shown_net", "shown_paid"),
                    ("psp_payout_id", "exchange_rate"),
                    ("psp_id", "psp_payment_id"),
                    ("reference", "psp_account"),
                    ("occurred_at", "stored_at"),
                )
            },
        ),
        (
            "What in our books it is",
            {
                "fields": (
                    ("shown_status", "attempts"),
                    ("shown_operation", "shown_dispute"),
                    "transactions",
                    ("accounted_at", "next_attempt_at"),
                    ("retrying_since", "last_error"),
                    ("discrepancy", "meaning"),
                    "advice",
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        # A report's page links here with the report's own id; lines are numbered.
        try:
            report_id = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(report_id=report_id), False

    def texts(self, term: str) -> Iterable[Q]:
        # With the accounts, of which there are few, the indexes serve.
        accounts = PspAccount.objects.values("pk")
        yield Q(identity=term, psp_account__in=accounts)
        yield Q(psp_payment_id=term, psp_account__in=accounts) & ~Q(psp_payment_id="")

    @shown(description="gross")
    def shown_gross(self, line: SettlementLine) -> SafeString:
        return display.in_one_line(str(line.gross))

    @shown(description="fee")
    def shown_fee(self, line: SettlementLine) -> SafeString | str:
        return display.in_one_line(str(line.fee)) if line.fee else display.NOTHING

    @shown(description="net")
    def shown_net(self, line: SettlementLine) -> SafeString:
        return display.in_one_line(str(line.net))

    @shown(description="components of the fee")
    def shown_parts(self, line: SettlementLine) -> str:
        parts = line.fee_parts
        named = {
            "markup": parts.markup,
            "interchange": parts.interchange,
            "scheme fee": parts.scheme_fee,
        }
        return (
            ", ".join(f"{name} {each}" for name, each in named.items() if each) or display.NOTHING
        )

    @shown(description="variances")
    def variances(self, line: SettlementLine) -> str:
        return ", ".join(map(str, line.variances.order_by("id"))) or display.NOTHING

    @shown(description="converted from")
    def shown_paid(self, line: SettlementLine) -> SafeString | str:
        return display.in_one_line(str(line.paid)) if line.conversion else display.NOTHING

    @shown(description="status", label=_STATUS_LABELS)
    def shown_status(self, line: SettlementLine) -> str:
        return str(line.status)

    @shown(description="dispute")
    def shown_dispute(self, line: SettlementLine) -> SafeString | str:
        return display.link(public_ids.DISPUTE, line.dispute_id)

    @shown(description="operation")
    def shown_operation(self, line: SettlementLine) -> SafeString | str:
        return display.link(public_ids.OPERATION, line.operation_id)

    @shown(description="report")
    def report_of_line(self, line: SettlementLine) -> SafeString:
        report = SettlementReport.objects.only("name").get(pk=line.report_id)
        url = reverse("admin:reconciliation_settlementreport_change", args=[report.pk])
        return display.link_to(url, report.name)

    @shown(description="meaning")
    def meaning(self, line: SettlementLine) -> str:
        code = line.discrepancy
        return str(Discrepancy(code).label) if code else display.NOTHING

    @shown(description="what to do")
    def advice(self, line: SettlementLine) -> str:
        return ADVICE[Discrepancy(line.discrepancy)] if line.discrepancy else display.NOTHING

    @shown(description="ledger transactions")
    def transactions(self, line: SettlementLine) -> SafeString | str:
        matched = line.matches.order_by("id").values_list("transaction_id", flat=True)
        booked = changes_by_rule(
            code=PSP_BALANCE.code, source_type=SOURCE, source_id=source_of(line.pk)
        )
        ids = (*matched, *sorted(change.transaction_id for change in booked.values()))
        links = ((display.link(public_ids.BALANCE_TRANSACTION, each),) for each in ids)
        return format_html_join(" ", "{}", links) or display.NOTHING

    @shown(description="occurred")
    def occurred(self, line: SettlementLine) -> SafeString:
        return display.in_one_line(display.time(line.occurred_at))


@admin.register(SettlementMatch)
class SettlementMatchAdmin(ReadOnlyAdmin):
    """One ledger transaction that a line is."""

    list_display = ("shown_line", "transaction", "matched")
    list_display_links = ("matched",)
    fieldsets = ((None, {"fields": ("shown_line", "transaction", "matched_at")}),)

    @shown(description="line")
    def shown_line(self, match: SettlementMatch) -> SafeString:
        return _link_to_line(match.line_id, f"line {match.line_id}")

    @shown(description="ledger transaction")
    def transaction(self, match: SettlementMatch) -> SafeString | str:
        return display.link(public_ids.BALANCE_TRANSACTION, match.transaction_id)

    @shown(description="matched")
    def matched(self, match: SettlementMatch) -> SafeString:
        return display.in_one_line(display.time(match.matched_at))


@admin.register(SettlementShare)
class SettlementShareAdmin(ReadOnlyAdmin):
    """How much of a line is about one capture."""

    list_display = ("shown_line", "capture", "amount")
    list_display_links = ("amount",)
    list_select_related = ("line",)
    fieldsets = ((None, {"fields": ("shown_line", "capture", "amount")}),)

    @shown(description="line")
    def shown_line(self, share: SettlementShare) -> SafeString:
        return _link_to_line(share.line_id, f"line {share.line_id}")

    @shown(description="capture")
    def capture(self, share: SettlementShare) -> SafeString | str:
        return display.link(public_ids.OPERATION, share.operation_id)

    @shown(description="amount")
    def amount(self, share: SettlementShare) -> SafeString:
        return display.in_one_line(str(Money(share.amount_minor, share.line.currency)))


def settlement_of_payment(intent: PaymentIntent) -> Section:
    """What the PSP's reports say of the payment's money."""
    charges = Operation.objects.filter(intent=intent, kind=OperationKind.AUTHORIZE.value)
    at = charges.exclude(psp_payment_id="").values_list("psp_account_id", "psp_payment_id")
    ids = [psp_payment_id for _, psp_payment_id in at]
    # Ids of PSPs are unique within one account.
    of_charges = [Q(psp_account_id=account, psp_payment_id=named) for account, named in at]
    lines = SettlementLine.objects.filter(reduce(or_, of_charges, Q(pk__in=())))
    found = list(lines.order_by("id")[: ROWS_MAX + 1]) if ids else []
    return Section(
        title="Settlement lines",
        headers=("line", "kind", "gross", "fee", "net", "status", "occurred"),
        rows=[
            [
                _link_to_line(line.pk, line.identity),
                display.in_words(line.kind),
                display.in_one_line(str(line.gross)),
                display.in_one_line(str(line.fee)) if line.fee else display.NOTHING,
                display.in_one_line(str(line.net)),
                line.status,
                display.in_one_line(display.time(line.occurred_at)),
            ]
            for line in found[:ROWS_MAX]
        ],
        more_url=(
            f"{reverse('admin:reconciliation_settlementline_changelist')}?q={ids[0]}"
            if len(found) > ROWS_MAX
            else ""
        ),
    )


def _link_to_line(key: int, text: str) -> SafeString:
    return display.link_to(reverse("admin:reconciliation_settlementline_change", args=[key]), text)
