"""Merchants, their API keys (never the key or its hash), and PSP accounts with their changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display as shown

from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, status
from payments.admin.filters import one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.admin.story import ACCOUNT_SECTIONS, ASK_PSP, ROWS_MAX, Section
from payments.models import (
    ApiKey,
    AuditEntry,
    Merchant,
    MerchantBalance,
    PspAccount,
    RoutingRule,
)
from payments.states import PspAccountStatus


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
        group(
            None,
            ("public_id", "name"),
            ("test_psp_account", "live_psp_account"),
            ("fee", "created_at"),
        ),
        group(
            "Settings",
            ("idempotency_key_required", "order_guard"),
            ("psp_wait_ms", "late_success_policy"),
            ("void_uncaptured_after_hours", "warn_before_expiry_hours"),
            ("dispute_loss_policy", "disputed_refund_policy"),
            "refund_approval_limits",
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


@admin.register(ApiKey)
class ApiKeyAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Secret keys of merchants, shown by their last four characters."""

    list_display = ("shown_key", "merchant", "name", "state", "mode", "created")
    list_select_related = ("merchant",)
    list_filter = ("livemode",)
    search_help_text = "acct_… or a key's last four characters"
    id_paths = {public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(
            None,
            ("shown_key", "merchant"),
            ("name", "mode"),
            ("state", "created_at"),
            ("expires_at", "revoked_at"),
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


class WithHistory(ReadOnlyAdmin):
    """The page of a row whose changes are logged shows the newest of them."""

    change_form_after_template = "admin/payments/story.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> TemplateResponse:
        row = self.get_object(request, object_id) if object_id else None
        may_view = request.user.has_perm("payments.view_auditentry")
        story = []
        if row is not None and may_view and self.has_view_permission(request, row):
            story.append(_history_of(row))
        if isinstance(row, PspAccount) and self.has_view_permission(request, row):
            asks = request.GET.get("psp") == ASK_PSP
            story += [
                section.build(row, asks)
                for section in ACCOUNT_SECTIONS
                if request.user.has_perm(section.permission)
            ]
        context = {**(extra_context or {}), "story": story}
        return super().changeform_view(request, object_id, form_url, context)


def _history_of(row: PspAccount | RoutingRule) -> Section:
    name = row.code if isinstance(row, PspAccount) else row.name
    entries = AuditEntry.objects.filter(object_id=row.pk).order_by("-id")
    rows = list(entries[: ROWS_MAX + 1])
    listed = reverse("admin:payments_auditentry_changelist")
    return Section(
        title="Changes",
        headers=("created", "actor", "act", "changes", "reason"),
        rows=[
            [
                display.moment(each.created_at),
                each.actor,
                each.act,
                f"refused: {each.refusal}" if each.refusal else each.in_words,
                each.reason or display.NOTHING,
            ]
            for each in rows[:ROWS_MAX]
        ],
        more_url=f"{listed}?{urlencode({'q': name})}" if len(rows) > ROWS_MAX else "",
    )


def _all_or(names: list[str]) -> str:
    return ", ".join(names) or "all"


@admin.register(PspAccount)
class PspAccountAdmin(SearchByPublicId, WithHistory):
    """PSP accounts that process merchants' payments; `manage.py psp_accounts` changes them.

    Credentials are never read here.
    """

    list_display = (
        "code",
        "psp",
        "mode",
        "shown_status",
        "shown_methods",
        "shown_currencies",
        "created",
    )
    list_filter = ("livemode", one_of("status", PspAccountStatus))
    search_help_text = "The beginning of the code"
    id_paths = {}
    fieldsets = (
        group(
            None,
            ("code", "psp"),
            ("mode", "shown_status"),
            ("credentials", "created_at"),
            ("hold_days", "settlement_delay_days", "look_ups_per_minute"),
        ),
        group(
            "What it charges",
            ("shown_methods", "shown_currencies", "shown_countries"),
            "shown_limits",
        ),
        group("What it costs", "shown_costs"),
        group("When it settles", "shown_calendar", "shown_rules_off"),
    )
    shown_status = status({"active": "success", "paused": "warning", "closing": "danger"})
    shown_methods = column("methods", "methods", _all_or)
    shown_currencies = column("currencies", "currencies", _all_or)
    shown_countries = column("countries", "countries", _all_or)
    shown_limits = column("limits", "limits", display.shown_json)
    shown_costs = column("costs", "costs", display.shown_json)
    shown_rules_off = column(
        "rules off", "rules_off", lambda names: ", ".join(names) or display.NOTHING
    )
    shown_calendar = column("settlement calendar", "settlement_calendar", display.shown_json)

    def get_queryset(self, request: HttpRequest) -> QuerySet[PspAccount]:
        rows: QuerySet[PspAccount] = super().get_queryset(request)
        return rows.defer("sealed_credentials").annotate(has_credentials=~Q(sealed_credentials=""))

    @shown(description="credentials", boolean=True)
    def credentials(self, account: Any) -> bool:
        return bool(account.has_credentials)

    def texts(self, term: str) -> Iterable[Q]:
        # Accounts are few: a scan of this table is cheap.
        yield Q(code__istartswith=term)


@admin.register(MerchantBalance)
class MerchantBalanceAdmin(SearchByPublicId, ReadOnlyAdmin):
    """How far merchants were told that money has become available."""

    list_display = ("public_id", "merchant", "mode", "announced_to", "is_due")
    list_select_related = ("merchant",)
    list_filter = ("livemode",)
    search_help_text = "bal_… or acct_…"
    id_paths = {public_ids.BALANCE: "pk", public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(None, ("public_id",), ("merchant", "mode"), ("announced_to", "is_due"), "event_seq"),
    )
