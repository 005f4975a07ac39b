"""Merchants and their settings."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
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
            {"fields": (("idempotency_key_required", "order_guard"), "psp_wait_ms")},
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        # Merchants are few: this table may be read whole.
        yield Q(name__istartswith=term)

    @shown(description="platform fee")
    def fee(self, merchant: Merchant) -> str:
        whole, part = divmod(merchant.platform_fee_basis_points, 100)
        return f"{whole}.{part:02d} %"
