"""Gives the application's role exactly the rights it needs on the owner's tables."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from psycopg import sql

from paymentsite.environment import application_role

ALL_RIGHTS = ("select", "insert", "update", "delete")  # never truncate, references, trigger


class Command(BaseCommand):
    """Run as the owner after every migrate; running it again changes nothing.

    A model may narrow its table's rights: `application_rights = ("select", "insert")` makes it
    append-only for the application. Tables without a model can only be read.
    """

    help = "Grant the application's role its rights on every table, sequence and schema."

    def handle(self, *args: Any, **options: Any) -> None:
        role = application_role()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            if cursor.fetchone()[0] == role:
                raise CommandError(
                    f"{role} is the application's own login: set DATABASE_OWNER_URL to the owner's"
                )
            for statement in _statements(role, connection.introspection.table_names(cursor)):
                cursor.execute(statement)
        if options["verbosity"]:
            self.stdout.write(f"granted the rights of the application to {role}")


def _statements(role: str, tables: list[str]) -> list[sql.Composed]:
    """Revokes everything, then grants, for one transaction: no other session sees it half done."""
    to = sql.Identifier(role)
    takes = [
        "REVOKE ALL ON SCHEMA public FROM {role}",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {role}",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ]
    declared = declared_rights()
    gives = [
        sql.SQL("GRANT {rights} ON TABLE public.{table} TO {role}").format(
            rights=sql.SQL(", ").join(sql.SQL(right.upper()) for right in declared[table]),
            table=sql.Identifier(table),
            role=to,
        )
        if table in declared
        else sql.SQL("GRANT SELECT ON TABLE public.{table} TO {role}").format(
            table=sql.Identifier(table), role=to
        )
        for table in sorted(tables)
    ]
    return [sql.SQL(text).format(role=to) for text in takes] + gives


def declared_rights() -> dict[str, tuple[str, ...]]:
    """Table to rights, as the models say."""
    rights: dict[str, tuple[str, ...]] = {}
    for model in apps.get_models(include_auto_created=True):
        wanted = tuple(getattr(model, "application_rights", ALL_RIGHTS))
        if not wanted or not set(wanted) <= set(ALL_RIGHTS):
            raise CommandError(f"{model.__name__}.application_rights may name {ALL_RIGHTS}")
        rights[model._meta.db_table] = wanted
    return rights
