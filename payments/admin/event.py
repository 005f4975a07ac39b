"""Events, as they were written."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column
from payments.admin.filters import OF_MERCHANT, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId, intents_of_key
from payments.models import Event, Operation, Refund
from payments.services.event_stream.message import SUBJECTS


@admin.register(Event)
class EventAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Events with actor and payload. Secrets in the payload are masked."""

    list_display = ("public_id", "type", "about", "seq", "merchant", "shown_actor", "created")
    list_select_related = ("merchant",)
    list_filter = (
        one_of("aggregatetype", SUBJECTS, title="object type"),
        *OF_MERCHANT,
    )
    search_help_text = "evt_… pi_… seti_… ch_… re_… cus_… pm_…, type or Idempotency-Key"
    id_paths = {
        public_ids.EVENT: "pk",
        public_ids.PAYMENT_INTENT: "aggregateid",
        public_ids.SETUP_INTENT: "aggregateid",
        public_ids.CUSTOMER: "aggregateid",
        public_ids.PAYMENT_METHOD: "aggregateid",
        public_ids.WEBHOOK_ENDPOINT: "aggregateid",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "type"),
            ("about", "seq"),
            ("merchant", "mode"),
            ("created_at", "shown_actor"),
            ("request_id", "idempotency_key"),
            "api_version",
        ),
        group("Payload", "shown_payload"),
    )

    shown_payload = column("payload", "payload", display.shown_json)
    shown_actor = column("actor", "actor", display.actor)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        # A list must not read the payloads.
        events: QuerySet[Event] = super().get_queryset(request)
        return events.defer("payload")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Charges and refunds have no events of their own: the search finds their payment's."""
        term = search_term.strip()
        charge = public_ids.decode(public_ids.CHARGE, term)
        refund = public_ids.decode(public_ids.REFUND, term)
        if charge is not None:
            of_charge = Operation.objects.filter(pk=charge).values("intent_id")
            return queryset.filter(aggregateid__in=of_charge), False
        if refund is not None:
            of_refund = Refund.objects.filter(pk=refund).values("intent_id")
            return queryset.filter(aggregateid__in=of_refund), False
        return super().get_search_results(request, queryset, search_term)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(type=term)
        yield Q(aggregateid__in=intents_of_key(term))

    @shown(description="object")
    def about(self, event: Event) -> SafeString | str:
        prefix = SUBJECTS.get(event.aggregatetype)
        return display.link(prefix, event.aggregateid) if prefix else str(event.aggregateid)
