"""Payment intents: the list, the story of one payment, and the deadlines of those that wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import CreatedFilter, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import (
    SearchByPublicId,
    intents_of_key,
    intents_of_psp_id,
    intents_of_psp_payment,
)
from payments.admin.story import story_of
from payments.models import Deadline, PaymentIntent
from payments.selectors.disputes import refundable_of
from payments.states import IntentStatus


@admin.register(PaymentIntent)
class PaymentIntentAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Payments with their story. Neither the client secret nor any URL's query is shown."""

    list_display = (
        "public_id",
        "merchant",
        "order_id",
        "shown_amount",
        "shown_status",
        "payment_with",
        "created",
        "mode",
    )
    list_select_related = ("merchant", "payment_method")
    list_filter = (
        one_of("status", IntentStatus),
        CurrencyFilter,
        ("merchant", RelatedDropdownFilter),
        one_of("capture_method", ("automatic", "manual")),
        ("created_at", CreatedFilter),
        "livemode",
    )
    search_help_text = "pi_… ch_… re_…, order, Idempotency-Key, PSP reference"
    id_paths = {
        public_ids.PAYMENT_INTENT: "pk",
        public_ids.CHARGE: "operations__pk",
        public_ids.OPERATION: "operations__pk",
        public_ids.REFUND: "refunds__pk",
        public_ids.CUSTOMER: "customer_id",
    }
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("shown_amount", "merchant"),
            ("order_id", "customer"),
            ("created_at", "updated_at"),
        ),
        group(
            "Amounts",
            ("authorized", "captured"),
            ("refunded", "refund_pending"),
            ("shown_capturable", "shown_refundable"),
            "excess",
        ),
        group(
            "Payment method and PSP",
            ("payment_with", "payment_method"),
            ("capture_method", "confirmation_method", "shown_types"),
            ("psp_account", "psp_reference"),
            ("latest_charge", "authorization_expires_at"),
            ("next_action", "shown_return_url"),
        ),
        group(
            "Status",
            ("published_status", "mode"),
            ("cancellation_reason", "canceled_at"),
            "shown_error",
        ),
        group(
            "From the merchant",
            ("description", "receipt_email"),
            ("statement_descriptor", "statement_descriptor_suffix"),
            ("idempotency_key", "setup_future_usage"),
            ("shown_metadata", "shown_shipping"),
        ),
    )
    change_form_after_template = "admin/payments/story.html"

    shown_amount = column("amount", "amount", display.amount)
    shown_status = status(display.STATUS_LABELS)
    authorized = minor_amount("authorized", "amount_authorized_minor", zero=True)
    captured = minor_amount("captured", "amount_captured_minor")
    refunded = minor_amount("refunded", "amount_refunded_minor")
    refund_pending = minor_amount("refund pending", "amount_refund_pending_minor")
    shown_capturable = column("capturable", "capturable", display.amount)
    excess = minor_amount("excess", "amount_excess_minor")
    latest_charge = linked("latest charge", public_ids.CHARGE, "latest_charge_id")
    next_action = column("redirect URL", "next_action_url", display.address_without_query)
    shown_return_url = column("return URL", "return_url", display.address_without_query)
    shown_error = column("last error", "last_payment_error", display.shown_json)
    shown_metadata = column("metadata", "metadata", display.shown_json)
    shown_shipping = column("shipping", "shipping", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(pk__in=intents_of_key(term))
        yield Q(pk__in=intents_of_psp_id(term))
        # `<> ''` lets PostgreSQL use the partial index on orders.
        yield Q(order_id=term) & ~Q(order_id="")
        yield Q(pk__in=intents_of_psp_payment(term))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> TemplateResponse:
        """The page with the payment's story, if the user may view the payment."""
        intent = self.get_object(request, object_id) if object_id else None
        story = []
        if intent is not None and self.has_view_permission(request, intent):
            story = story_of(intent, user=request.user)
        context = {**(extra_context or {}), "story": story}
        return super().changeform_view(request, object_id, form_url, context)

    @shown(description="paid with")
    def payment_with(self, intent: PaymentIntent) -> SafeString | str:
        method = intent.payment_method
        return display.NOTHING if method is None else display.card(method)

    @shown(description="refundable")
    def shown_refundable(self, intent: PaymentIntent) -> str:
        return display.amount(refundable_of(intent))

    @shown(description="payment method types")
    def shown_types(self, intent: PaymentIntent) -> str:
        return ", ".join(intent.payment_method_types) or display.NOTHING


@admin.register(Deadline)
class DeadlineAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Authorizations that may expire, and payments that may be abandoned.

    Left out are payments that have moved on: the sweep deletes their deadline once it is due.
    """

    list_display = (
        "__str__",
        "shown_status",
        "waiting_since",
        "next_action_at",
        "warned_for",
        "payment",
    )
    search_help_text = "pi_…"
    list_filter = (one_of("status", IntentStatus),)
    ordering = ("next_action_at",)
    id_paths = {public_ids.PAYMENT_INTENT: "pk"}
    fieldsets = (
        group(None, ("payment", "shown_status"), ("waiting_since", "next_action_at"), "warned_for"),
    )

    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    shown_status = status(display.STATUS_LABELS)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deadline]:
        rows: QuerySet[Deadline] = super().get_queryset(request)
        waiting = PaymentIntent.objects.filter(pk=OuterRef("intent_id"), status=OuterRef("status"))
        return rows.filter(Exists(waiting))
