"""Customers, what may be shown of their cards and accounts, and the setups that kept these."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import OF_MERCHANT, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import (
    Customer,
    Mandate,
    MandateStatus,
    PaymentMethod,
    SetupAttempt,
    SetupIntent,
)
from payments.states import SetupAttemptStatus, SetupStatus


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
            ("network_transaction_id", "shown_stored"),
            ("created_at", "updated_at"),
        ),
        group("From the merchant", ("shown_billing", "shown_metadata")),
    )

    owner = linked("customer", public_ids.CUSTOMER, "customer_id")
    shown_token = column("token", "token", display.masked)
    shown_stored = column("token since it was kept", "stored_token", display.masked)
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


def _decisions_of(setup_id: str) -> SafeString:
    """Where the routing decisions of a setup intent are."""
    listed = reverse("admin:payments_routingdecision_changelist")
    return format_html('<a href="{}?q={}">routing decisions</a>', listed, setup_id)


@admin.register(SetupIntent)
class SetupIntentAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Setup intents, as merchants see them."""

    list_display = ("public_id", "merchant", "owner", "usage", "shown_status", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = (one_of("status", SetupStatus), *OF_MERCHANT)
    search_help_text = "seti_… setatt_… cus_… pm_…"
    id_paths = {
        public_ids.SETUP_INTENT: "pk",
        public_ids.SETUP_ATTEMPT: "attempts__pk",
        public_ids.CUSTOMER: "customer_id",
        public_ids.PAYMENT_METHOD: "payment_method_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("merchant", "mode"),
            ("owner", "method"),
            ("usage", "psp_account"),
            "routing",
            ("attempt", "cancellation_reason"),
            "mandate",
            ("challenge", "shown_return_url"),
            "shown_error",
            ("created_at", "updated_at"),
        ),
        group("From the merchant", "description", ("shown_types", "shown_metadata")),
    )

    shown_status = status(display.STATUS_LABELS)
    owner = linked("customer", public_ids.CUSTOMER, "customer_id")
    method = linked("payment method", public_ids.PAYMENT_METHOD, "payment_method_id")
    routing = column("why these PSP accounts", "public_id", _decisions_of)
    attempt = linked("latest attempt", public_ids.SETUP_ATTEMPT, "latest_attempt_id")
    mandate = linked("mandate", public_ids.MANDATE, "mandate_id")
    challenge = column("redirect URL", "next_action_url", display.address_without_query)
    shown_return_url = column("return URL", "return_url", display.address_without_query)
    shown_error = column("last error", "last_setup_error", display.shown_json)
    shown_types = column("types", "payment_method_types", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)


@admin.register(SetupAttempt)
class SetupAttemptAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Setups as sent, and the PSP's results. The PSP's token is masked."""

    labels: ClassVar[dict[str, str]] = {
        "psp_key": "idempotency key at the PSP",
        "checks": "look-ups made",
        "next_check_at": "next look-up",
        "three_d_secure": "asks for 3-D Secure",
    }

    list_display = ("public_id", "setup", "method", "shown_status", "shown_actor", "created")
    leading_filters = ("status=UNKNOWN",)
    list_filter = (one_of("status", SetupAttemptStatus), *OF_MERCHANT)
    search_help_text = "setatt_… seti_…"
    id_paths = {
        public_ids.SETUP_ATTEMPT: "pk",
        public_ids.SETUP_INTENT: "setup_intent_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("setup", "merchant"),
            ("method", "owner"),
            ("usage", "mode"),
            ("created_at", "closed_at"),
        ),
        group(
            "At the PSP",
            ("psp_account", "psp_key"),
            ("psp_id", "network_transaction_id"),
            ("shown_token", "three_d_secure"),
            "mandate",
        ),
        group("Result", ("code", "decline_code"), "message", "detail"),
        group("Context", ("shown_actor", "request_id"), ("checks", "next_check_at")),
    )

    shown_status = status(display.STATUS_LABELS)
    setup = linked("setup intent", public_ids.SETUP_INTENT, "setup_intent_id")
    method = linked("payment method", public_ids.PAYMENT_METHOD, "payment_method_id")
    owner = linked("customer", public_ids.CUSTOMER, "customer_id")
    mandate = linked("mandate", public_ids.MANDATE, "mandate_id")
    shown_actor = column("actor", "actor", display.actor)
    shown_token = column("token", "token", display.masked)


@admin.register(Mandate)
class MandateAdmin(SearchByPublicId, ReadOnlyAdmin):
    """What customers accepted: permissions to debit their accounts."""

    list_display = ("public_id", "merchant", "method", "use", "shown_status", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = (one_of("status", MandateStatus), *OF_MERCHANT)
    search_help_text = "mandate_… pm_…"
    id_paths = {
        public_ids.MANDATE: "pk",
        public_ids.PAYMENT_METHOD: "payment_method_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("merchant", "mode"),
            ("method", "use"),
            ("single_use", "psp_reference"),
            ("acceptance", "accepted_at"),
            ("ip_address", "user_agent"),
            ("created_at", "ended_at"),
        ),
    )

    shown_status = status(display.STATUS_LABELS)
    method = linked("payment method", public_ids.PAYMENT_METHOD, "payment_method_id")
    single_use = minor_amount("for one payment of", "single_use_minor")
