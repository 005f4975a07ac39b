"""Days of the books that were closed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments.admin import display
from payments.admin.columns import column
from payments.admin.read_only import ReadOnlyAdmin, group
from reconciliation.models import BooksClose


@admin.register(BooksClose)
class BooksCloseAdmin(ReadOnlyAdmin):
    """Who closed which days, what was open then, and what the books said."""

    list_display = ("through", "shown_accounts", "author", "reason", "closed")
    list_filter = ()
    ordering = ("-closed_at",)
    fieldsets = (
        group(None, ("through", "closed"), "shown_accounts", ("author", "reason")),
        group("Open then", "shown_points"),
        group(
            "The books then", ("accounts_count", "balances_sha256"), ("head_number", "head_sha256")
        ),
    )
    closed = column("closed", "closed_at", display.moment, ordering="closed_at")

    @shown(description="PSP accounts")
    def shown_accounts(self, row: BooksClose) -> str:
        return ", ".join(code or "the bank" for code in row.psp_accounts)

    @shown(description="open points")
    def shown_points(self, row: BooksClose) -> SafeString | str:
        return display.preformatted("\n".join(row.open_points)) if row.open_points else "none"
