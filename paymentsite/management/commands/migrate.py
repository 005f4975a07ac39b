"""`manage.py migrate`: migrates, then gives the application's login exactly the rights it needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from django.apps import apps
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connection, transaction
from psycopg import sql

from paymentsite.environment import application_role, warehouse_role
from paymentsite.launcher.migration_check import fault_of_migrations

OLDEST_POSTGRESQL: Final = 17
"""`transaction_timeout`, which bounds every transaction, came with it."""
VERBS: Final = ("select", "insert", "update", "delete")  # never truncate, references, trigger
_READ: Final = ("select",)
_ADD: Final = ("select", "insert")
_REPLACE: Final = ("select", "insert", "delete")


@dataclass(frozen=True, slots=True)
class Rights:
    """What the application may do with the rows of one table."""

    verbs: tuple[str, ...]
    permanent: tuple[str, ...] = ()
    """Columns that it may not update. The column of the primary key never is."""


_NOT_FOR_A_PLAIN_ONE: Final = ("options", "pool", "context", "cursor_factory", "prepare_threshold")
OF_DJANGO: Final = {
    "auth_permission": Rights(_READ),
    "django_content_type": Rights(_READ),
    "django_admin_log": Rights(_ADD),
    # A trigger keeps the application from making superusers. Logins are disabled, not deleted: the
    # log of the console names them.
    "auth_user": Rights(("select", "insert", "update")),
    "auth_user_groups": Rights(_REPLACE),
    "auth_user_user_permissions": Rights(_REPLACE),
    "auth_group": Rights(VERBS),
    "auth_group_permissions": Rights(_REPLACE),
    "guardian_userobjectpermission": Rights(_REPLACE),
    "guardian_groupobjectpermission": Rights(_REPLACE),
    "django_session": Rights(VERBS),
    "django_migrations": Rights(_READ),
}
"""Tables whose models are not ours."""


class Command(migrate.Command):
    """Run as the owner; running it again changes nothing.

    A model declares the rights on its table: `application_rights = ("select", "insert")` makes it
    append-only for the application, and `permanent_columns` are not updated. A table that nothing
    declares can only be read.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate and grant.

        Raises CommandError for an old server, the application's login, or a database that another
        version of the platform has migrated: Django would skip files of the same name.
        """
        role = application_role()
        if fault := fault_of_version():
            raise CommandError(fault)
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            if cursor.fetchone()[0] == role:
                raise CommandError(
                    f"{role} is the application's own login: set DATABASE_OWNER_URL to the owner's"
                )
            if fault := fault_of_migrations(cursor):
                raise CommandError(
                    f"{fault}: run that version or a later one. A database of before the first "
                    "release must be made anew"
                )
        super().handle(*args, **options)
        if not options.get("plan") and not options.get("check_unapplied"):
            grant_rights(role)


def fault_of_version() -> str:
    """Why the server is too old for the platform; empty if it is not, or does not answer.

    Read over a connection without our options, since an older server refuses to connect with them.
    """
    parameters = connection.get_connection_params()
    kept = {name: parameters[name] for name in parameters if name not in _NOT_FOR_A_PLAIN_ONE}
    try:
        with psycopg.connect(**kept) as plain:
            major = plain.info.server_version // 10_000
    except psycopg.OperationalError:
        return ""
    if major >= OLDEST_POSTGRESQL:
        return ""
    return f"PostgreSQL {major} is too old: {OLDEST_POSTGRESQL} or later is needed"


def grant_rights(role: str) -> None:
    """Take every right of the role away and grant the declared ones, in one transaction; likewise
    those of the warehouse's login, if there is one.

    No other session sees it half done.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in (
            *_statements(role, columns_by_table(cursor)),
            *_of_functions(role, cursor),
            *_of_the_database(role, cursor),
            *_of_the_warehouse(cursor),
        ):
            cursor.execute(statement)


def _of_functions(role: str, cursor: Any) -> list[sql.Composed]:
    """Lets the application alone call the functions that run with their owner's rights."""
    cursor.execute(
        "SELECT proname, pg_get_function_identity_arguments(oid) FROM pg_proc "
        "WHERE pronamespace = 'public'::regnamespace AND prosecdef "
        "AND prorettype <> 'trigger'::regtype"
    )
    text = "GRANT EXECUTE ON FUNCTION public.{name}({arguments}) TO {role}"
    return [
        sql.SQL(text).format(
            name=sql.Identifier(name), arguments=sql.SQL(arguments), role=sql.Identifier(role)
        )
        for name, arguments in cursor.fetchall()
    ]


