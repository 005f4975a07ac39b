"""`manage.py staff`: creates logins of the console, gives them roles, and takes them away."""

from __future__ import annotations

import os
import secrets
from typing import Any

import psycopg
from django.contrib.auth.models import Group, User
from django.core.management.base import CommandError, CommandParser

from payments.management.rows import RowCommand, add_verb


class Command(RowCommand):
    help = "Create a login of the console, set its roles or a new password, or disable it."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = add_verb(verbs, "create", "create a login; its password is shown once")
        create.add_argument("username")
        create.add_argument("--email", default="")
        roles = add_verb(verbs, "set", "set the roles: those not named are taken away")
        roles.add_argument("username")
        for each in (create, roles):
            each.add_argument("--role", action="append", default=[], help="see manage.py role list")
        add_verb(verbs, "list", "list all logins")
        for verb, what in (
            ("show", "show one"),
            ("password", "give a new password, shown once; ends all sessions"),
            ("disable", "refuse the login from now on"),
            ("enable", "allow it again"),
            ("superuser", "allow it everything in the console; needs DATABASE_OWNER_URL"),
        ):
            add_verb(verbs, verb, what).add_argument("username")

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        roles = _roles(given["role"])
        if User.objects.filter(username=given["username"]).exists():
            raise CommandError(f"{given['username']} exists. manage.py staff set changes roles.")
        password = secrets.token_urlsafe(16)
        user = User(username=given["username"], email=given["email"], is_staff=True)
        user.set_password(password)
        user.full_clean(exclude=["password"])
        user.save()
        user.groups.set(roles)
        return {**_shown(user), "password": password}

    def _set(self, given: dict[str, Any]) -> dict[str, Any]:
        user, roles = _user_of(given["username"]), _roles(given["role"])
        user.groups.set(roles)
        return _shown(user)

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        users = User.objects.filter(is_staff=True).prefetch_related("groups").order_by("username")
        return [_shown(user) for user in users]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_user_of(given["username"]))

    def _password(self, given: dict[str, Any]) -> dict[str, Any]:
        user, password = _user_of(given["username"]), secrets.token_urlsafe(16)
        user.set_password(password)
        user.save(update_fields=["password"])
        return {**_shown(user), "password": password}

    def _disable(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._switch(given["username"], is_active=False)

    def _enable(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._switch(given["username"], is_active=True)

    def _superuser(self, given: dict[str, Any]) -> dict[str, Any]:
        user = _user_of(given["username"])
        make_superuser(user)
        return _shown(user)

    def _switch(self, username: str, *, is_active: bool) -> dict[str, Any]:
        user = _user_of(username)
        user.is_active = is_active
        user.save(update_fields=["is_active"])
        return _shown(user)


def make_superuser(user: User) -> None:
    """Make a superuser, with the login that owns the tables; the database refuses all others.

    Commits by itself. Raises CommandError if DATABASE_OWNER_URL is not set.
    """
    owner = os.environ.get("DATABASE_OWNER_URL")
    if not owner:
        raise CommandError("the owner of the tables makes superusers: set DATABASE_OWNER_URL")
    with psycopg.connect(owner) as connection:
        connection.execute("UPDATE auth_user SET is_superuser = true WHERE id = %s", [user.pk])
    user.refresh_from_db()


def _user_of(username: str) -> User:
    found = User.objects.filter(username=username, is_staff=True).first()
    if found is None:
        raise CommandError(f"no such login: {username}. manage.py staff list shows all.")
    return found


def _roles(names: list[str]) -> list[Group]:
    found = {group.name: group for group in Group.objects.filter(name__in=names)}
    for name in names:
        if name not in found:
            raise CommandError(f"no such role: {name}. manage.py role list shows all.")
    return list(found.values())


def _shown(user: User) -> dict[str, Any]:
    return {
        "username": user.username,
        "email": user.email,
        "roles": sorted(group.name for group in user.groups.all()),
        "superuser": user.is_superuser,
        "enabled": user.is_active,
        "last login": f"{user.last_login:%Y-%m-%d %H:%M} UTC" if user.last_login else None,
    }
