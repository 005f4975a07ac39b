"""Refunds, as the merchant sees them."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId, intents_of_key
from payments.models import Refund
from payments.states import RefundStatus


@admin.register(Refund)
class RefundAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Refunds as the merchant sees them; the operation is the request to the PSP."""

    list_display = (
        "public_id",
        "payment",
        "merchant",
        "shown_amount",
        "shown_status",
        "reason",
        "created",
    )
    list_select_related = ("merchant",)
    list_filter = (
        one_of("status", RefundStatus),
        CurrencyFilter,
        ("merchant", RelatedDropdownFilter),
        ("created_at", CreatedFilter),
        "livemode",
    )
    search_help_text = "re_… pi_… ch_…, order, id at the PSP"
    id_paths = {
        public_ids.REFUND: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.CHARGE: "charge_id",
        public_ids.OPERATION: "operation_id",
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "shown_status"),
                    ("shown_amount", "merchant"),
                    ("intent", "charge"),
                    ("operation", "mode"),
                    ("created_at", "updated_at"),
                )
            },
        ),
        (
            "Reason",
            {"fields": (("reason", "failure_reason"), "description", "shown_metadata")},
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        # `<> ''` lets PostgreSQL use the partial indexes.
        yield Q(operation__psp_id=term) & ~Q(operation__psp_id="")
        yield Q(intent_id__in=intents_of_key(term))
        yield Q(intent__order_id=term) & ~Q(intent__order_id="")

    @shown(description="payment")
    def payment(self, refund: Refund) -> SafeString | str:
        return display.link(public_ids.PAYMENT_INTENT, refund.intent_id)

    @shown(description="charge")
    def charge(self, refund: Refund) -> SafeString | str:
        return display.link(public_ids.CHARGE, refund.charge_id)

    @shown(description="amount")
    def shown_amount(self, refund: Refund) -> SafeString:
        return display.in_one_line(str(refund.amount))

    @shown(description="status", label=display.STATUS_LABELS)
    def shown_status(self, refund: Refund) -> str:
        return display.in_words(refund.status)

    @shown(description="metadata")
    def shown_metadata(self, refund: Refund) -> SafeString | str:
        return display.shown_json(refund.metadata)