def _of_the_database(role: str, cursor: Any) -> list[sql.Composed]:
    """Lets no other login of the server connect, if this one owns the database."""
    cursor.execute(
        "SELECT datname, pg_has_role(datdba, 'USAGE') FROM pg_database "
        "WHERE datname = current_database()"
    )
    name, is_owner = cursor.fetchone()
    texts = (
        "REVOKE ALL ON DATABASE {name} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {name} TO {to}",
    )
    names = {"name": sql.Identifier(name), "to": sql.Identifier(role)}
    return [sql.SQL(text).format(**names) for text in texts if is_owner]


def _of_the_warehouse(cursor: Any) -> list[sql.Composed]:
    """Lets the login of warehouses read their views; it is optional, and may not be there.

    The schema is made by a migration: a database of before has none.
    """
    role = warehouse_role()
    cursor.execute(
        "SELECT current_database(), EXISTS (SELECT FROM pg_roles WHERE rolname = %s) "
        "AND to_regnamespace('warehouse') IS NOT NULL",
        [role],
    )
    database, is_there = cursor.fetchone()
    texts = (
        "REVOKE ALL ON ALL TABLES IN SCHEMA warehouse FROM {role}",
        "REVOKE ALL ON SCHEMA warehouse FROM {role}",
        "GRANT CONNECT ON DATABASE {database} TO {role}",
        "GRANT USAGE ON SCHEMA warehouse TO {role}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA warehouse TO {role}",
    )
    names = {"role": sql.Identifier(role), "database": sql.Identifier(database)}
    return [sql.SQL(text).format(**names) for text in texts if is_there]


def columns_by_table(cursor: Any) -> dict[str, list[str]]:
    """The tables as they are: a migration of before may lack columns that models declare.

    Without generated columns, which PostgreSQL alone writes, and without partitions: rights are
    granted on the table of which they are a part.
    """
    cursor.execute(
        "SELECT c.relname, array_agg(a.attname::text) FROM pg_class c "
        "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "AND a.attgenerated = '' "
        "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "AND NOT c.relispartition GROUP BY 1"
    )
    return dict(cursor.fetchall())


def declared_rights() -> dict[str, Rights]:
    """Rights by table, as our models and `OF_DJANGO` say."""
    declared = dict(OF_DJANGO)
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        if table in declared:
            continue
        verbs = tuple(getattr(model, "application_rights", _READ))
        if not set(verbs) <= set(VERBS):
            raise CommandError(f"{model.__name__}.application_rights may name {VERBS}")
        declared[table] = Rights(verbs, tuple(getattr(model, "permanent_columns", ())))
    return declared


def granted(tables: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, str]]:
    """Every declared right on these tables: table, verb, and the column of an update."""
    declared = declared_rights()
    keys = {
        model._meta.db_table: model._meta.pk.column
        for model in apps.get_models(include_auto_created=True)
    }
    for table, columns in sorted(tables.items()):
        rights = declared.get(table, Rights(_READ))
        for verb in rights.verbs:
            if verb != "update":
                yield table, verb, ""
                continue
            for column in columns:
                if column not in rights.permanent and column != keys.get(table):
                    yield table, verb, column


def _statements(role: str, tables: Mapping[str, Iterable[str]]) -> Iterator[sql.Composed]:
    to = sql.Identifier(role)
    for text in (
        "REVOKE ALL ON SCHEMA public FROM {role}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, {role}",
        "REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC, {role}",
        "GRANT USAGE ON SCHEMA public TO {role}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
    ):
        yield sql.SQL(text).format(role=to)
    by_table: dict[str, list[sql.Composed]] = {}
    for table, verb, column in granted(tables):
        right = "{verb} ({column})" if column else "{verb}"
        by_table.setdefault(table, []).append(
            sql.SQL(right).format(verb=sql.SQL(verb.upper()), column=sql.Identifier(column or "-"))
        )
    for table, rights in by_table.items():
        yield sql.SQL("GRANT {rights} ON TABLE public.{table} TO {role}").format(
            rights=sql.SQL(", ").join(rights), table=sql.Identifier(table), role=to
        )
