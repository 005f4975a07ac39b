"""Progress and findings of the checks of the books."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments.admin import display
from payments.admin.read_only import ReadOnlyAdmin
from payments.models import BooksCheck


@admin.register(BooksCheck)
class BooksCheckAdmin(ReadOnlyAdmin):
    """One check follows recent changes by their events; one covers everything once a day."""

    list_display = ("name", "part", "shown_position", "finished_at", "differences", "unchecked")
    ordering = ("name",)
    list_filter = ()
    fieldsets = (
        (None, {"fields": ("name", ("part", "shown_position"), ("began_at", "finished_at"))}),
        ("Findings", {"fields": (("compared", "differences"), "unchecked")}),
    )

    @shown(description="compared up to")
    def shown_position(self, row: BooksCheck) -> SafeString | str:
        """When the last row that was compared was created."""
        moment = row.compared_to
        return display.NOTHING if moment is None else display.in_one_line(display.time(moment))
