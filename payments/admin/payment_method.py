"""Payment methods: what may be shown of a card or an account."""

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
from payments.models import PaymentMethod


@admin.register(PaymentMethod)
class PaymentMethodAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Brand, last four digits and expiry. The token could be charged, so it is masked."""

    list_display = (
        "public_id",
        "merchant",
        "owner",
        "method_type",
        "card",
        "mode",
        "created",
    )
    list_select_related = ("merchant",)
    list_filter = (("merchant", RelatedDropdownFilter), ("created_at", CreatedFilter), "livemode")
    search_help_text = "pm_… cus_… pi_… or the customer's exact email"
    id_paths = {
        public_ids.PAYMENT_METHOD: "pk",
        public_ids.CUSTOMER: "customer_id",
        public_ids.PAYMENT_INTENT: "paymentintent__pk",
    }
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "merchant"),
                    ("customer", "mode"),
                    ("method_type", "card"),
                    ("expiry", "funding"),
                    ("country", "detached_at"),
                    ("psp_account", "shown_token"),
                    ("created_at", "updated_at"),
                )
            },
        ),
        ("From the merchant", {"fields": (("shown_billing", "shown_metadata"),)}),
    )

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(customer__email=term)

    @shown(description="customer")
    def owner(self, method: PaymentMethod) -> SafeString | str:
        return display.link(public_ids.CUSTOMER, method.customer_id)

    @shown(description="card or account")
    def card(self, method: PaymentMethod) -> SafeString | str:
        return display.card(method)

    @shown(description="expiry")
    def expiry(self, method: PaymentMethod) -> str:
        return display.expiry(method)

    @shown(description="token")
    def shown_token(self, method: PaymentMethod) -> str:
        return display.masked(method.token)

    @shown(description="billing details")
    def shown_billing(self, method: PaymentMethod) -> SafeString | str:
        return display.shown_json(method.billing_details)

    @shown(description="metadata")
    def shown_metadata(self, method: PaymentMethod) -> SafeString | str:
        return display.shown_json(method.metadata)
