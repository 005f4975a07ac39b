"""The application's role has the rights that the models declare, and no others."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from paymentsite.environment import application_role
from paymentsite.management.commands.grant_application_rights import ALL_RIGHTS

pytestmark = pytest.mark.usefixtures("database")


def _rights(cursor: psycopg.Cursor[Any]) -> dict[str, set[str]]:
    cursor.execute(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants "
        "WHERE grantee = %s",
        [application_role()],
    )
    rights: dict[str, set[str]] = {}
    for table, right in cursor.fetchall():
        rights.setdefault(table, set()).add(right.lower())
    return rights


def test_the_rights_are_those_that_the_models_declare(owner_cursor: psycopg.Cursor[Any]) -> None:
    rights = _rights(owner_cursor)
    for model in apps.get_models(include_auto_created=True):
        declared = set(getattr(model, "application_rights", ALL_RIGHTS))
        assert rights.pop(model._meta.db_table) == declared, model.__name__
    assert rights == {"django_migrations": {"select"}}


def test_entries_of_the_books_can_only_be_added(owner_cursor: psycopg.Cursor[Any]) -> None:
    entries = apps.get_model("ledger", "LedgerEntry")._meta.db_table
    assert _rights(owner_cursor)[entries] == {"select", "insert"}


def test_the_application_cannot_grant_itself_anything() -> None:
    with pytest.raises(CommandError, match="set DATABASE_OWNER_URL"):
        call_command("grant_application_rights", verbosity=0)
