"""`manage.py role`: lists the roles of the console, and shows what one may see."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Group
from django.core.management.base import CommandError, CommandParser

from payments.management.rows import RowCommand, add_verb


class Command(RowCommand):
    help = "List the roles of the console, or show what one may see. Migrations create them."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        add_verb(verbs, "list", "list all roles")
        add_verb(verbs, "show", "show what one may see").add_argument("role")

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {
                "role": group.name,
                "people": group.user_set.filter(is_active=True).count(),
                "permissions": group.permissions.count(),
            }
            for group in Group.objects.order_by("name")
        ]

    def _show(self, given: dict[str, Any]) -> dict[str, Any]:
        group = Group.objects.filter(name=given["role"]).first()
        if group is None:
            raise CommandError(f"no such role: {given['role']}. manage.py role list shows all.")
        people = group.user_set.order_by("username").values_list("username", flat=True)
        permissions = group.permissions.select_related("content_type").order_by("codename")
        return {
            "role": group.name,
            "people": list(people),
            "permissions": [f"{p.content_type.app_label}.{p.codename}" for p in permissions],
        }
