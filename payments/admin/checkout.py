"""Checkout sessions and payment links. Never the secret part of their addresses."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, status
from payments.admin.filters import OF_MERCHANT, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import CheckoutSession, PaymentLink
from payments.objects.checkout_session import payment_status
from payments.states import CheckoutStatus


@admin.register(CheckoutSession)
class CheckoutSessionAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Each is one page for one payment, which says what became of the money, or one setup."""

    list_display = (
        *("public_id", "payment", "merchant", "shown_amount", "shown_status"),
        *("payment_status", "expires_at", "created"),
    )
    list_select_related = ("merchant", "intent", "setup_intent")
    list_filter = (one_of("status", CheckoutStatus), *OF_MERCHANT)
    search_help_text = "cs_… pi_… seti_… plink_…, or your customer's email address"
    id_paths = {
        public_ids.CHECKOUT_SESSION: "pk",
        public_ids.PAYMENT_INTENT: "intent_id",
        public_ids.SETUP_INTENT: "setup_intent_id",
        public_ids.PAYMENT_LINK: "payment_link_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("shown_amount", "payment_status"),
            ("merchant", "mode"),
            ("payment", "setup", "link"),
            ("bank_decision", "completed_at"),
            ("expires_at", "next_expiry_at"),
            ("created_at", "updated_at"),
        ),
        group(
            "From the merchant",
            "shown_lines",
            ("success_address", "cancel_address"),
            ("customer_email", "client_reference_id"),
            ("locale", "submit_type"),
            "shown_metadata",
        ),
    )

    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    setup = linked("setup intent", public_ids.SETUP_INTENT, "setup_intent_id")
    link = linked("payment link", public_ids.PAYMENT_LINK, "payment_link_id")
    shown_status = status({"open": "info", "complete": "success", "expired": "default"})
    shown_lines = column("lines", "line_items", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)
    success_address = column("success URL", "success_url", display.address_without_query)
    cancel_address = column("cancel URL", "cancel_url", display.address_without_query)

    def get_queryset(self, request: HttpRequest) -> QuerySet[CheckoutSession]:
        rows: QuerySet[CheckoutSession] = super().get_queryset(request)
        return rows.select_related("intent", "setup_intent", "merchant").defer("token")

    @shown(description="amount")
    def shown_amount(self, session: CheckoutSession) -> SafeString | str:
        return display.amount(session.intent.amount) if session.intent else display.NOTHING

    @shown(
        description="payment status",
        label={"paid": "success", "unpaid": "warning", "no_payment_required": "info"},
    )
    def payment_status(self, session: CheckoutSession) -> str:
        return payment_status(session.subject)

    def texts(self, term: str) -> Iterable[Q]:
        return ()


@admin.register(PaymentLink)
class PaymentLinkAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Permanent addresses; each visitor gets a session."""

    list_display = ("public_id", "merchant", "shown_amount", "active", "created")
    list_select_related = ("merchant",)
    list_filter = ("active", CurrencyFilter, *OF_MERCHANT)
    search_help_text = "plink_… acct_…"
    id_paths = {public_ids.PAYMENT_LINK: "pk", public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(
            None,
            ("public_id", "active"),
            ("shown_amount", "mode"),
            "merchant",
            ("created_at", "updated_at"),
        ),
        group(
            "From the merchant",
            "shown_lines",
            ("shown_types", "submit_type"),
            ("redirect_address", "inactive_message"),
            ("shown_details", "shown_metadata"),
        ),
    )

    shown_amount = column("amount", "amount", display.amount)
    shown_lines = column("lines", "line_items", display.shown_json)
    shown_types = column("methods", "method_types", ", ".join)
    shown_details = column("of each payment", "intent_details", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)
    redirect_address = column("afterwards", "redirect_url", display.address_without_query)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PaymentLink]:
        rows: QuerySet[PaymentLink] = super().get_queryset(request)
        return rows.defer("token")

    def texts(self, term: str) -> Iterable[Q]:
        return ()
