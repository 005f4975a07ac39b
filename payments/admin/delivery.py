"""The outgoing queue of events, their deliveries to endpoints, and the log of attempts."""

from __future__ import annotations

from typing import ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Delivery, DeliveryAttempt, Dispatch
from payments.states import DeliveryStatus

_ATTEMPTS_SHOWN = 50


@admin.register(Delivery)
class DeliveryAdmin(SearchByPublicId, ReadOnlyAdmin):
    """`manage.py webhooks resend whd_…` makes one due again."""

    labels: ClassVar[dict[str, str]] = {
        "seq": "sequence number",
        "is_replay": "replay",
        "is_ordered": "delivered in order",
        "attempts": "attempts in all",
        "next_attempt_at": "next attempt, or end of lease",
        "ended_at": "delivered or given up at",
        "last_status": "last HTTP status",
    }

    list_display = (
        *("public_id", "shown_event", "shown_endpoint", "shown_status", "attempts"),
        *("last_status", "last_error", "created"),
    )
    list_filter = (
        one_of("status", DeliveryStatus),
        ("merchant", RelatedDropdownFilter),
        ("created_at", CreatedFilter),
        "is_replay",
        "livemode",
    )
    search_help_text = "whd_… evt_… we_… pi_…"
    id_paths = {
        public_ids.DELIVERY: "pk",
        public_ids.EVENT: "event_id",
        public_ids.WEBHOOK_ENDPOINT: "endpoint_id",
        public_ids.PAYMENT_INTENT: "aggregateid",
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "merchant"),
                    ("shown_event", "seq"),
                    ("shown_endpoint", "mode"),
                    ("created_at", "is_replay"),
                )
            },
        ),
        (
            "Progress",
            {
                "fields": (
                    ("shown_status", "is_ordered"),
                    "attempts",
                    ("next_attempt_at", "ended_at"),
                    ("last_status", "last_error"),
                    "shown_attempts",
                )
            },
        ),
        ("Request body", {"fields": ("shown_envelope",)}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        # A list must not read the envelopes.
        rows: QuerySet[Delivery] = super().get_queryset(request)
        return rows.defer("envelope")

    @shown(description="event")
    def shown_event(self, delivery: Delivery) -> SafeString | str:
        return display.link(public_ids.EVENT, delivery.event_id)

    @shown(description="endpoint")
    def shown_endpoint(self, delivery: Delivery) -> SafeString | str:
        return display.link(public_ids.WEBHOOK_ENDPOINT, delivery.endpoint_id)

    @shown(
        description="status", label={"pending": "info", "delivered": "success", "dead": "danger"}
    )
    def shown_status(self, delivery: Delivery) -> str:
        return str(delivery.status)

    @shown(description="newest attempts")
    def shown_attempts(self, delivery: Delivery) -> SafeString | str:
        attempts = DeliveryAttempt.objects.filter(delivery=delivery).order_by("-pk")[
            :_ATTEMPTS_SHOWN
        ]
        rows = [
            (
                display.time(each.started_at),
                each.status or display.NOTHING,
                each.duration_ms,
                each.error or display.NOTHING,
            )
            for each in attempts
        ]
        return format_html_join("", "<div>{}: {} after {} ms {}</div>", rows) or display.NOTHING

    @shown(description="envelope")
    def shown_envelope(self, delivery: Delivery) -> SafeString | str:
        return display.shown_bytes_of_json(bytes(delivery.envelope))


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(SearchByPublicId, ReadOnlyAdmin):
    """The log of attempts, newest first."""

    list_display = ("started_at", "shown_delivery", "number", "status", "duration_ms", "error")
    list_filter = (("started_at", CreatedFilter),)
    search_help_text = "whd_…"
    id_paths = {public_ids.DELIVERY: "delivery_id"}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("shown_delivery", "number"),
                    ("started_at", "duration_ms"),
                    ("status", "error"),
                )
            },
        ),
        ("Response", {"fields": ("shown_response",)}),
    )

    @shown(description="delivery")
    def shown_delivery(self, attempt: DeliveryAttempt) -> SafeString | str:
        return display.link(public_ids.DELIVERY, attempt.delivery_id)

    @shown(description="response")
    def shown_response(self, attempt: DeliveryAttempt) -> SafeString | str:
        if not attempt.response:
            return display.NOTHING
        return display.preformatted(attempt.response)


@admin.register(Dispatch)
class DispatchAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Almost empty while everything works: a row is deleted once its event is out."""

    list_display = ("__str__", "seq", "fanned_out_at", "streamed_at", "event")
    search_help_text = "evt_…"
    ordering = ("event_id",)
    id_paths = {public_ids.EVENT: "pk"}
    fieldsets = ((None, {"fields": (("event", "seq"), ("fanned_out_at", "streamed_at"))}),)

    @shown(description="event")
    def event(self, row: Dispatch) -> SafeString | str:
        return display.link(public_ids.EVENT, row.event_id)
