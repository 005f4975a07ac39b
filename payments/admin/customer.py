"""Customers of the merchants, and what may be shown of their cards and accounts."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked
from payments.admin.filters import OF_MERCHANT
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import Customer, PaymentMethod


@admin.register(Customer)
class CustomerAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Customers, as merchants described them."""

    list_display = ("public_id", "merchant", "name", "email", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = OF_MERCHANT
    search_help_text = "cus_… pm_… pi_… or the email"
    id_paths = {
        public_ids.CUSTOMER: "pk",
        public_ids.PAYMENT_METHOD: "paymentmethod__pk",
        public_ids.PAYMENT_INTENT: "paymentintent__pk",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "merchant"),
            ("name", "email"),
            ("phone", "mode"),
            ("default_payment_method", "deleted_at"),
            ("created_at", "updated_at"),
        ),
        group(
            "From the merchant",
            "description",
            ("shown_address", "shown_shipping"),
            "shown_metadata",
        ),
    )

    shown_address = column("address", "address", display.shown_json)
    shown_shipping = column("shipping", "shipping", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(email__iexact=term)  # As the index has it.


@admin.register(PaymentMethod)
class PaymentMethodAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Brand, last four digits and expiry. The token could be charged, so it is masked."""

    list_display = ("public_id", "merchant", "owner", "method_type", "card", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = OF_MERCHANT
    search_help_text = "pm_… cus_… pi_… or the customer's email"
    id_paths = {
        public_ids.PAYMENT_METHOD: "pk",
        public_ids.CUSTOMER: "customer_id",
        public_ids.PAYMENT_INTENT: "paymentintent__pk",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "merchant"),
            ("customer", "mode"),
            ("method_type", "card"),
            ("expiry", "funding"),
            ("country", "detached_at"),
            ("psp_account", "shown_token"),
            ("created_at", "updated_at"),
        ),
        group("From the merchant", ("shown_billing", "shown_metadata")),
    )

    owner = linked("customer", public_ids.CUSTOMER, "customer_id")
    shown_token = column("token", "token", display.masked)
    shown_billing = column("billing details", "billing_details", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(customer__email__iexact=term)  # As the index has it.

    @shown(description="card or account")
    def card(self, method: PaymentMethod) -> SafeString | str:
        return display.card(method)

    @shown(description="expiry")
    def expiry(self, method: PaymentMethod) -> str:
        return display.expiry(method)
