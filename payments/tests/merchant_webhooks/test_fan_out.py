"""Fan-out beside sessions that lock the same rows, and the dispatch rows that it deletes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.models import Delivery, Dispatch
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


def test_fan_out_never_waits_and_takes_what_comes_before_a_locked_event(
    shop: Shop, server: MerchantServer, application_cursor: psycopg.Cursor[Any]
) -> None:
    """Numbering the stream locks the same rows in another order: waiting could deadlock."""
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    shop.create(order_id="another")
    events = emitted(shop.merchant)
    held = next(event for event in events if event.seq == 2)
    application_cursor.execute("BEGIN")
    application_cursor.execute(
        "SELECT 1 FROM payments_dispatch WHERE event_id = %s FOR UPDATE", [held.id]
    )
    others = sum(event.aggregateid != held.aggregateid for event in events)
    assert fan_out_all() == others + 1
    application_cursor.execute("ROLLBACK")
    assert fan_out_all() == len(events) - others - 1
    deliver_all()
    of_payment = [
        each.sequence
        for each in server.requests
        if each.headers["Event-Aggregate"] == str(held.aggregateid)
    ]
    assert of_payment == list(range(1, len(events) - others + 1))
    assert Delivery.objects.filter(endpoint=endpoint).count() == len(events)


def test_the_dispatch_row_goes_with_the_later_of_the_two_marks(shop: Shop) -> None:
    open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")
    shop.create(confirm=False)
    shop.create(order_id="another", confirm=False)
    [streamed, not_streamed] = Dispatch.objects.order_by("event_id")
    Dispatch.objects.filter(pk=streamed.pk).update(streamed_at=datetime.now(UTC))
    fan_out_all()
    [row] = Dispatch.objects.all()
    assert row.pk == not_streamed.pk
    assert row.fanned_out_at is not None


def test_an_event_that_no_endpoint_can_get_is_never_fanned_out(shop: Shop) -> None:
    """No endpoint of its mode, or a disabled one: no statement for each event."""
    open_endpoint(shop.merchant, "http://127.0.0.1:1/hook", livemode=True)
    endpoint, _ = open_endpoint(shop.merchant, "http://127.0.0.1:1/hook")
    assert endpoints.disable_failing_endpoint(
        endpoint.id, because=endpoints.GONE, failing_before=datetime.now(UTC)
    )
    shop.create(confirm=False)
    assert not Dispatch.objects.filter(fanned_out_at=None).exists()
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
    # A look; BEGIN, claim twice, events, endpoints, lock, pending, insert, mark, COMMIT.
    assert counts == [11, 11]
