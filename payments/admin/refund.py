"""Refunds, as the merchant sees them."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, status
from payments.admin.filters import OF_MERCHANT, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
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
        *OF_MERCHANT,
    )
    search_help_text = "re_… pi_… ch_…, order, id at the PSP"
    id_paths = {
        public_ids.REFUND: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.CHARGE: "charge_id",
        public_ids.OPERATION: "operation_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("shown_amount", "merchant"),
            ("intent", "charge"),
            ("operation", "approval"),
            ("mode", "created_at", "updated_at"),
        ),
        group("Reason", ("reason", "failure_reason"), "description", "shown_metadata"),
    )

    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    approval = linked("approval", public_ids.APPROVAL, "approval_id")
    charge = linked("charge", public_ids.CHARGE, "charge_id")
    shown_amount = column("amount", "amount", display.amount)
    shown_status = status(display.STATUS_LABELS)
    shown_metadata = column("metadata", "metadata", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        # `<> ''` lets PostgreSQL use the partial indexes.
        yield Q(operation__psp_id=term) & ~Q(operation__psp_id="")
        yield Q(intent_id__in=intents_of_key(term))
        yield Q(intent__order_id=term) & ~Q(intent__order_id="")
