"""Creates logins of the console, sets their roles and passwords, disables and enables them.

Each act is recorded in the audit trail, in its transaction. A password is shown once.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import psycopg
from django.contrib.auth.models import Group, User
from django.db import transaction

from payments.models.audit import Act
from payments.services.audit.authors import Author
from payments.services.audit.trail import (
    AuditSubject,
    differences,
    record_act,
    refusals_recorded,
)


def create_staff_user(
    username: str, *, email: str, roles: list[Group], author: Author
) -> tuple[User, str]:
    """Create a login; the second value is its password. Raises ValidationError and ValueError."""
    user, password = User(username=username, email=email, is_staff=True), secrets.token_urlsafe(16)
    user.set_password(password)  # Costly on purpose: before the transaction.
    with refusals_recorded(Act.STAFF_CREATE, author, about_user(user)), transaction.atomic():
        if User.objects.filter(username=username).exists():
            raise ValueError(f"{username} exists. manage.py staff set changes roles.")
        user.full_clean(exclude=["password"])
        user.save()
        user.groups.set(roles)
        record_act(Act.STAFF_CREATE, author, about_user(user), differences({}, state_of_user(user)))
    return user, password


def set_roles(user: User, roles: list[Group], *, author: Author) -> None:
    """Give a login these roles; those not named are taken away."""
    with transaction.atomic():
        before = state_of_user(user)
        user.groups.set(roles)
        changes = differences(before, state_of_user(user))
        record_act(Act.STAFF_CHANGE, author, about_user(user), changes)


def new_password(user: User, *, author: Author) -> str:
    """Give a login a new password, and end its sessions; returns the password."""
    password = secrets.token_urlsafe(16)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        record_act(Act.STAFF_RESET, author, about_user(user), {"password": {"changed": ["all"]}})
    return password


def set_enabled(user: User, *, is_active: bool, author: Author) -> None:
    """Refuse a login from now on, or allow it again."""
    act = Act.STAFF_ENABLE if is_active else Act.STAFF_DISABLE
    with transaction.atomic():
        before = state_of_user(user)
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        record_act(act, author, about_user(user), differences(before, state_of_user(user)))


def make_superuser(user: User, *, author: Author) -> None:
    """Make a superuser, with the login that owns the tables; the database refuses all others.

    Commits by itself; the act is recorded before. Raises ValueError without DATABASE_OWNER_URL.
    """
    owner = os.environ.get("DATABASE_OWNER_URL")
    with refusals_recorded(Act.STAFF_SUPERUSER, author, about_user(user)):
        if not owner:
            raise ValueError("the owner of the tables makes superusers: set DATABASE_OWNER_URL")
        record_act(Act.STAFF_SUPERUSER, author, about_user(user))
    with psycopg.connect(owner) as connection:
        connection.execute("UPDATE auth_user SET is_superuser = true WHERE id = %s", [user.pk])
    user.refresh_from_db()


def state_of_user(user: User) -> dict[str, Any]:
    """What the trail compares of a login: everything but its password."""
    roles = sorted(user.groups.values_list("name", flat=True)) if user.pk else []
    return {
        "username": user.username,
        "email": user.email,
        "enabled": user.is_active,
        "roles": roles,
    }


def about_user(user: User) -> AuditSubject:
    """A login as the object of an act."""
    return AuditSubject(label=f"staff:{user.username}")
