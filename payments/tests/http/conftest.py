"""A real API server and merchants with keys.

The server keeps what it once read of its database, so the database is its own and is never emptied:
tests are kept apart by merchants and orders of their own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
import stripe
from django.conf import settings
from django.db import connections

from ledger.services import forget_known_accounts
from payments.models import Merchant
from payments.services.commands.operators import merchants
from payments.tests.http.support.servers import WEBHOOK_SECRET, ApiServer, variables_of
from payments.tests.http.support.storefront import Storefront, Tables
from payments.tests.support.factories import TESTS, sandbox_account
from paymentsite.tests.fixtures import databases
from paymentsite.tests.fixtures.described_answers import check_answer
from psp_adapters.tests.support.sandbox_process import SandboxProcess

_NEVER_LOGGED = (
    *("answered with 500", "panicked", "outlived its request"),
    *("sk_test_", "client_secret"),
)


class ServerDatabase(NamedTuple):
    """The database behind the server."""

    name: str
    application_url: str
    owner_url: str


@pytest.fixture(scope="session")
def server_database(database_urls: Any, django_db_blocker: Any) -> Iterator[ServerDatabase]:
    """A copy of the migrated template for the server alone."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    name = f"test_{os.environ['PAYMENTS_TEST_RUN']}_{worker}_http"
    databases.create_from_template(name, migrate=_template_is_missing)
    yield ServerDatabase(
        name,
        databases.url_of("DATABASE_URL", name),
        databases.url_of("DATABASE_OWNER_URL", name),
    )
    databases.drop(name)


@pytest.fixture(scope="session")
def server(
    server_database: ServerDatabase,
    sandbox_psp: SandboxProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApiServer]:
    """The API: granian with its workers, as the launcher starts it.

    Whatever the tests did to it, it never failed by itself, and nothing secret is in its log.
    """
    folder: Path = tmp_path_factory.mktemp("api")
    server = ApiServer(folder, variables_of(server_database.application_url))
    server.start()
    yield server
    server.stop()
    log = server.log_file.read_text()
    for never in (
        "answered with 500",
        "panicked",
        "outlived its request",
        "sk_test_",
        "client_secret",
    ):
        assert never not in log, f"{never!r} is in {server.log_file}"


@pytest.fixture(scope="session", autouse=True)
def notifications_are_signed(sandbox_psp: SandboxProcess) -> Iterator[None]:
    """The account at the sandbox PSP is made with the secret of these tests."""
    credentials = settings.SANDBOX_PSP_CREDENTIALS
    before, credentials["webhook_secrets"] = credentials["webhook_secrets"], WEBHOOK_SECRET
    yield
    credentials["webhook_secrets"] = before


@pytest.fixture(scope="session", autouse=True)
def answers_to_the_sdk_are_as_described() -> Iterator[None]:
    """Check each answer that the official Python SDK receives, the demo's included."""
    receive = stripe.RequestsClient.request

    def request(self: Any, method: str, url: str, *given: Any, **named: Any) -> Any:
        answer = receive(self, method, url, *given, **named)
        check_answer(method, urlsplit(url).path, answer[1], answer[0])
        return answer

    stripe.RequestsClient.request = request  # type: ignore[method-assign]
    yield
    stripe.RequestsClient.request = receive  # type: ignore[method-assign]


@pytest.fixture
def same_database(server_database: ServerDatabase, django_db_blocker: Any) -> Iterator[None]:
    """Let Django in this process look into the server's database, as the application."""
    settings = connections["default"].settings_dict
    before = settings["NAME"]
    forget_known_accounts()
    with django_db_blocker.unblock():
        connections.close_all()
        settings["NAME"] = server_database.name
        yield
        connections.close_all()
        settings["NAME"] = before
    forget_known_accounts()


@pytest.fixture
def open_storefront(
    server: ApiServer, sandbox_psp: SandboxProcess, same_database: None
) -> Iterator[Callable[..., Storefront]]:
    """Make a merchant with a key; the settings of the merchant are keyword arguments."""

    def open_one(**settings: Any) -> Storefront:
        account = sandbox_account()
        # Not by the command, whose validation took a third of the time of a short test.
        merchant = Merchant.objects.create(name="Storefront", test_psp_account=account, **settings)
        _, secret_key = merchants.issue_api_key(merchant=merchant, livemode=False, author=TESTS)
        return Storefront(server, sandbox_psp, merchant, secret_key)

    yield open_one
    sandbox_psp.heal()


@pytest.fixture
def storefront(open_storefront: Callable[..., Storefront]) -> Storefront:
    """A merchant with the settings that every merchant starts with."""
    return open_storefront()


@pytest.fixture
def other_storefront(open_storefront: Callable[..., Storefront]) -> Storefront:
    """Another merchant at the same PSP."""
    return open_storefront()


@pytest.fixture(scope="session")
def tables(server_database: ServerDatabase) -> Iterator[Tables]:
    """What is written, counted."""
    with psycopg.connect(server_database.owner_url, autocommit=True) as connection:
        yield Tables(connection)


def _template_is_missing(name: str) -> None:
    raise AssertionError(f"{name} was made by the fixture that ran before")
