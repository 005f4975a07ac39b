"""Who changed PSP accounts and routing rules, what and why: a list, and a table on their pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from payments.admin import display
from payments.admin.columns import column
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.admin.story import ROWS_MAX, Section
from payments.models import ConfigurationChange, ConfigurationVerb, PspAccount, RoutingRule


@admin.register(ConfigurationChange)
class ConfigurationChangeAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Changes by `manage.py psp_accounts` and `routing_rules`; of credentials only the names."""

    list_display = ("subject", "verb", "mode", "in_words", "author", "reason", "created")
    list_filter = (one_of("verb", ConfigurationVerb), ("created_at", CreatedFilter), "livemode")
    leading_filters = ()
    search_help_text = "The beginning of an account's code or a rule's name"
    id_paths = {}
    fieldsets = (
        group(
            None,
            ("subject", "verb"),
            ("psp_account", "mode"),
            ("author", "created_at"),
            "reason",
        ),
        group("Changes", "shown_changes"),
    )
    shown_changes = column("before and after", "changes", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        # Operators change little: a scan of this table is cheap.
        yield Q(subject__istartswith=term)


class WithHistory(ReadOnlyAdmin):
    """The page of a row whose changes are logged shows the newest of them."""

    change_form_after_template = "admin/payments/story.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> TemplateResponse:
        row = self.get_object(request, object_id) if object_id else None
        may_view = request.user.has_perm("payments.view_configurationchange")
        shown = row is not None and may_view and self.has_view_permission(request, row)
        context = {**(extra_context or {}), "story": [_history_of(row)] if shown else []}
        return super().changeform_view(request, object_id, form_url, context)


def _history_of(row: PspAccount | RoutingRule) -> Section:
    is_account = isinstance(row, PspAccount)
    changes = ConfigurationChange.objects.order_by("-id")
    found = changes.filter(psp_account=row) if is_account else changes.filter(rule_id=row.pk)
    rows = list(found[: ROWS_MAX + 1])
    everything = urlencode({"q": row.code if is_account else row.name})
    address = f"{reverse('admin:payments_configurationchange_changelist')}?{everything}"
    return Section(
        title="Changes",
        headers=("created", "author", "verb", "changes", "reason"),
        rows=[
            [
                display.moment(each.created_at),
                each.author,
                each.verb,
                each.in_words,
                each.reason or display.NOTHING,
            ]
            for each in rows[:ROWS_MAX]
        ],
        more_url=address if len(rows) > ROWS_MAX else "",
    )
