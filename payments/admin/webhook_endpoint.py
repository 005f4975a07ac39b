"""Merchants' webhook endpoints: where events are sent, and whether they arrive. Never a secret."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, status
from payments.admin.filters import OF_MERCHANT, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import WebhookEndpoint
from payments.selectors.events import held_back_by
from payments.states import EndpointStatus


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(SearchByPublicId, ReadOnlyAdmin):
    """`manage.py webhooks` rotates secrets, enables endpoints and resends."""

    list_display = ("public_id", "address", "shown_status", "failing_since", "merchant", "created")
    list_select_related = ("merchant",)
    list_filter = (
        one_of("status", EndpointStatus),
        *OF_MERCHANT,
    )
    search_help_text = "we_… acct_… or the beginning of its URL"
    id_paths = {public_ids.WEBHOOK_ENDPOINT: "pk", public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(
            None,
            ("public_id", "merchant"),
            ("address", "mode"),
            ("shown_status", "disabled_because"),
            ("disabled_at", "failing_since"),
            ("delivery_order", "shown_held_back"),
            ("created_at", "deleted_at"),
        ),
        group("Subscription", "shown_events", ("api_version", "previous_secret_until")),
        group("From the merchant", "description", "shown_metadata"),
    )

    shown_status = status({"enabled": "success", "disabled": "danger"})
    address = column("URL", "url", display.address_without_query)
    shown_metadata = column("metadata", "metadata", display.shown_json)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookEndpoint]:
        rows: QuerySet[WebhookEndpoint] = super().get_queryset(request)
        return rows.defer("sealed_secret", "sealed_previous_secret")

    def texts(self, term: str) -> Iterable[Q]:
        # Endpoints are few: a scan of this table is cheap.
        yield Q(url__startswith=term)

    @shown(description="held back")
    def shown_held_back(self, endpoint: WebhookEndpoint) -> str:
        held_back = held_back_by(endpoint)
        if held_back is None:
            return "nothing"
        return (
            f"Payments whose events wait: {held_back.payments}, the first since "
            f"{display.time(held_back.since)}. It waits for event {held_back.event} (failed "
            f"attempts: {held_back.attempts}). Later events are sent once that event is accepted, "
            "or given up after the tenth failure (75 hours)."
        )

    @shown(description="events")
    def shown_events(self, endpoint: WebhookEndpoint) -> str:
        return ", ".join(endpoint.enabled_events)
