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
from payments.admin.columns import linked, status
from payments.admin.filters import CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import FOUND_MAX, SearchByPublicId
from payments.models import Delivery, DeliveryAttempt, Dispatch, Event, WebhookEndpoint
from payments.objects.event import rendered_event
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
    leading_filters = ("status=pending", "status=dead")
    list_filter = (
        one_of("status", DeliveryStatus),
        ("merchant", RelatedDropdownFilter),
        ("created_at", CreatedFilter),
        "is_replay",
        "livemode",
    )
    search_help_text = "whd_… evt_… we_… pi_…"
    id_paths = {public_ids.DELIVERY: "pk", public_ids.WEBHOOK_ENDPOINT: "endpoint_id"}
    event_paths: ClassVar = {public_ids.EVENT: "pk", public_ids.PAYMENT_INTENT: "aggregateid"}
    fieldsets = (
        group(
            None,
            ("public_id", "merchant"),
            ("shown_event", "seq"),
            ("shown_endpoint", "mode"),
            ("created_at", "is_replay"),
        ),
        group(
            "Progress",
            ("shown_status", "is_ordered"),
            "attempts",
            ("next_attempt_at", "ended_at"),
            ("last_status", "last_error"),
            "shown_attempts",
        ),
        group("Request body", "shown_body"),
    )

    shown_event = linked("event", public_ids.EVENT, "event_id")
    shown_endpoint = linked("endpoint", public_ids.WEBHOOK_ENDPOINT, "endpoint_id")
    shown_status = status({"pending": "info", "delivered": "success", "dead": "danger"})

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        """Led by the index of what each endpoint got, in order of the events."""
        for prefix, path in self.event_paths.items():
            identifier = public_ids.decode(prefix, search_term.strip())
            if identifier is not None:
                events = Event.objects.filter(**{path: identifier}).order_by("-pk")
                found = dict(events.values_list("pk", "merchant_id")[:FOUND_MAX])
                endpoints = WebhookEndpoint.objects.filter(merchant_id__in=set(found.values()))
                keys = list(endpoints.values_list("pk", flat=True))
                return queryset.filter(endpoint_id__in=keys, event_id__in=list(found)), False
        found_ones, may_repeat = super().get_search_results(request, queryset, search_term)
        is_endpoint = public_ids.decode(public_ids.WEBHOOK_ENDPOINT, search_term.strip())
        ordered = found_ones.order_by("-event_id", "-pk") if is_endpoint else found_ones
        return ordered, may_repeat

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

    @shown(description="request body")
    def shown_body(self, delivery: Delivery) -> SafeString | str:
        body = rendered_event(
            delivery.event,
            api_version=delivery.endpoint.api_version,
            pending_webhooks=delivery.pending_webhooks,
        )
        return display.shown_bytes_of_json(body)


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(SearchByPublicId, ReadOnlyAdmin):
    """The log of attempts, newest first."""

    list_display = ("started_at", "shown_delivery", "number", "status", "duration_ms", "error")
    list_filter = (("started_at", CreatedFilter),)
    search_help_text = "whd_…"
    id_paths = {public_ids.DELIVERY: "delivery_id"}
    fieldsets = (
        group(
            None, ("shown_delivery", "number"), ("started_at", "duration_ms"), ("status", "error")
        ),
        group("Response", "shown_response"),
    )

    shown_delivery = linked("delivery", public_ids.DELIVERY, "delivery_id")

    @shown(description="response")
    def shown_response(self, attempt: DeliveryAttempt) -> SafeString | str:
        if not attempt.response:
            return display.NOTHING
        return display.preformatted(attempt.response)


@admin.register(Dispatch)
class DispatchAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Almost empty while everything works: a row is deleted once its event is fanned out."""

    list_display = ("__str__", "seq", "event")
    search_help_text = "evt_…"
    ordering = ("event_id",)
    id_paths = {public_ids.EVENT: "pk"}
    fieldsets = (group(None, ("event", "seq")),)

    event = linked("event", public_ids.EVENT, "event_id")
