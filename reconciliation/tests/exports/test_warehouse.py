"""The warehouse's login reads its views and nothing else, and its cursor misses no change."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connections, transaction
from psycopg import sql

from ledger.tests.books import book, sale, settle, usd
from payments import public_ids
from payments.clock import now_utc
from payments.models import PaymentIntent
from payments.tests.support.shop import Shop, body_of
from reconciliation.tests.support.banking import Banking
from reconciliation.tests.support.business_day import play_business_day

VIEWS = {
    "disputes": "dispute",
    "events": "event",
    "ledger_entries": "entry",
    "payments": "payment",
    "payouts": "line",
    "refunds": "refund",
    "settlement_lines": "line",
}
"""By view, the column that names a row."""
_REFUSALS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ObjectNotInPrerequisiteState,  # a view that cannot be written
)
PRIVATE = ("email", "client_secret", "token", "payload", "metadata", "description", "shipping")


@pytest.fixture
def warehouse(database: None, database_urls: Any) -> Iterator[psycopg.Connection[Any]]:
    """A connection of the warehouse's login."""
    given = os.environ.get("WAREHOUSE_URL")
    if not given:
        pytest.skip("WAREHOUSE_URL is not set: this server is not the launcher's")
    name = psycopg.conninfo.conninfo_to_dict(database_urls.application)["dbname"]
    url = psycopg.conninfo.make_conninfo(given, dbname=name)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def read(
    warehouse: psycopg.Connection[Any], view: str, after: int = 0
) -> list[tuple[int, Any, tuple[Any, ...]]]:
    """What a warehouse asks for: cursor, key and whole row of what changed after a cursor."""
    query = sql.SQL("SELECT cursor, {key}, v FROM warehouse.{view} AS v WHERE cursor > %s")
    named = query.format(key=sql.Identifier(VIEWS[view]), view=sql.Identifier(view))
    return [(int(row[0]), row[1], row[2]) for row in warehouse.execute(named, [after])]


def test_its_login_reads_the_views_and_nothing_else(
    warehouse: psycopg.Connection[Any], banking: Banking, other_shop: Shop
) -> None:
    play_business_day(banking, other_shop)
    settle()
    for view in VIEWS:
        assert read(warehouse, view), view
    columns = warehouse.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'warehouse'"
    ).fetchall()
    assert {table for table, _ in columns} == {*VIEWS, "horizon"}
    assert [name for _, name in columns if name in PRIVATE or "name" in name] == []
    for refused in (
        "SELECT 1 FROM public.payments_payment_intent",
        "SELECT 1 FROM public.ledger_entry",
        "SELECT public.ledger_announce_ids()",
        "DELETE FROM warehouse.payments",
        "INSERT INTO warehouse.horizon VALUES (1, 1)",
        "CREATE TABLE warehouse.mine ()",
        "CREATE TABLE public.mine ()",
    ):
        with pytest.raises(_REFUSALS):
            warehouse.execute(refused)


def test_no_other_login_reads_the_views(application_cursor: psycopg.Cursor[Any]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        application_cursor.execute("SELECT 1 FROM warehouse.payments")


def test_ids_are_those_of_the_api(warehouse: psycopg.Connection[Any]) -> None:
    ids = [public_ids.new_id() for _ in range(20)]
    ids += [type(ids[0])(int=number) for number in (0, 1, 61, 62, 62**10, 62**20, (1 << 128) - 1)]
    for identifier in ids:
        [(shown,)] = warehouse.execute("SELECT warehouse.public_id('pi', %s)", [identifier])
        assert shown == public_ids.encode("pi", identifier)
    moment = now_utc()
    [(first,)] = warehouse.execute("SELECT warehouse.first_id_since(%s)", [moment])
    assert public_ids.created_at_of(first) == moment.replace(
        microsecond=moment.microsecond // 1000 * 1000
    )


def test_a_row_is_not_shown_while_an_older_transaction_is_under_way(
    warehouse: psycopg.Connection[Any], run_together: Callable[..., list[Any]]
) -> None:
    book(*sale(usd(3)))
    settle()
    [before, *_] = {cursor for cursor, _, _ in read(warehouse, "ledger_entries")}
    with transaction.atomic():
        book(*sale(usd(1)))
        [[_, *_]] = run_together(lambda: book(*sale(usd(2))))
        assert read(warehouse, "ledger_entries", before) == [], (
            "or the reader's cursor would pass the first"
        )
    settle()
    seen = read(warehouse, "ledger_entries", before)
    assert len(seen) == 12
    assert read(warehouse, "ledger_entries", max(cursor for cursor, _, _ in seen)) == []


def test_a_reader_misses_nothing_of_many_writers(
    warehouse: psycopg.Connection[Any], shop: Shop, run_together: Callable[..., list[Any]]
) -> None:
    intent_id = body_of(shop.create())["id"]
    stop = threading.Event()
    entries: dict[Any, tuple[Any, ...]] = {}
    payments: dict[Any, tuple[Any, ...]] = {}

    def write(seed: int) -> None:
        chance = random.Random(seed)
        for number in range(12):
            with transaction.atomic():
                book(*sale(usd(1 + number)))
                time.sleep(chance.random() / 50)
                if chance.random() < 0.2:
                    transaction.set_rollback(True)
            PaymentIntent.objects.filter(pk=shop.intent(intent_id).pk).update(
                updated_at=now_utc() + timedelta(seconds=number)
            )
        connections.close_all()

    def follow(view: str, seen: dict[Any, tuple[Any, ...]]) -> None:
        last = 0
        is_last_round = False
        while not is_last_round:
            is_last_round = stop.is_set()
            for cursor, key, row in sorted(read(warehouse, view, last), key=lambda each: each[:2]):
                seen[key] = row
                last = max(last, cursor)

    def write_all() -> None:
        inner = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
        for each in inner:
            each.start()
        for each in inner:
            each.join()
        settle()
        stop.set()

    results = run_together(
        write_all, lambda: follow("ledger_entries", entries), lambda: follow("payments", payments)
    )
    assert results == [None, None, None]
    assert entries == {key: row for _, key, row in read(warehouse, "ledger_entries")}
    assert payments == {key: row for _, key, row in read(warehouse, "payments")}
    assert len(entries) > 100
