"""Payments that wait for the customer or merchant, and when an automatic action is due."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Deadline
from payments.states import IntentStatus


@admin.register(Deadline)
class DeadlineAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Authorizations that may expire, and payments that may be abandoned."""

    list_display = (
        "__str__",
        "shown_status",
        "waiting_since",
        "next_action_at",
        "warned_for",
        "payment",
    )
    search_help_text = "pi_…"
    list_filter = (one_of("status", IntentStatus),)
    ordering = ("next_action_at",)
    id_paths = {public_ids.PAYMENT_INTENT: "pk"}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("payment", "shown_status"),
                    ("waiting_since", "next_action_at"),
                    "warned_for",
                )
            },
        ),
    )

    @shown(description="payment")
    def payment(self, row: Deadline) -> SafeString | str:
        return display.link(public_ids.PAYMENT_INTENT, row.intent_id)

    @shown(description="status", label=display.STATUS_LABELS)
    def shown_status(self, row: Deadline) -> str:
        return display.in_words(row.status)
