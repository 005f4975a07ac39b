"""Each fault of an installation is one line that says what to do, and the command fails."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from payments.tests.support.factories import MerchantFactory, PspAccountFactory, set_credentials
from paymentsite.environment import application_role
from paymentsite.management.commands import migrate
from paymentsite.management.commands.check_installation import installation_faults
from paymentsite.tests.fixtures.database_fixtures import DatabaseUrls

pytestmark = pytest.mark.usefixtures("database")


def test_a_sound_installation_has_no_fault_and_says_so() -> None:
    out = StringIO()
    call_command("check_installation", stdout=out)
    assert out.getvalue() == "everything that this installation needs is in place\n"


def test_faults_are_one_line_each_and_end_the_command(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1"
    out = StringIO()
    with pytest.raises(CommandError, match="1 faults: this installation cannot take payments"):
        call_command("check_installation", stderr=out)
    assert out.getvalue() == "  !! Redis at REDIS_URL does not answer: ConnectionError\n"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SECRET_KEY", "short", "SECRET_KEY is short or published"),
        ("SECRET_KEY", "development-only-key-that-signs-nothing-of-value" * 2, "SECRET_KEY"),
        ("PUBLIC_BASE_URL", "http://pay.example.com", "PUBLIC_BASE_URL is not the https address"),
        ("METRICS_TOKEN", "", "METRICS_TOKEN is not set"),
        ("PUBLIC_BASE_URL", "https://*.example.com", "PUBLIC_BASE_URL is not the https address"),
    ],
)
def test_settings_for_development_are_refused_in_production(
    settings: Any, name: str, value: str, said: str
) -> None:
    settings.IN_DEVELOPMENT = False
    settings.SECRET_KEY = "a-random-text-of-more-than-fifty-characters-0123456789"
    settings.PUBLIC_BASE_URL = "https://pay.example.com"
    settings.METRICS_TOKEN = "a token that is hard to guess"
    assert list(installation_faults()) == []
    setattr(settings, name, value)
    [fault] = installation_faults()
    assert fault.startswith(said)


def test_a_missing_right_is_named_with_its_remedy(owner_cursor: psycopg.Cursor[Any]) -> None:
    owner_cursor.execute(f"REVOKE INSERT ON payments_customer FROM {application_role()}")
    try:
        [fault] = installation_faults()
    finally:
        owner_cursor.execute(f"GRANT INSERT ON payments_customer TO {application_role()}")
    assert fault.startswith("rights are missing on 1 tables, such as insert of payments_customer: ")
    assert "run manage.py migrate with DATABASE_ROLE=owner" in fault


@pytest.mark.parametrize(
    ("right", "said"),
    [
        (
            "UPDATE (amount_minor) ON payments_operation",
            "update of payments_operation.amount_minor",
        ),
        ("DELETE ON django_admin_log", "delete of django_admin_log"),
    ],
)
def test_a_right_beyond_the_declared_ones_is_named(
    owner_cursor: psycopg.Cursor[Any], right: str, said: str
) -> None:
    owner_cursor.execute(f"GRANT {right} TO {application_role()}")
    try:
        [fault] = installation_faults()
    finally:
        owner_cursor.execute(f"REVOKE {right} FROM {application_role()}")
    assert f"more rights than it needs on 1 tables, such as {said}: " in fault


def test_before_the_first_grant_rights_are_the_only_fault(
    owner_cursor: psycopg.Cursor[Any],
) -> None:
    owner_cursor.execute(f"REVOKE SELECT ON django_migrations FROM {application_role()}")
    try:
        [fault] = installation_faults()
    finally:
        owner_cursor.execute(f"GRANT SELECT ON django_migrations TO {application_role()}")
    assert fault.startswith("rights are missing on 1 tables, such as select of django_migrations")


def test_a_migration_that_is_not_applied_is_named(owner_cursor: psycopg.Cursor[Any]) -> None:
    newest = "0003_support_lead"
    named = "app = 'paymentsite' AND name = %s"
    owner_cursor.execute(f"DELETE FROM django_migrations WHERE {named}", [newest])
    try:
        [fault] = installation_faults()
    finally:
        owner_cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('paymentsite', %s, now())",
            [newest],
        )
    assert fault.startswith(f"1 migrations are not applied, from paymentsite.{newest} on")


def test_a_login_that_owns_tables_is_refused(database_urls: DatabaseUrls) -> None:
    owner = urlsplit(database_urls.owner)
    before = {name: connection.settings_dict[name] for name in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict.update({"USER": owner.username, "PASSWORD": owner.password or ""})
    try:
        [fault] = installation_faults()
    finally:
        connection.close()
        connection.settings_dict.update(before)
    assert fault.startswith("the login of DATABASE_URL is a superuser or owns tables")


def test_only_accounts_in_use_need_credentials() -> None:
    account = PspAccountFactory.create(code="unset", status="paused", sealed_credentials="")
    assert list(installation_faults()) == []
    MerchantFactory.create(test_psp_account=account)
    assert list(installation_faults()) == [
        "the PSP account unset cannot be used: it has no credentials; see manage.py psp_accounts "
        "change unset"
    ]
    set_credentials(account, api_key="sandbox_hidden")
    [fault] = installation_faults()
    assert fault.startswith("the PSP account unset cannot be used: sandbox: base_url is missing")
    assert "hidden" not in fault
    set_credentials(account, base_url="http://127.0.0.1:1")
    assert list(installation_faults()) == []


def test_a_server_that_is_too_old_for_our_session_settings_is_named_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migrate, "OLDEST_POSTGRESQL", 99)
    connection.close()
    options = connection.settings_dict["OPTIONS"]
    # As an older server answers: it does not know one of the parameters.
    monkeypatch.setitem(options, "options", f"{options['options']} -c unknown_timeout=1")
    [fault] = installation_faults()
    with pytest.raises(CommandError) as refused:
        call_command("migrate")
    assert fault == str(refused.value)
    assert re.fullmatch(r"PostgreSQL \d\d is too old: 99 or later is needed", fault)


def test_a_database_out_of_reach_is_the_only_fault_of_the_database() -> None:
    connection.close()
    port, connection.settings_dict["PORT"] = connection.settings_dict["PORT"], "1"
    try:
        [fault] = installation_faults()
    finally:
        connection.close()
        connection.settings_dict["PORT"] = port
    assert fault.startswith("the database of DATABASE_URL does not answer: ")
