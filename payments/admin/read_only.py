"""The base of every page of payments: nothing can be written, and no list counts its table.

What may not live here: what a single noun shows.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display as shown
from unfold.paginator import InfinitePaginator

from payments.admin.display import NOTHING, in_one_line, time


class ReadOnlyAdmin(ModelAdmin):
    """Takes every permission that writes; whoever may view a row sees what `fieldsets` name."""

    actions = None
    list_per_page = 50
    # A count reads the whole table; a list shows its newest page at any size.
    paginator = InfinitePaginator
    show_full_result_count = False
    # By primary key alone: UUIDv7 sorts by creation time. Sorting a large table by another column
    # reads all of it, so a list offers no other order unless it says so.
    ordering = ("-id",)
    sortable_by: tuple[str, ...] = ()
    list_filter_submit = True
    empty_value_display = NOTHING
    # The button leads to Django's own log, which knows nothing of payments.
    change_form_template = "admin/payments/read_only.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Everything that is shown; also what is computed, which Django wants named here."""
        fieldsets = self.get_fieldsets(request, obj)
        names: list[str] = []
        for _, options in fieldsets:
            for line in options["fields"]:
                names += [line] if isinstance(line, str) else list(line)
        return names

    @shown(description="mode", label={"live": "success", "test": "info"})
    def mode(self, row: Any) -> str:
        return "live" if row.livemode else "test"

    @shown(description="created")
    def created(self, row: Any) -> SafeString:
        return in_one_line(time(row.created_at))
