"""`manage.py staff`: creates logins of the console, gives them roles, and takes them away."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group, User
from django.core.management.base import CommandError, CommandParser

from payments.management.authors import add_author, author_of
from payments.management.rows import RowCommand, add_verb
from payments.services.commands.operators import staff


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
            add_author(each)
        add_verb(verbs, "list", "list all logins")
        for verb, what in (
            ("show", "show one"),
            ("password", "give a new password, shown once; ends all sessions"),
            ("disable", "refuse the login from now on"),
            ("enable", "allow it again"),
            ("superuser", "allow it everything in the console; needs DATABASE_OWNER_URL"),
        ):
            parser_of_verb = add_verb(verbs, verb, what)
            parser_of_verb.add_argument("username")
            if verb != "show":
                add_author(parser_of_verb)

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        user, password = staff.create_staff_user(
            given["username"],
            email=given["email"],
            roles=_roles(given["role"]),
            author=author_of(given),
        )
        return {**_shown(user), "password": password}

    def _set(self, given: dict[str, Any]) -> dict[str, Any]:
        user, roles = _user_of(given["username"]), _roles(given["role"])
        staff.set_roles(user, roles, author=author_of(given))
        return _shown(user)

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        users = User.objects.filter(is_staff=True).prefetch_related("groups").order_by("username")
        return [_shown(user) for user in users]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        return _shown(_user_of(given["username"]))

    def _password(self, given: dict[str, Any]) -> dict[str, Any]:
        user = _user_of(given["username"])
        password = staff.new_password(user, author=author_of(given))
        return {**_shown(user), "password": password}

    def _disable(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._switch(given, is_active=False)

    def _enable(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._switch(given, is_active=True)

    def _superuser(self, given: dict[str, Any]) -> dict[str, Any]:
        user = _user_of(given["username"])
        staff.make_superuser(user, author=author_of(given))
        return _shown(user)

    def _switch(self, given: dict[str, Any], *, is_active: bool) -> dict[str, Any]:
        user = _user_of(given["username"])
        staff.set_enabled(user, is_active=is_active, author=author_of(given))
        return _shown(user)


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
