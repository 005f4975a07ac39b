"""Users and roles of the console, what roles may approve, and what waits for approval."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display as shown
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from ledger.admin import FiltersOnly
from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import OF_MERCHANT, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import Approval, ApprovalCommand, ApprovalLimit, ApprovalStatus

admin.site.unregister(User)
admin.site.unregister(Group)


class _ChangedBySuperusers:
    """Restricts changes to superusers: a user who can change users could take any role."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return _is_superuser(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_active and getattr(request.user, "is_superuser", False))


@admin.register(User)
class StaffAdmin(FiltersOnly, _ChangedBySuperusers, UserAdmin, ModelAdmin):
    """Users of the console. They are disabled, not deleted: the console's log names them.

    `manage.py staff superuser` makes superusers, with the owner's login.
    """

    readonly_fields = ("is_superuser", "last_login", "date_joined")
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_active", "is_superuser", "last_login")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Group)
class RoleAdmin(FiltersOnly, _ChangedBySuperusers, GroupAdmin, ModelAdmin):
    """Roles: named sets of permissions."""


@admin.register(Approval)
class ApprovalAdmin(SearchByPublicId, ReadOnlyAdmin):
    """What waits for a second person, and what was decided; `manage.py approvals` decides."""

    list_display = (
        *("public_id", "command", "amount", "shown_status", "payment", "merchant"),
        *("requester", "approver", "expires_at", "created"),
    )
    list_select_related = ("merchant",)
    leading_filters = ("merchant", "status=requested")
    list_filter = (
        one_of("status", ApprovalStatus),
        one_of("command", ApprovalCommand),
        *OF_MERCHANT,
    )
    search_help_text = "apr_… pi_… re_…"
    id_paths = {public_ids.APPROVAL: "pk", public_ids.PAYMENT_INTENT: "intent_id"}
    fieldsets = (
        group(
            None,
            ("public_id", "shown_status"),
            ("command", "amount"),
            ("shown_subject", "payment"),
            ("merchant", "psp_account"),
            ("mode", "created"),
        ),
        group("Requested", ("requester", "expires_at"), "request_reason", "shown_content"),
        group("Decision", ("approver", "decided_at"), "decision_reason"),
        group("Result", ("ended_by", "ended_at"), "result", "replaced_by"),
    )

    shown_status = status(
        {
            "requested": "warning",
            "applied": "success",
            "refused": "danger",
            "rejected": "danger",
            "expired": "default",
            "voided": "default",
        }
    )
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    replaced_by = linked("replaced by", public_ids.APPROVAL, "replaced_by_id")
    amount = minor_amount("amount", "amount_minor")
    shown_subject = column("subject", "subject", display.subject)
    shown_content = column("content", "frozen", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(subject=term)


@admin.register(ApprovalLimit)
class ApprovalLimitAdmin(ReadOnlyAdmin):
    """How much each role may approve; `manage.py approvals limits` sets it."""

    list_display = ("group", "command", "currency", "up_to", "merchant", "psp_account")
    list_select_related = ("group", "merchant", "psp_account")
    list_filter = (one_of("command", ApprovalCommand),)
    leading_filters = ()
    fieldsets = (
        group(None, ("group", "command"), ("currency", "up_to"), ("merchant", "psp_account")),
    )

    @shown(description="up to")
    def up_to(self, limit: ApprovalLimit) -> str:
        if limit.amount_max_minor is None:
            return "any amount"
        return str(display.money(limit.amount_max_minor, limit.currency))
