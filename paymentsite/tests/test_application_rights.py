"""The application's login has the rights that are declared, column by column, and no others."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import Error, ProgrammingError, connection, transaction
from psycopg import sql

from payments.services.commands.operators.staff import make_superuser
from payments.tests.support.factories import TESTS
from paymentsite.environment import application_role, warehouse_role
from paymentsite.management.commands.migrate import (
    VERBS,
    columns_by_table,
    declared_rights,
    granted,
)
from paymentsite.tests.fixtures import databases

pytestmark = pytest.mark.usefixtures("database")

_TRY = {
    "select": "SELECT 1 FROM {table} WHERE false",
    "insert": "INSERT INTO {table} ({column}) SELECT {column} FROM {table} WHERE false",
    "update": "UPDATE {table} SET {column} = {column} WHERE false",
    "delete": "DELETE FROM {table} WHERE false",
    "truncate": "TRUNCATE {table}",
}


def _may(table: str, verb: str, column: str = "-") -> bool:
    statement = sql.SQL(_TRY[verb]).format(
        table=sql.Identifier(table), column=sql.Identifier(column)
    )
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    except ProgrammingError as error:
        if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            return False
        raise
    return True


def test_each_right_on_each_table_and_column_is_declared_or_refused() -> None:
    with connection.cursor() as cursor:
        tables = columns_by_table(cursor)
    declared = set(granted(tables))
    assert {table for table, _, _ in declared} == set(tables)
    found = {(table, verb, "") for table in tables for verb in _TRY if verb != "update"}
    found |= {(table, "update", column) for table in tables for column in tables[table]}
    assert {
        right for right in found if _may(*right[:2], right[2] or tables[right[0]][0])
    } == declared


def test_declared_columns_exist_and_every_model_of_ours_declares_its_rights() -> None:
    declared = declared_rights()
    for model in apps.get_models(include_auto_created=True):
        columns = {field.column for field in model._meta.concrete_fields}
        rights = declared[model._meta.db_table]
        assert set(rights.permanent) <= columns, model.__name__
        assert set(rights.verbs) <= set(VERBS)
        ours = model._meta.app_label in ("ledger", "payments", "reconciliation", "paymentsite")
        assert hasattr(model, "application_rights") or not ours, model.__name__


def test_columns_that_a_trigger_keeps_are_not_granted_either(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    owner_cursor.execute(
        "SELECT t.tgrelid::regclass::text, a.attname FROM pg_trigger t "
        "JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr) "
        "WHERE t.tgname = 'permanent_columns'"
    )
    kept = owner_cursor.fetchall()
    assert ("payments_operation", "amount_minor") in kept
    assert [each for each in kept if _may(each[0], "update", each[1])] == []


@pytest.mark.parametrize(
    ("table", "verb", "column"),
    [
        ("ledger_entry", "update", "amount_minor"),
        ("payments_operation", "update", "amount_minor"),
        ("payments_refund", "update", "amount_minor"),
        ("payments_dispute", "update", "amount_minor"),
        ("payments_payment_intent", "update", "merchant_id"),
        ("payments_payment_intent", "delete", "-"),
        ("payments_api_key", "update", "secret_sha256"),
        ("django_admin_log", "update", "change_message"),
        ("django_admin_log", "delete", "-"),
        ("auth_user", "delete", "-"),
    ],
)
def test_what_must_never_change_is_refused(table: str, verb: str, column: str) -> None:
    assert not _may(table, verb, column)


def test_no_other_login_may_connect_to_a_migrated_database(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    owner_cursor.execute(
        "SELECT grantee::regrole::text, privilege_type FROM pg_database, aclexplode(datacl) "
        "WHERE datname = %s AND grantee <> datdba",
        [databases.template_name()],
    )
    logins = {application_role(), warehouse_role()}
    assert set(owner_cursor.fetchall()) <= {(login, "CONNECT") for login in logins}


def test_only_the_owners_login_makes_a_superuser(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create(username="ada", is_staff=True)
    with pytest.raises(Error, match="superusers_are_made_by_the_owner"), transaction.atomic():
        User.objects.create(username="eve", is_superuser=True)
    with pytest.raises(Error, match="superusers_are_made_by_the_owner"), transaction.atomic():
        User.objects.update(is_superuser=True)
    with monkeypatch.context() as without_owner, pytest.raises(CommandError, match="OWNER_URL"):
        without_owner.delenv("DATABASE_OWNER_URL")
        call_command("staff", "superuser", "ada")
    assert list(User.objects.values_list("username", "is_superuser")) == [("ada", False)]

    make_superuser(user, author=TESTS)
    user.last_name = "Lovelace"
    user.save()  # as the console does, with every column
    assert User.objects.get().is_superuser
    assert not LogEntry.objects.exists()


def test_the_application_cannot_grant_itself_anything() -> None:
    with pytest.raises(CommandError, match="set DATABASE_OWNER_URL"):
        call_command("migrate", verbosity=0)
