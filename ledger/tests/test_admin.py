"""The books in the admin: everything is visible and found by id, nothing can be changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from ledger import admin, chart
from ledger.models import LedgerEntry, LedgerTransaction
from ledger.tests.books import PSP, book, sale, settle_and_snapshot, usd

PAGES = ("ledgeraccount", "ledgertransaction", "ledgerentry", "balancesnapshot")


@pytest.fixture
def client(database: None, owner_cursor: psycopg.Cursor[Any]) -> Client:
    client = Client()
    # Without a password: hashing one takes longer than the test.
    auditor = User.objects.create(username="auditor", is_staff=True)
    owner_cursor.execute("UPDATE auth_user SET is_superuser = true")
    client.force_login(auditor)
    return client


@pytest.mark.parametrize("page", PAGES)
def test_every_table_of_the_books_can_be_read(client: Client, page: str) -> None:
    book(*sale(usd(1234)))
    settle_and_snapshot()
    assert client.get(f"/admin/ledger/{page}/").status_code == 200


def test_a_transaction_shows_its_entries(client: Client) -> None:
    [id, *_] = book(*sale(usd(1234)))
    answer = client.get(f"/admin/ledger/ledgertransaction/{id}/change/")
    assert answer.status_code == 200
    assert answer.content.decode().count("12.34 USD") == 2


def test_an_entry_has_no_page_of_its_own_for_no_index_finds_it(client: Client) -> None:
    book(*sale(usd(1234)))
    entry = LedgerEntry.objects.latest("pk")
    answer = client.get(f"/admin/ledger/ledgerentry/{entry.pk}/change/")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/ledger/ledgerentry/")
    listed = client.get(answer["Location"]).content.decode()
    assert f"/admin/ledger/ledgertransaction/{entry.transaction_id}/change/" in listed


def test_an_account_shows_its_balance(client: Client) -> None:
    book(*sale(usd(1234)))
    id = chart.PSP_RECEIVABLE.of(PSP, "USD").id
    assert "12.34 USD" in client.get(f"/admin/ledger/ledgeraccount/{id}/change/").content.decode()


@pytest.mark.parametrize("page", PAGES)
def test_not_even_a_superuser_writes_the_books(client: Client, page: str) -> None:
    [id, *_] = book(*sale(usd(1234)))
    assert client.get(f"/admin/ledger/{page}/add/").status_code == 403
    assert client.post(f"/admin/ledger/{page}/add/", {}).status_code == 403
    if page == "ledgertransaction":
        assert client.post(f"/admin/ledger/{page}/{id}/change/", {"rule": "x"}).status_code == 403
        assert client.post(f"/admin/ledger/{page}/{id}/delete/", {"post": "yes"}).status_code == 403
    assert LedgerTransaction.objects.filter(rule="authorized").count() == 1
    assert LedgerTransaction.objects.count() == 3


@pytest.mark.parametrize(
    ("page", "chosen"),
    [("ledgertransaction", {"psp_account": PSP}), ("ledgerentry", {"currency": "USD"})],
)
def test_a_list_of_the_books_neither_counts_its_table_nor_reads_its_values(
    client: Client, page: str, chosen: dict[str, str]
) -> None:
    book(*sale(usd(1234)))
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(f"/admin/ledger/{page}/", chosen)
    assert answer.status_code == 200
    statements = [each["sql"] for each in queries if f'FROM "ledger_{page[6:]}"' in each["sql"]]
    assert statements
    assert not [each for each in statements if "COUNT(" in each or "DISTINCT" in each]


@pytest.mark.parametrize("page", ["ledgertransaction", "ledgerentry"])
def test_the_books_of_a_payment_are_found_by_its_id(client: Client, page: str) -> None:
    payment_id = uuid7()
    book(*sale(usd(1111)), payment_id=payment_id)
    book(*sale(usd(2222)), payment_id=uuid7())
    model = {"ledgertransaction": LedgerTransaction, "ledgerentry": LedgerEntry}[page]
    found = client.get(f"/admin/ledger/{page}/", {"q": f" {payment_id} "}).context["cl"].queryset
    assert set(found) == set(model.objects.filter(payment_id=payment_id))
    nothing = client.get(f"/admin/ledger/{page}/", {"q": "no id at all"}).context["cl"].queryset
    assert list(nothing) == []


def test_a_transaction_is_found_by_its_source(client: Client) -> None:
    source_id = uuid7()
    ids = book(*sale(usd(1111)), source_id=source_id)
    book(*sale(usd(2222)))
    answer = client.get("/admin/ledger/ledgertransaction/", {"q": str(source_id)})
    assert {row.id for row in answer.context["cl"].queryset} == set(ids)


def test_another_app_can_teach_the_search_its_ids(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = uuid7()

    def read(text: str) -> UUID | None:
        return UUID(text.removeprefix("pay_")) if text.startswith("pay_") else None

    monkeypatch.setattr(admin, "ID_READERS", [*admin.ID_READERS, read])
    book(*sale(usd(1111)), payment_id=payment_id)
    answer = client.get("/admin/ledger/ledgertransaction/", {"q": f"pay_{payment_id.hex}"})
    assert answer.context["cl"].queryset.count() == 3
