"""Customers of the merchants."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Customer


@admin.register(Customer)
class CustomerAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Customers, as merchants described them."""

    list_display = ("public_id", "merchant", "name", "email", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = (("merchant", RelatedDropdownFilter), ("created_at", CreatedFilter), "livemode")
    search_help_text = "cus_… pm_… pi_… or the exact email"
    id_paths = {
        public_ids.CUSTOMER: "pk",
        public_ids.PAYMENT_METHOD: "paymentmethod__pk",
        public_ids.PAYMENT_INTENT: "paymentintent__pk",
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "merchant"),
                    ("name", "email"),
                    ("phone", "mode"),
                    ("created_at", "updated_at"),
                    "deleted_at",
                )
            },
        ),
        (
            "From the merchant",
            {"fields": ("description", ("shown_address", "shown_shipping"), "shown_metadata")},
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(email=term)

    @shown(description="address")
    def shown_address(self, customer: Customer) -> SafeString | str:
        return display.shown_json(customer.address)

    @shown(description="shipping")
    def shown_shipping(self, customer: Customer) -> SafeString | str:
        return display.shown_json(customer.shipping)

    @shown(description="metadata")
    def shown_metadata(self, customer: Customer) -> SafeString | str:
        return display.shown_json(customer.metadata)
