"""`manage.py service_key`: creates, lists and revokes keys of programs that act by themselves."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from payments.management.authors import add_author, author_of
from payments.management.rows import RowCommand, add_verb
from payments.models import ServiceKey
from payments.services.commands.operators.service_keys import create_service_key, revoke_service_key


class Command(RowCommand):
    help = "Create a service with a key (shown once), list services, or revoke a key."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = add_verb(verbs, "create", "create a service; its key is shown now and never again")
        revoke = add_verb(verbs, "revoke", "refuse a service's key from now on")
        for each in (create, revoke):
            each.add_argument("name", help="how the audit trail calls it, such as importer")
            add_author(each)
        add_verb(verbs, "list", "list all services")

    def _create(self, given: dict[str, Any]) -> dict[str, Any]:
        key, secret = create_service_key(given["name"], author=author_of(given))
        return {**_shown(key), "secret": secret}

    def _revoke(self, given: dict[str, Any]) -> dict[str, Any]:
        key = ServiceKey.objects.filter(name=given["name"]).first()
        if key is None:
            raise CommandError(f"no such service: {given['name']}. service_key list shows all.")
        revoke_service_key(key, author=author_of(given))
        return _shown(key)

    def _list(self, given: dict[str, Any]) -> list[dict[str, Any]]:
        return [_shown(key) for key in ServiceKey.objects.order_by("name")]


def _shown(key: ServiceKey) -> dict[str, Any]:
    return {
        "service": key.name,
        "ends in": key.last4,
        "state": "valid" if key.revoked_at is None else "revoked",
        "created": f"{key.created_at:%Y-%m-%d}",
    }
