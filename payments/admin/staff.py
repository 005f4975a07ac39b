"""Users and roles of the console; only a superuser changes them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from ledger.admin import FiltersOnly

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
