"""Fan-out beside sessions that lock rows of the outgoing queues, and the rows that it deletes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Delivery, Dispatch
from payments.services.event_stream.numbering import assign_numbers
from payments.services.merchant_webhooks import endpoints
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.tests.support.listening import (
    MerchantServer,
    deliver_all,
    emitted,
    fan_out_all,
    open_endpoint,
)
from payments.tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("loopback")


def test_fan_out_never_waits_and_leaves_what_another_relay_has_claimed(
    shop: Shop, server: MerchantServer, application_cursor: psycopg.Cursor[Any]
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    shop.create(order_id="another")
    events = emitted(shop.merchant)
    first = next(event for event in events if event.seq == 1)
    application_cursor.execute("BEGIN")
    application_cursor.execute(
        "SELECT 1 FROM payments_dispatch WHERE event_id = %s FOR UPDATE", [first.id]
    )
    others = sum(event.aggregateid != first.aggregateid for event in events)
    assert fan_out_all() == others
    application_cursor.execute("ROLLBACK")
    assert fan_out_all() == len(events) - others
    deliver_all()
    of_payment = [
        each.sequence
        for each in server.requests
        if each.headers["Event-Aggregate"] == str(first.aggregateid)
    ]
    assert of_payment == list(range(1, len(events) - others + 1))
    assert Delivery.objects.filter(endpoint=endpoint).count() == len(events)
    assert not Dispatch.objects.exists()


def test_fan_out_and_numbering_never_wait_for_one_another(
    shop: Shop, server: MerchantServer, application_cursor: psycopg.Cursor[Any]
) -> None:
    open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    application_cursor.execute("BEGIN")
    application_cursor.execute("DELETE FROM payments_dispatch")
    assert len(assign_numbers()) == len(emitted(shop.merchant))
    application_cursor.execute("ROLLBACK")
    shop.create(order_id="another", confirm=False)
    application_cursor.execute("BEGIN")
    application_cursor.execute("DELETE FROM payments_unnumbered_event")
    assert fan_out_all() == len(emitted(shop.merchant))
    application_cursor.execute("ROLLBACK")


def test_an_event_that_no_endpoint_can_get_is_never_fanned_out(shop: Shop) -> None:
    """No endpoint of its mode, or a disabled one: no statement for each event."""
    open_endpoint(shop.merchant, "http://127.0.0.1:1/hook", livemode=True)
    endpoint, _ = open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")
    assert endpoints.disable_failing_endpoint(
        endpoint.id, because=endpoints.GONE, failing_before=datetime.now(UTC)
    )
    shop.create(confirm=False)
    assert not Dispatch.objects.exists()
    with CaptureQueriesContext(connection) as queries:
        assert fan_out_due().events == 0
    assert len(queries) == 1
    endpoints.enable_endpoint(endpoint.id)
    shop.create(order_id="another", confirm=False)
    assert fan_out_all() == 1
    assert [row.endpoint_id for row in Delivery.objects.all()] == [endpoint.id]


def test_a_batch_is_fanned_out_by_as_many_queries_for_many_events_as_for_few(shop: Shop) -> None:
    open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")
    counts = []
    for payments in (1, 6):
        for number in range(payments):
            shop.create(order_id=f"{payments}-{number}", confirm=False)
        with CaptureQueriesContext(connection) as queries:
            assert fan_out_due().events == payments
        counts.append(len(queries))
    # A look; BEGIN, claim, events, endpoints, lock, pending, insert, COMMIT.
    assert counts == [9, 9]
