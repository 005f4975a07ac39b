"""A database of another version of the platform is refused before anything is done in it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from paymentsite.launcher import embedded, state
from paymentsite.launcher.migration_check import require_known_migrations
from paymentsite.launcher.progress import LauncherError
from paymentsite.tests.fixtures.database_fixtures import DatabaseUrls

RECORD = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"
FORGET = "DELETE FROM django_migrations WHERE name = %s"


@pytest.fixture
def recorded(owner_cursor: psycopg.Cursor[Any]) -> Any:
    """Records migrations as applied until the test ends."""
    names: list[str] = []

    def record(app: str, name: str) -> None:
        owner_cursor.execute(RECORD, [app, name])
        names.append(name)

    yield record
    for name in names:
        owner_cursor.execute(FORGET, [name])


def test_a_database_of_this_version_is_taken(database_urls: DatabaseUrls) -> None:
    require_known_migrations(database_urls.owner, remedy="make it anew")


def test_an_empty_database_is_taken() -> None:
    require_known_migrations(os.environ["DATABASE_OWNER_URL"], remedy="make it anew")


def test_an_unreachable_server_is_not_reported_by_this_check() -> None:
    require_known_migrations("postgresql://owner@127.0.0.1:1/none", remedy="make it anew")


def test_migrations_of_libraries_may_be_unknown(recorded: Any, database_urls: DatabaseUrls) -> None:
    recorded("a_library", "0099_of_its_own")
    require_known_migrations(database_urls.owner, remedy="make it anew")


@pytest.mark.parametrize("app", ["ledger", "payments", "paymentsite", "reconciliation"])
def test_a_migration_that_is_not_on_disk_is_named_with_what_to_do(
    app: str, recorded: Any, database_urls: DatabaseUrls
) -> None:
    recorded(app, "0098_of_another_version")
    recorded(app, "0099_of_another_version")
    with pytest.raises(LauncherError) as refusal:
        require_known_migrations(database_urls.owner, remedy="create an empty database")
    assert str(refusal.value) == (
        f"this database was made by another version of the platform (unknown migrations: "
        f"{app}.0098_of_another_version and 1 more) and must be made anew: "
        "create an empty database"
    )


def test_migrate_refuses_a_database_of_before_the_migrations_were_written_anew(
    recorded: Any, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each such database has the roles of a migration of their own."""
    recorded("paymentsite", "0002_roles")
    owner = urlsplit(database_urls.owner)
    connection.close()
    with monkeypatch.context() as as_owner:
        as_owner.setitem(connection.settings_dict, "USER", owner.username)
        as_owner.setitem(connection.settings_dict, "PASSWORD", owner.password or "")
        with pytest.raises(CommandError) as refusal:
            call_command("migrate", verbosity=0)
        connection.close()
    assert str(refusal.value) == (
        "this database was made by another version of the platform (unknown migrations: "
        "paymentsite.0002_roles): run that version or a later one. A database of before the first "
        "release must be made anew"
    )


def test_run_refuses_a_given_database_of_another_version(
    recorded: Any, database_urls: DatabaseUrls
) -> None:
    recorded("payments", "0099_of_another_version")
    done = subprocess.run(
        [sys.executable, "-m", "paymentsite.launcher", "run", "--", "true"],
        cwd=state.PROJECT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith(
        "made anew: create an empty database and set DATABASE_URL and DATABASE_OWNER_URL to it"
    )


def test_an_embedded_database_of_another_version_is_refused_with_the_folder_to_remove(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        monkeypatch.delenv(name)
    with state.fresh_folder("run-") as folder:
        with embedded.services(folder, durable=False) as (variables, _):
            with psycopg.connect(variables["DATABASE_OWNER_URL"]) as owner:
                owner.execute("CREATE TABLE django_migrations (app text, name text)")
                owner.execute(
                    "INSERT INTO django_migrations VALUES ('payments', '0099_of_another_version')"
                )
        with pytest.raises(LauncherError, match=f"made anew: remove {folder}"):
            with embedded.services(folder, durable=False):
                pytest.fail("it was started")
