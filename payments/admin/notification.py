"""Notifications of PSPs: as received, and how they were processed."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, status
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import PspAccount, PspNotification
from payments.states import NotificationStatus

_SHOWN_BYTES = 20_000


@admin.register(PspNotification)
class PspNotificationAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Dead letters are the ones with status dead; `manage.py replay_notifications` replays them."""

    list_display = (
        "event_id",
        "type",
        "psp_account",
        "operations",
        "shown_status",
        "attempts",
        "last_error",
        "received",
    )
    list_select_related = ("psp_account",)
    leading_filters = ("status=dead",)
    list_filter = (
        one_of("status", NotificationStatus),
        ("psp_account", RelatedDropdownFilter),
        ("received_at", CreatedFilter),
        "conflicting_body",
        "known",
    )
    search_help_text = "The PSP's id of the event"
    id_paths = {}
    fieldsets = (
        group(
            None,
            ("event_id", "type"),
            ("psp_account", "known"),
            ("operations", "psp_payment_id"),
            "psp_dispute_id",
            ("claims", "claimed_kind", "claimed_amount", "psp_id"),
            ("occurred_at", "received_at"),
        ),
        group(
            "Processing",
            ("shown_status", "attempts", "how"),
            ("next_attempt_at", "give_up_at"),
            ("processed_at", "conflicting_body"),
            "last_error",
        ),
        group("As received", "body_sha256", "shown_body"),
    )

    shown_status = status(
        {
            "stored": "info",
            "processed": "success",
            "failing": "warning",
            "dead": "danger",
        }
    )
    received = column("received", "received_at", display.moment)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PspNotification]:
        # A list must not read the bodies.
        rows: QuerySet[PspNotification] = super().get_queryset(request)
        return rows.defer("body", "headers")

    def texts(self, term: str) -> Iterable[Q]:
        # With the accounts, of which there are few, the unique index serves.
        yield Q(event_id=term, psp_account__in=PspAccount.objects.values("pk"))

    @shown(description="operations")
    def operations(self, row: PspNotification) -> SafeString | str:
        ids = [public_ids.decode(public_ids.OPERATION, each) for each in row.our_references]
        links = [display.link(public_ids.OPERATION, each) for each in ids if each is not None]
        return format_html_join(" ", "{}", ((link,) for link in links)) or display.NOTHING

    @shown(description="claimed amount")
    def claimed_amount(self, row: PspNotification) -> SafeString | str:
        return display.money(row.claimed_minor, row.claimed_currency)

    @shown(description="how it was processed")
    def how(self, row: PspNotification) -> str:
        if row.status != NotificationStatus.PROCESSED:
            return display.NOTHING
        return "looked at alone" if row.attempts else "known already, nothing was looked up"

    @shown(description="body")
    def shown_body(self, row: PspNotification) -> SafeString:
        text = bytes(row.body)[:_SHOWN_BYTES].decode(errors="replace")
        return display.preformatted(text)
