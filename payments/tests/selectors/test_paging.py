"""A reader who goes on from the newest id that it has seen misses no row, whatever commits when."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from payments import public_ids
from payments.selectors import balance, customers, disputes, events, payments
from payments.selectors.paging import Page, Paging
from payments.selectors.scope import Scope
from payments.services.callers.caller import CommandRequest
from payments.services.commands.customers import CustomerDetails, create_customer
from payments.services.commands.payment_methods import MethodDetails, create_payment_method
from payments.services.merchant_webhooks.endpoints import (
    EndpointDetails,
    create_endpoint,
    delete_endpoint,
)
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop, body_of
from paymentsite.tests.fixtures.matrix import examples

pytestmark = pytest.mark.usefixtures("loopback")

List = Callable[[Scope, Paging], Page[Any]]
Writer = Callable[[Shop], object]

HOLD_THE_FIRST: Final = """
    CREATE SEQUENCE held_commits; GRANT USAGE ON SEQUENCE held_commits TO PUBLIC;
    CREATE FUNCTION hold_first_commit() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('held_commits') = 1 THEN PERFORM pg_advisory_xact_lock(4711); END IF;
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER hold_first_commit AFTER INSERT ON {table}
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_first_commit()"""
RELEASE: Final = """
    DROP TRIGGER hold_first_commit ON {table};
    DROP FUNCTION hold_first_commit();
    DROP SEQUENCE held_commits"""
# In this database: other processes run the same tests in others of the same server.
WAITING: Final = """
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def pay(shop: Shop) -> object:
    """A captured payment of an order of its own."""
    return shop.create(order_id=f"order-{uuid.uuid4().hex}")


def new_intent(shop: Shop) -> object:
    return shop.create(order_id="", confirm=False)


def refund(shop: Shop) -> object:
    """A refund of a payment that is made for it."""
    intent_id = body_of(shop.create(order_id=f"order-{uuid.uuid4().hex}"))["id"]
    return shop.refund(intent_id, 1)


def new_customer(shop: Shop) -> object:
    return create_customer(CommandRequest(shop.caller()), details=CustomerDetails(name="Ada"))


def new_payment_method(shop: Shop) -> object:
    request: CommandRequest[Any] = CommandRequest(shop.caller())
    return create_payment_method(
        request, method_type="card", token="pm_card_visa", details=MethodDetails()
    )


def new_endpoint(shop: Shop) -> object:
    request: CommandRequest[Any] = CommandRequest(shop.caller())
    details = EndpointDetails(url="http://127.0.0.1:9999/hook", enabled_events=["*"])
    return create_endpoint(request, details=details, api_version="2026-02-25.clover").row


def disputed(shop: Shop) -> object:
    """A dispute of a payment that is made for it."""
    order_id = f"order-{uuid.uuid4().hex}"
    shop.create(order_id=order_id)
    return Desk(shop).sync(shop.psp.open_dispute(order_id=order_id)["id"])


LISTS: Final[dict[str, tuple[str, Writer, List]]] = {
    "payment_intents": ("payments_payment_intent", new_intent, payments.page_of_intents),
    "charges": ("payments_operation", pay, payments.page_of_charges),
    "refunds": ("payments_refund", refund, payments.page_of_refunds),
    "customers": ("payments_customer", new_customer, customers.page_of_customers),
    "payment_methods": (
        "payments_payment_method",
        new_payment_method,
        customers.page_of_payment_methods,
    ),
    "events": ("payments_event", new_customer, events.page_of_events),
    "webhook_endpoints": (
        "payments_webhook_endpoint",
        new_endpoint,
        events.page_of_webhook_endpoints,
    ),
    "disputes": ("payments_dispute", disputed, disputes.page_of_disputes),
    "balance_transactions": (
        "ledger_transaction",
        pay,
        balance.page_of_balance_transactions,
    ),
}
PREFIXES: Final = {
    "payment_intents": "pi",
    "charges": "ch",
    "refunds": "re",
    "customers": "cus",
    "payment_methods": "pm",
    "events": "evt",
    "webhook_endpoints": "we",
    "disputes": "dp",
    "balance_transactions": "txn",
}


def scope_of(shop: Shop) -> Scope:
    return Scope(shop.merchant.id, livemode=False)


def ids_of(page: Page[Any]) -> list[UUID]:
    return [row.id for row in page.rows]


