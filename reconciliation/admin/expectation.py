"""What should have been in a settlement report and was not, and how far that was looked for."""

from __future__ import annotations

from django.contrib import admin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount
from payments.admin.filters import CurrencyFilter
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.story import ASK_PSP, Section
from payments.models import PspAccount
from payments.services.psp_gateway.circuit_breaker import CallRefused
from psp_adapters.contract.operations import PspUnavailable
from psp_adapters.registry import BadCredentials
from reconciliation.models import (
    MissingSettlement,
    ScheduledExport,
    SettlementWatch,
    StatedBalance,
)
from reconciliation.services.expectations.remainder import remainders_of


@admin.register(MissingSettlement)
class MissingSettlementAdmin(ReadOnlyAdmin):
    """Captures and refunds that were in no report in time; each has had a case."""

    list_display = (
        *("expected_by", "shown_operation", "shown_amount", "psp_account", "settled_at", "late_by"),
    )
    list_select_related = ("psp_account",)
    list_filter = (CurrencyFilter, ("psp_account", RelatedDropdownFilter))
    fieldsets = (
        group(None, ("shown_operation", "shown_amount"), ("psp_account", "moved")),
        group("Expected", ("expected_by", "found_at"), "checked_at"),
        group("Settled", ("settled_at", "late_by")),
    )
    shown_operation = linked("operation", public_ids.OPERATION, "operation_id")
    shown_amount = minor_amount("change of our balance", "amount_minor")
    moved = column("moved", "moved_at", display.moment)


@admin.register(SettlementWatch)
class SettlementWatchAdmin(ReadOnlyAdmin):
    """How far each ledger account of open items was looked through."""

    list_display = ("account", "position", "watched_at")
    list_select_related = ("ledger_account",)
    ordering = ("-watched_at",)
    fieldsets = (group(None, "account", "position", "watched_at"),)

    @shown(description="ledger account")
    def account(self, watch: SettlementWatch) -> str:
        return str(watch.ledger_account)


@admin.register(StatedBalance)
class StatedBalanceAdmin(ReadOnlyAdmin):
    """What each PSP said once a day that it holds, and what our books say of that moment."""

    list_display = ("stated_at", "psp_account", "shown_stated", "shown_books", "shown_drift")
    list_select_related = ("psp_account",)
    list_filter = (CurrencyFilter, ("psp_account", RelatedDropdownFilter))
    fieldsets = (
        group(None, ("psp_account", "stated_at"), "judged_at"),
        group("Balance", ("shown_stated", "shown_books"), "shown_drift"),
    )
    shown_stated = minor_amount("the PSP states", "stated_minor", zero=True)
    shown_books = minor_amount("by our books", "books_minor", zero=True)

    @shown(description="not explained")
    def shown_drift(self, row: StatedBalance) -> str:
        return display.NOTHING if row.drift is None else display.in_one_line(str(row.drift))


@admin.register(ScheduledExport)
class ScheduledExportAdmin(ReadOnlyAdmin):
    """Exports of days and months: which are written, and which fail."""

    list_display = ("export", "period", "written_at", "row_count", "next_attempt_at", "last_error")
    fieldsets = (
        group(None, ("export", "first_day", "last_day"), ("written_at", "file")),
        group("File", ("row_count", "file_sha256")),
        group("Attempts", ("attempts", "failing_since", "next_attempt_at"), "last_error"),
    )


def remainder_of_account(account: PspAccount, asks: bool) -> Section:
    """What of the account's balance is not explained; asks the PSP only if the viewer wants it."""
    try:
        remainders = remainders_of(account, ask_psp=asks)
        title = "Remainder"
    except (PspUnavailable, CallRefused, BadCredentials) as reason:
        remainders = remainders_of(account, ask_psp=False)
        title = f"Remainder: the PSP could not be asked ({type(reason).__name__})"
    link = display.link_to(f"?psp={ASK_PSP}", "ask the PSP")
    unknown = "not stated" if asks else link
    return Section(
        title=title,
        headers=("currency", "figure", "amount"),
        rows=[
            [each.currency, name, unknown if amount is None else display.in_one_line(str(amount))]
            for each in remainders
            for name, amount in each.figures.items()
        ],
    )
