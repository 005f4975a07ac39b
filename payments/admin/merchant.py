"""Merchants and their settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import Merchant


@admin.register(Merchant)
class MerchantAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Businesses that take payments through us."""

    list_display = (
        "public_id",
        "name",
        "test_psp_account",
        "live_psp_account",
        "fee",
        "order_guard",
        "idempotency_key_required",
        "created",
    )
    list_select_related = ("test_psp_account", "live_psp_account")
    search_help_text = "acct_… or the beginning of the name"
    id_paths = {public_ids.MERCHANT: "pk"}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("public_id", "name"),
                    ("test_psp_account", "live_psp_account"),
                    ("fee", "created_at"),
                )
            },
        ),
        (
            "Settings",
            {
                "fields": (
                    ("idempotency_key_required", "order_guard"),
                    ("psp_wait_ms", "late_success_policy"),
                    ("void_uncaptured_after_hours", "warn_before_expiry_hours"),
                    ("dispute_loss_policy", "disputed_refund_policy"),
                )
            },
        ),
    )

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page, titled with name and public id: names of merchants may repeat."""
        merchant = self.get_object(request, object_id) if object_id else None
        title = f"{merchant.name} {merchant.public_id}" if merchant else None
        context = {**(extra_context or {}), "subtitle": title}
        return super().changeform_view(request, object_id, form_url, context)

    def texts(self, term: str) -> Iterable[Q]:
        # Merchants are few: a scan of this table is cheap.
        yield Q(name__istartswith=term)

    @shown(description="platform fee")
    def fee(self, merchant: Merchant) -> str:
        whole, part = divmod(merchant.platform_fee_basis_points, 100)
        return f"{whole}.{part:02d} %"
