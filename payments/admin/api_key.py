"""API keys: merchant, state and expiry. Never the key or its hash."""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin.read_only import ReadOnlyAdmin
from payments.admin.search import SearchByPublicId
from payments.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Secret keys of merchants, shown by their last four characters."""

    list_display = ("shown_key", "merchant", "name", "state", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = ("livemode",)
    search_help_text = "acct_… or a key's last four characters"
    id_paths = {public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("shown_key", "merchant"),
                    ("name", "mode"),
                    ("state", "created_at"),
                    ("expires_at", "revoked_at"),
                )
            },
        ),
    )

    def texts(self, term: str) -> Iterable[Q]:
        # Keys are few: a scan of this table is cheap.
        yield Q(last4=term)
        yield Q(merchant__name__istartswith=term)

    @shown(description="key")
    def shown_key(self, key: ApiKey) -> str:
        return str(key)

    @shown(
        description="state", label={"valid": "success", "expired": "warning", "revoked": "danger"}
    )
    def state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return "revoked"
        expired = key.expires_at is not None and key.expires_at <= timezone.now()
        return "expired" if expired else "valid"
