"""Tables by month: which are ready for it, and how they work once they are partitioned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg
import pytest
from django.db import connections

from ledger.services import forget_known_accounts
from payments import public_ids
from payments.models import Delivery, DeliveryAttempt, Event, PspNotification
from payments.selectors import waiting
from payments.services.automatic_actions import months, retention
from payments.services.psp_notifications import receiving
from payments.tests.support.listening import MerchantServer, deliver_all, emitted, open_endpoint
from payments.tests.support.shop import Shop
from paymentsite.tests.fixtures import databases

READY: Final = {model._meta.db_table for model in months.TABLES}
BOOKS: Final = {"ledger_transaction", "ledger_entry"}
"""Never purged, and their unique keys must hold for all time: they stay whole."""
UNIQUE_WITHIN_A_MONTH: Final = {
    "event_seq_once": "`seq` is counted under the aggregate's lock, the index is the second guard",
    "notification_once": "a PSP repeats within days; one more look-up of a payment changes nothing",
    "delivery_of_endpoint_once": "the id of a first delivery has its event's time, so its month",
}
PARTITION: Final = "SELECT payments_partition(%s, 3)"


def test_each_growing_table_can_be_partitioned_by_id_or_is_of_the_books(
    database: None, owner_cursor: psycopg.Cursor[Any]
) -> None:
    keys = owner_cursor.execute(
        "SELECT i.indrelid::regclass::text, c.relname, i.indisprimary, ARRAY("
        "SELECT a.attname::text FROM pg_attribute a "
        "WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])) "
        "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE i.indisunique AND i.indrelid::regclass::text = ANY (%s)",
        [sorted(READY | BOOKS)],
    ).fetchall()
    assert {table for table, _, is_primary, _ in keys if is_primary} == READY | BOOKS
    ready = [(name, is_primary, of) for table, name, is_primary, of in keys if table in READY]
    assert all(of == ["id"] for _, is_primary, of in ready if is_primary)
    # That of deliveries names the id for replays, and nothing for first ones.
    assert {name for name, is_primary, _ in ready if not is_primary} == set(UNIQUE_WITHIN_A_MONTH)
    # A month that foreign keys point at takes seconds to detach: each of its rows is looked for.
    owner_cursor.execute(
        "SELECT conname FROM pg_constraint WHERE contype = 'f' "
        "AND (conrelid::regclass::text = ANY (%s) OR confrelid::regclass::text = ANY (%s))",
        [sorted(READY | BOOKS)] * 2,
    )
    assert owner_cursor.fetchall() == []
    for table in BOOKS:
        with pytest.raises(psycopg.errors.RaiseException, match="is not partitioned by month"):
            owner_cursor.execute(PARTITION, [table])


@pytest.fixture
def partitioned(
    database: None, database_urls: Any, django_db_blocker: Any
) -> Iterator[psycopg.Cursor[Any]]:
    """Django in a copy of the template in which all ready tables are partitioned; its owner."""
    name = f"{os.environ['DATABASE_URL'].rsplit('/', 1)[1]}_months"
    databases.create_from_template(name, migrate=lambda _: pytest.fail("there is no template"))
    settings = connections["default"].settings_dict
    before = settings["NAME"]
    connections.close_all()
    forget_known_accounts()
    settings["NAME"] = name
    with databases.owner_connection(name) as connection, connection.cursor() as cursor:
        for table in READY:
            cursor.execute(PARTITION, [table])
        yield cursor
    connections.close_all()
    settings["NAME"] = before
    forget_known_accounts()
    databases.drop(name)


def _notification(shop: Shop) -> PspNotification:
    now = datetime.now(UTC)
    return PspNotification(
        psp_account_id=shop.account.pk,
        event_id="evt",
        type="t",
        known=False,
        occurred_at=now,
        received_at=now,
        next_attempt_at=now,
        give_up_at=now,
        body=b"{}",
        body_sha256="0",
    )


@pytest.mark.usefixtures("loopback")
def test_everything_works_the_same_on_tables_that_are_partitioned(
    partitioned: psycopg.Cursor[Any],
    shop: Shop,
    server: MerchantServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    partitioned.execute("SELECT pg_get_viewdef('warehouse.events'::regclass)")
    assert "payments_event_first" not in str(partitioned.fetchone()), "it shows all months"
    partitioned.execute("SELECT cursor FROM warehouse.events")
    deliver_all()
    events = emitted(shop.merchant)
    assert [each.sequence for each in server.requests] == [event.seq for event in events]
    assert DeliveryAttempt.objects.count() == len(events)
    for delivery in Delivery.objects.select_related("event"):
        made_ms = {public_ids.created_ms_of(each) for each in (delivery.id, delivery.event_id)}
        assert len(made_ms) == 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            partitioned.execute(
                "INSERT INTO payments_delivery SELECT (jsonb_populate_record(d, jsonb_build_object("
                "'id', %s::text, 'status', 'pending', 'ended_at', NULL, 'next_attempt_at', now())"
                ")).* FROM payments_delivery d WHERE id = %s",
                [str(public_ids.new_id_of_time(delivery.id)), delivery.id],
            )
    assert receiving._insert_new([_notification(shop)])
    assert not receiving._insert_new([_notification(shop)])
    with pytest.raises(psycopg.errors.CheckViolation, match="append_only"):
        partitioned.execute("DELETE FROM payments_event")
    for table in READY:  # The application has no right on a month by itself.
        partitioned.execute(
            "SELECT has_table_privilege(%s, inhrelid, 'select') FROM pg_inherits "
            "WHERE inhparent = %s::regclass",
            [connections["default"].settings_dict["USER"], table],
        )
        assert {may for (may,) in partitioned.fetchall()} == {False}

    # A missing month refuses nothing, and is made; its rows are then moved there.
    assert months.make_months() == 0
    [newest] = partitioned.execute(
        "SELECT month, begins FROM payments_months('payments_event') ORDER BY ends DESC LIMIT 1"
    )
    partitioned.execute(f"DROP TABLE {newest[0]}")
    assert waiting.months_ahead() == dict.fromkeys(READY, 3) | {"payments_event": 2}
    row = Event.objects.filter(pk=events[0].pk).values().get()
    later = _id_at(newest[1] + timedelta(days=1))
    Event.objects.create(**row | {"id": later, "seq": 99})
    assert [n for (n,) in partitioned.execute("SELECT id FROM payments_event_rest")] == [later]
    assert months.make_months() == 1
    assert [n for (n,) in partitioned.execute(f"SELECT id FROM {newest[0]}")] == [later]
    assert caplog.text.count("alert:") == 0
    Event.objects.create(**row | {"id": _id_at(newest[1] + timedelta(days=999)), "seq": 100})
    assert months.make_months() == 0
    assert "alert: payments_event has rows in no month" in caplog.text
    assert Delivery.objects.filter(endpoint=endpoint).count() == len(events)


def test_a_month_of_deliveries_is_dropped_once_none_is_pending_or_in_use(
    partitioned: psycopg.Cursor[Any], run_together: Callable[..., list[Any]]
) -> None:
    ended = datetime.now(UTC) - timedelta(days=70)
    for table in ("payments_delivery", "payments_delivery_attempt"):
        [(bound,)] = partitioned.execute(
            "SELECT payments_first_id(ends) FROM payments_months(%s) WHERE begins IS NULL", [table]
        )
        old = f"(MINVALUE) TO ('{_first_id(ended + timedelta(days=1))}')"
        new = f"('{_first_id(ended + timedelta(days=1))}') TO ('{bound}')"
        partitioned.execute(f"ALTER TABLE {table} DETACH PARTITION {table}_first")
        partitioned.execute(f"CREATE TABLE {table}_old PARTITION OF {table} FOR VALUES FROM {old}")
        partitioned.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {table}_first FOR VALUES FROM {new}"
        )
    old_one = _deliver(_id_at(ended))
    DeliveryAttempt.objects.create(
        id=_id_at(ended),
        delivery=old_one,
        number=1,
        duration_ms=1,
        started_at=ended,
    )
    assert retention.purge_old_deliveries() == 0  # It is pending.
    old_one.deliver()
    old_one.next_attempt_at, old_one.ended_at = None, ended
    old_one.save(update_fields=["status", "next_attempt_at", "ended_at"])
    with partitioned.connection.transaction():
        partitioned.execute("SELECT FROM payments_delivery_old LIMIT 1")
        assert retention.purge_old_deliveries() == 0  # It is being read.

    def deliver_more() -> int:
        return len([_deliver(public_ids.new_id()) for _ in range(20)])

    made, dropped = run_together(deliver_more, retention.purge_old_deliveries)
    assert made == 20
    assert 2 in (dropped, retention.purge_old_deliveries())  # at the latest when none is written
    assert Delivery.objects.count() == 20
    assert not DeliveryAttempt.objects.exists()
    _deliver(_id_at(ended))  # as of an event that waited so long
    assert Delivery.objects.count() == 21
    assert retention.purge_old_deliveries() == 0
    assert Delivery.objects.count() == 21  # It is pending.


def _deliver(identifier: UUID) -> Delivery:
    now = datetime.now(UTC)
    return Delivery.objects.create(
        id=identifier,
        event_id=identifier,
        endpoint_id=identifier,
        seq=1,
        merchant_id=identifier,
        livemode=False,
        aggregateid=identifier,
        created_at=now,
        next_attempt_at=now,
    )


def _first_id(moment: datetime) -> UUID:
    return public_ids.first_id_of_second(int(moment.timestamp()))


def _id_at(moment: datetime) -> UUID:
    return public_ids.new_id_of_time(_first_id(moment))