def newer_than(shop: Shop, name: str, cursor: UUID) -> list[UUID]:
    """Go on from a cursor to the newest row, page by page; the ids, oldest first."""
    found: list[UUID] = []
    while True:
        public_id = public_ids.encode(PREFIXES[name], found[-1] if found else cursor)
        page = LISTS[name][2](scope_of(shop), Paging(limit=20, ending_before=public_id))
        found += ids_of(page)[::-1]
        if not page.has_more:
            return found


@contextmanager
def first_commit_held(owner: psycopg.Cursor[Any], table: str) -> Iterator[threading.Event]:
    """Hold back the commit of the next transaction that inserts into the table, until set."""
    release = threading.Event()
    owner.execute("SELECT pg_advisory_lock(4711)")
    owner.execute(HOLD_THE_FIRST.format(table=table))
    try:
        yield release
    finally:
        owner.execute("SELECT pg_advisory_unlock_all()")
        owner.execute(RELEASE.format(table=table))


def run_in_thread(writer: Writer, shop: Shop) -> threading.Thread:
    def run() -> None:
        try:
            writer(shop)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_held(owner: psycopg.Cursor[Any]) -> None:
    end = time.monotonic() + 5
    while not owner.execute(WAITING).fetchall():
        assert time.monotonic() < end, "no commit was held"
        time.sleep(0.01)


@pytest.mark.parametrize("name", LISTS)
def test_no_row_is_listed_forward_before_an_older_one_that_is_still_being_written(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], name: str
) -> None:
    table, writer, list_page = LISTS[name]
    pay(shop)
    writer(shop)
    cursor = ids_of(list_page(scope_of(shop), Paging(limit=1)))[0]

    with first_commit_held(owner_cursor, table):
        thread = run_in_thread(writer, shop)
        wait_until_held(owner_cursor)
        writer(shop)
        newest_first = ids_of(list_page(scope_of(shop), Paging(limit=20)))
        assert newest_first[0] > cursor, "a writer sees its own row at once"
        assert newer_than(shop, name, cursor) == []
    thread.join(10)

    seen = newer_than(shop, name, cursor)
    everything = ids_of(list_page(scope_of(shop), Paging(limit=100)))[::-1]
    assert seen == everything[everything.index(cursor) + 1 :]
    assert len(seen) >= 2


def test_sixteen_writers_and_a_reader_who_goes_on_by_id_lose_no_row(shop: Shop) -> None:
    writers, each = 16, examples(2, whole=25)
    names = [name for name in LISTS if name not in ("refunds", "webhook_endpoints")]
    for write in (pay, new_customer, new_payment_method, disputed):
        write(shop)
    cursors = {name: ids_of(LISTS[name][2](scope_of(shop), Paging(limit=1)))[0] for name in names}
    begin = dict(cursors)
    seen: dict[str, list[UUID]] = {name: [] for name in names}
    is_over = threading.Event()

    def read() -> None:
        try:
            while True:
                last_round = is_over.is_set()
                for name in names:
                    found = newer_than(shop, name, cursors[name])
                    seen[name] += found
                    cursors[name] = found[-1] if found else cursors[name]
                if last_round:
                    return
        finally:
            connections.close_all()

    def write(number: int) -> None:
        kinds = (pay, new_customer, new_payment_method, disputed)
        try:
            for round_ in range(each):
                kinds[(number + round_) % len(kinds)](shop)
        finally:
            connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    is_over.set()
    reader.join(60)

    for name in names:
        there = newer_than(shop, name, begin[name])
        assert seen[name] == there, f"{name}: {len(there) - len(seen[name])} lost"
    assert len(seen["events"]) >= writers * each


def test_a_reader_who_deletes_endpoints_while_paging_reaches_the_end(shop: Shop) -> None:
    for _ in range(5):
        new_endpoint(shop)
    deleted: list[UUID] = []
    cursor = ""
    while True:
        page = events.page_of_webhook_endpoints(
            scope_of(shop), Paging(limit=2, starting_after=cursor)
        )
        for endpoint in page.rows:
            delete_endpoint(caller=shop.caller(), endpoint_id=endpoint.id)
            deleted.append(endpoint.id)
        if not page.has_more:
            break
        cursor = public_ids.encode("we", deleted[-1])
    assert len(deleted) == 5
