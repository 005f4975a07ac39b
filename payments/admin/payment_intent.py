"""Payment intents: the list, and the whole story of one payment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.filters import CreatedFilter, CurrencyFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId, intents_of_key, intents_of_psp_id
from payments.admin.story import story_of
from payments.models import PaymentIntent
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
        (
            None,
            {
                "fields": (
                    ("public_id", "shown_status"),
                    ("shown_amount", "merchant"),
                    ("order_id", "customer"),
                    ("created_at", "updated_at"),
                )
            },
        ),
        (
            "Amounts",
            {
                "fields": (
                    ("authorized", "captured"),
                    ("refunded", "refund_pending"),
                    ("shown_capturable", "shown_refundable"),
                    "excess",
                )
            },
        ),
        (
            "Payment method and PSP",
            {
                "fields": (
                    ("payment_with", "payment_method"),
                    ("capture_method", "shown_types"),
                    ("psp_account", "psp_reference"),
                    ("latest_charge", "authorization_expires_at"),
                    ("next_action", "shown_return_url"),
                )
            },
        ),
        (
            "Status",
            {
                "fields": (
                    ("published_status", "mode"),
                    ("cancellation_reason", "canceled_at"),
                    "shown_error",
                )
            },
        ),
        (
            "From the merchant",
            {
                "fields": (
                    ("description", "receipt_email"),
                    ("statement_descriptor", "statement_descriptor_suffix"),
                    ("idempotency_key", "setup_future_usage"),
                    ("shown_metadata", "shown_shipping"),
                )
            },
        ),
    )
    change_form_after_template = "admin/payments/story.html"

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(pk__in=intents_of_key(term))
        yield Q(pk__in=intents_of_psp_id(term))
        # `<> ''` lets PostgreSQL use the partial index on orders.
        yield Q(order_id=term) & ~Q(order_id="")
        # Last, since it has no index: a scan, about 0.25 s per million payments.
        yield Q(psp_reference=term)

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

    @shown(description="amount")
    def shown_amount(self, intent: PaymentIntent) -> SafeString | str:
        return display.in_one_line(str(intent.amount))

    @shown(description="status", label=display.STATUS_LABELS)
    def shown_status(self, intent: PaymentIntent) -> str:
        return display.in_words(intent.status)

    @shown(description="authorized")
    def authorized(self, intent: PaymentIntent) -> SafeString | str:
        return display.money(intent.amount_authorized_minor, intent.currency)

    @shown(description="captured")
    def captured(self, intent: PaymentIntent) -> SafeString | str:
        return display.money(intent.amount_captured_minor or None, intent.currency)

    @shown(description="refunded")
    def refunded(self, intent: PaymentIntent) -> SafeString | str:
        return display.money(intent.amount_refunded_minor or None, intent.currency)

    @shown(description="refund pending")
    def refund_pending(self, intent: PaymentIntent) -> SafeString | str:
        return display.money(intent.amount_refund_pending_minor or None, intent.currency)

    @shown(description="capturable")
    def shown_capturable(self, intent: PaymentIntent) -> SafeString | str:
        return display.in_one_line(str(intent.capturable))

    @shown(description="refundable")
    def shown_refundable(self, intent: PaymentIntent) -> SafeString | str:
        return display.in_one_line(str(intent.refundable))

    @shown(description="excess")
    def excess(self, intent: PaymentIntent) -> SafeString | str:
        return display.money(intent.amount_excess_minor or None, intent.currency)

    @shown(description="paid with")
    def payment_with(self, intent: PaymentIntent) -> SafeString | str:
        method = intent.payment_method
        return display.NOTHING if method is None else display.card(method)

    @shown(description="payment method types")
    def shown_types(self, intent: PaymentIntent) -> str:
        return ", ".join(intent.payment_method_types) or display.NOTHING

    @shown(description="latest charge")
    def latest_charge(self, intent: PaymentIntent) -> SafeString | str:
        return display.link(public_ids.CHARGE, intent.latest_charge_id)

    @shown(description="redirect URL")
    def next_action(self, intent: PaymentIntent) -> str:
        return display.address_without_query(intent.next_action_url)

    @shown(description="return URL")
    def shown_return_url(self, intent: PaymentIntent) -> str:
        return display.address_without_query(intent.return_url)

    @shown(description="last error")
    def shown_error(self, intent: PaymentIntent) -> SafeString | str:
        return display.shown_json(intent.last_payment_error)

    @shown(description="metadata")
    def shown_metadata(self, intent: PaymentIntent) -> SafeString | str:
        return display.shown_json(intent.metadata)

    @shown(description="shipping")
    def shown_shipping(self, intent: PaymentIntent) -> SafeString | str:
        return display.shown_json(intent.shipping)
