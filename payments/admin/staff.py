"""Who may act and who did: users and roles, keys of services, the audit trail.

Also what roles may approve, and what waits for approval. Only a superuser changes users and roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display as shown
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from ledger.admin import FiltersOnly
from payments import public_ids
from payments.admin import display
from payments.admin.columns import column, linked, minor_amount, status
from payments.admin.filters import OF_MERCHANT, CreatedFilter, one_of
from payments.admin.read_only import ReadOnlyAdmin, group
from payments.admin.search import SearchByPublicId
from payments.models import (
    Act,
    ActResult,
    Approval,
    ApprovalCommand,
    ApprovalLimit,
    ApprovalStatus,
    AuditEntry,
    ServiceKey,
)
from payments.services.audit.authors import STAFF, Author
from payments.services.audit.trail import AuditSubject, differences, record_act
from payments.services.commands.operators.staff import about_user, state_of_user

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

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        stored = User.objects.filter(pk=obj.pk).first() if change else None
        form.state_before = {} if stored is None else state_of_user(stored)
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Roles are saved after the user: now the act is whole."""
        super().save_related(request, form, formsets, change)
        user = form.instance
        act = Act.STAFF_CHANGE if change else Act.STAFF_CREATE
        changes = differences(form.state_before, state_of_user(user))
        record_act(act, author_at_console(request), about_user(user), changes)

    def log_change(self, request: HttpRequest, obj: User, message: Any) -> Any:
        """Also called by the page that sets a password, which saves nothing else."""
        if getattr(request.resolver_match, "url_name", "") == "auth_user_password_change":
            changes = {"password": {"changed": ["all"]}}
            author = author_at_console(request)
            record_act(Act.STAFF_RESET, author, about_user(obj), changes)
        return super().log_change(request, obj, message)


@admin.register(Group)
class RoleAdmin(FiltersOnly, _ChangedBySuperusers, GroupAdmin, ModelAdmin):
    """Roles: named sets of permissions."""

    def save_model(self, request: HttpRequest, obj: Group, form: Any, change: bool) -> None:
        form.state_before = _state_of_role(obj) if change else {}
        super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        changes = differences(form.state_before, _state_of_role(form.instance))
        self._record(request, form.instance, changes)

    def delete_model(self, request: HttpRequest, obj: Group) -> None:
        changes = differences(_state_of_role(obj), {})
        super().delete_model(request, obj)
        self._record(request, obj, changes)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Group]) -> None:
        for role in queryset:
            self.delete_model(request, role)

    def _record(self, request: HttpRequest, role: Group, changes: dict[str, Any]) -> None:
        about = AuditSubject(label=f"role {role.name}")
        record_act(Act.ROLE_CHANGE, author_at_console(request), about, changes)


def _state_of_role(role: Group) -> dict[str, Any]:
    rows = role.permissions.order_by("content_type__app_label", "codename")
    names = rows.values_list("content_type__app_label", "codename")
    return {"name": role.name, "permissions": [f"{app}.{name}" for app, name in names]}


def author_at_console(request: HttpRequest, *, reason: str = "") -> Author:
    """The staff user who sent a request of the console."""
    address = request.META.get("REMOTE_ADDR", "")
    source = f"console from {address}" if address else "console"
    return Author(f"{STAFF}{request.user.get_username()}", reason, source)


@admin.register(AuditEntry)
class AuditEntryAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Every act of a staff user or a service, the refused ones too."""

    list_display = ("created", "actor", "act", "shown_result", "subject", "why", "what")
    list_filter = (
        ("created_at", CreatedFilter),
        one_of("result", ActResult),
        one_of("act", Act),
        "livemode",
    )
    leading_filters = ()
    search_help_text = (
        "pi_…, acct_…, or the beginning of who acted (staff:ada), or of the object (a code, a name)"
    )
    id_paths = {public_ids.PAYMENT_INTENT: "intent_id", public_ids.MERCHANT: "merchant_id"}
    fieldsets = (
        group(
            None,
            ("act", "shown_result"),
            ("subject", "created_at"),
            ("merchant", "psp_account"),
            ("payment", "livemode"),
        ),
        group("Who", ("actor", "staff", "service"), ("source", "request_id"), "reason"),
        group("What", "refusal", "shown_changes"),
    )
    created = column("created", "created_at", display.moment, ordering="id")
    shown_result = column(
        "result", "result", display.in_words, label={"done": "success", "refused": "warning"}
    )
    what = column("changes", "in_words", display.in_one_line)
    why = column("reason", "reason", display.in_one_line)
    payment = linked("payment", public_ids.PAYMENT_INTENT, "intent_id")
    shown_changes = column("before and after", "changes", display.shown_json)

    def texts(self, term: str) -> Iterable[Q]:
        # Operators do little: a scan of this table is cheap.
        yield Q(actor__istartswith=term)
        yield Q(subject__istartswith=term)


@admin.register(ServiceKey)
class ServiceKeyAdmin(SearchByPublicId, ReadOnlyAdmin):
    """Programs that act under a name of their own; `manage.py service_key` makes their keys."""

    list_display = ("name", "last4", "created", "revoked_at")
    search_help_text = "The beginning of a service's name"
    id_paths = {}
    leading_filters = ()
    fieldsets = (group(None, ("name", "last4"), ("created_at", "revoked_at")),)

    def texts(self, term: str) -> Iterable[Q]:
        yield Q(name__istartswith=term)


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
