"""Lines whose amounts are not the agreed ones, and payouts beside the sums of their lines."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments.admin import display
from payments.admin.columns import minor_amount
from payments.admin.filters import CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from reconciliation.discrepancies import ADVICE, OF_MATCHED_LINES, Discrepancy
from reconciliation.models import LineVariance, PayoutSum


@admin.register(LineVariance)
class LineVarianceAdmin(ReadOnlyAdmin):
    """Each is booked as the PSP says; a case of its report tells finance."""

    list_display = (
        *("found_at", "shown_line", "discrepancy", "component", "shown_agreed", "shown_stated"),
        "psp_account",
    )
    list_select_related = ("psp_account", "line")
    list_filter = (
        one_of("discrepancy", sorted(OF_MATCHED_LINES), label=str),
        CurrencyFilter,
        ("psp_account", RelatedDropdownFilter),
    )
    ordering = ("-id",)
    fieldsets = (
        group(None, ("shown_line", "psp_account"), ("found_at", "told_at")),
        group("Amount", ("discrepancy", "component"), ("shown_agreed", "shown_stated"), "advice"),
    )
    shown_agreed = minor_amount("agreed", "agreed_minor", zero=True)
    shown_stated = minor_amount("stated", "stated_minor", zero=True)

    @shown(description="line")
    def shown_line(self, row: LineVariance) -> SafeString:
        url = reverse("admin:reconciliation_settlementline_change", args=[row.line_id])
        return display.link_to(url, row.line.identity)

    @shown(description="what to do")
    def advice(self, row: LineVariance) -> str:
        return ADVICE[Discrepancy(row.discrepancy)]


@admin.register(PayoutSum)
class PayoutSumAdmin(ReadOnlyAdmin):
    """What the PSP says to have paid out, and what the lines are together that it paid out."""

    list_display = (
        *("psp_payout_id", "psp_account", "line_count", "shown_lines", "shown_paid"),
        *("shown_difference", "changed_at"),
    )
    list_select_related = ("psp_account",)
    list_filter = (CurrencyFilter, ("psp_account", RelatedDropdownFilter))
    ordering = ("-id",)
    fieldsets = (
        group(None, ("psp_payout_id", "psp_account"), ("changed_at", "judged_at")),
        group("Sums", ("shown_lines", "line_count"), "shown_paid", "shown_difference"),
    )
    shown_lines = minor_amount("its lines", "lines_minor", zero=True)
    shown_paid = minor_amount("paid out", "paid_minor", zero=True)

    @shown(description="not explained")
    def shown_difference(self, row: PayoutSum) -> str:
        return display.in_one_line(str(row.difference)) if row.difference else display.NOTHING
