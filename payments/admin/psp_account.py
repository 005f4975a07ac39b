"""Our accounts at PSPs; their credentials are in the environment, never here."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q

from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import PspAccount


@admin.register(PspAccount)
class PspAccountAdmin(SearchByPublicId, ReadOnlyAdmin):
    """PSP accounts that process merchants' payments."""

    list_display = ("code", "psp", "mode", "created")
    list_filter = ("livemode",)
    search_help_text = "The beginning of the code"
    id_paths = {}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("code", "psp"),
                    ("mode", "created_at"),
                    ("hold_days", "settlement_delay_days"),
                )
            },
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        # Accounts are few: a scan of this table is cheap.
        yield Q(code__istartswith=term)
