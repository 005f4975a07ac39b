"""Fixtures of the test database. Tests run as the application's role and really commit.

pytestmark = pytest.mark.usefixtures("database")
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

from paymentsite.tests import databases
from paymentsite.tests.kept_connections import KeptConnections, kept_connections

T = TypeVar("T")

# Caches of a process that must not outlive the rows they remember.
_FORGET = (
    ("ledger.services", "forget_known_accounts"),
    ("payments.api.authentication", "forget_cached_keys"),
)


class DatabaseUrls(NamedTuple):
    """Connection strings of this worker's test database, also in the environment meanwhile."""

    application: str
    owner: str


@pytest.fixture(scope="session")
def _turns() -> Iterator[psycopg.Connection[Any]]:
    with databases.owner_connection() as connection:
        yield connection


@pytest.fixture(scope="session")
def database_urls(
    _turns: psycopg.Connection[Any], django_db_blocker: Any
) -> Iterator[DatabaseUrls]:
    """This worker's database, migrated by the owner, and Django connected as the application."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"test_{os.environ['PAYMENTS_TEST_RUN']}_{worker}"
    before = {key: os.environ[key] for key in ("DATABASE_URL", "DATABASE_OWNER_URL")}
    with databases.turn(_turns), django_db_blocker.unblock():
        databases.create_from_template(name, migrate=_migrate)
    urls = DatabaseUrls(
        application=databases.url_of("DATABASE_URL", name),
        owner=databases.url_of("DATABASE_OWNER_URL", name),
    )
    settings = connections["default"].settings_dict
    main_name = settings["NAME"]
    settings["NAME"] = name
    os.environ |= {"DATABASE_URL": urls.application, "DATABASE_OWNER_URL": urls.owner}
    yield urls
    with django_db_blocker.unblock():
        connections.close_all()
    settings["NAME"] = main_name
    os.environ |= before
    databases.drop(name)


@pytest.fixture(scope="session")
def _kept(database_urls: DatabaseUrls, django_db_blocker: Any) -> Iterator[KeptConnections]:
    with kept_connections() as kept:
        yield kept
        with django_db_blocker.unblock():
            connections.close_all()


@pytest.fixture
def really_closed(_kept: KeptConnections) -> Iterator[None]:
    """What Django closes is closed: for tests that count the connections of the server."""
    _kept.close()
    _kept.are_kept = False
    yield
    _kept.are_kept = True


@pytest.fixture(scope="session")
def _tables(database_urls: DatabaseUrls) -> Iterator[databases.Tables]:
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        yield databases.Tables.of(connection)


@pytest.fixture(scope="session")
def django_db_setup(database_urls: DatabaseUrls) -> None:
    """In place of pytest-django's own, which would create a database as the application's role."""


@pytest.fixture(autouse=True)
def _turn(request: pytest.FixtureRequest) -> Iterator[None]:
    """Workers share one server: a test marked `alone` waits for the others, and they for it.

    For tests that look at what belongs to the whole server, such as transaction ids.
    """
    if "database_urls" not in request.fixturenames:
        yield
        return
    alone = request.node.get_closest_marker("alone") is not None
    with databases.turn(request.getfixturevalue("_turns"), alone=alone):
        yield


@pytest.fixture
def database(
    _tables: databases.Tables, _kept: KeptConnections, django_db_blocker: Any
) -> Iterator[None]:
    """Commits are real. Afterwards every row is gone that migrate did not write."""
    _forget()
    with django_db_blocker.unblock():
        yield
        connections.close_all()
    try:
        _tables.restore()
    except psycopg.errors.LockNotAvailable:
        pytest.fail("the test left a transaction open (a thread that did not end?)")


@pytest.fixture
def owner_cursor(database: None, database_urls: DatabaseUrls) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of the tables' owner, in autocommit mode."""
    with psycopg.connect(database_urls.owner, autocommit=True) as connection:
        with connection.cursor() as cursor:
            yield cursor


@pytest.fixture
def application_cursor(
    database: None, database_urls: DatabaseUrls
) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of the application's role, in autocommit mode: what `psql` would be allowed."""
    with psycopg.connect(database_urls.application, autocommit=True) as connection:
        with connection.cursor() as cursor:
            yield cursor


@pytest.fixture
def run_together(database: None) -> Callable[..., list[Any]]:
    """Call functions at the same moment, each in a thread with a connection of its own.

    Returns what each returned, or the exception that it raised, in order.
    """
    return _run_together


def _run_together(
    *functions: Callable[[], T], within_seconds: float = 60
) -> list[T | BaseException]:
    barrier = threading.Barrier(len(functions))
    results: list[Any] = [TimeoutError("the thread did not end")] * len(functions)

    def call(position: int) -> None:
        try:
            barrier.wait(within_seconds)
            results[position] = functions[position]()
        except BaseException as error:  # noqa: BLE001  (handed to the test, which judges it)
            results[position] = error
        finally:
            connections.close_all()

    threads = [
        threading.Thread(target=call, args=(position,), daemon=True)
        for position in range(len(functions))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within_seconds)
    return results


def _migrate(name: str) -> None:
    """Migrate and grant as the owner, through Django's connection, then close it."""
    owner = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_OWNER_URL"])
    connection = connections["default"]
    application = dict(connection.settings_dict)
    connection.settings_dict |= {
        "NAME": name,
        "USER": owner["user"],
        "PASSWORD": owner.get("password") or "",
        "OPTIONS": {},
    }
    try:
        call_command("migrate", verbosity=0, interactive=False)
        call_command("grant_application_rights", verbosity=0)
    finally:
        connection.close()
        connection.settings_dict |= application


def _forget() -> None:
    for module_name, function_name in _FORGET:
        if importlib.util.find_spec(module_name) is None:
            continue
        forget = getattr(importlib.import_module(module_name), function_name, None)
        if forget is not None:
            forget()
