"""The base of every page of payments: read-only, and no list counts its table."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, ClassVar, Final

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display as shown

from ledger.admin import AtAnySize, FiltersOnly
from payments.admin.display import NOTHING, moment

_PSP: Final = re.compile(r"\bpsp\b")
"""As Django makes it of the name of a column."""


def group(
    title: str | None, *lines: str | tuple[str, ...]
) -> tuple[str | None, dict[str, tuple[str | tuple[str, ...], ...]]]:
    """One group of fields on a row's page; those in a tuple share a line."""
    return title, {"fields": lines}


class ReadOnlyAdmin(FiltersOnly, AtAnySize, ModelAdmin):
    """Denies every permission that writes; a user who may view a row sees what `fieldsets` name."""

    labels: ClassVar[dict[str, str]] = {}
    """Labels on a row's page, where the column's name does not say it."""

    actions = None
    list_per_page = 50
    ordering: Sequence[str] = ("-id",)  # UUIDv7 sorts by creation time.
    leading_filters: ClassVar[Collection[str]] = ("merchant",)
    empty_value_display = NOTHING
    # Django's history button would lead to Django's own log, which has nothing of payments.
    change_form_template = "admin/payments/read_only.html"

    def __init__(self, model: type[Model], admin_site: AdminSite) -> None:
        super().__init__(model, admin_site)
        for field in model._meta.fields:
            field.verbose_name = _PSP.sub("PSP", str(field.verbose_name))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        return super().get_form(request, obj, change, labels=self.labels, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Every field that is shown, computed ones included."""
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
        return moment(row.created_at)
