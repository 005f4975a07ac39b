"""Resends, replays and purging: the same bytes, out of order, never lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from payments.models import Delivery, DeliveryAttempt
from payments.services.automatic_actions import retention
from payments.services.merchant_webhooks import delivery_order, endpoints, resend
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.states import DeliveryStatus
from payments.tests.support.listening import (
    MerchantServer,
    answering,
    deliver_all,
    emitted,
    fan_out_all,
    listening,
    make_due,
    ok,
    open_endpoint,
    past,
)
from payments.tests.support.shop import Shop, body_of

pytestmark = pytest.mark.usefixtures("loopback")


def test_a_resent_delivery_has_the_same_bytes_and_delays_no_other(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    intent_id = body_of(shop.create())["id"]
    deliver_all()
    first = Delivery.objects.get(endpoint=endpoint, seq=1)
    before = list(server.requests)
    server.answer = answering(500)
    assert resend.resend_delivery(first.id)
    deliver_all()
    assert server.requests[-1].body == before[0].body
    server.answer = ok
    shop.refund(intent_id, 1_000)
    deliver_all()
    assert [each.sequence for each in server.requests[len(before) + 1 :]] == list(
        range(len(before) + 1, len(emitted(shop.merchant)) + 1)
    )
    first.refresh_from_db()
    assert (first.status, first.is_ordered) == (DeliveryStatus.PENDING, False)


def test_a_delivery_that_waits_for_earlier_ones_is_not_resent(shop: Shop) -> None:
    with listening(answering(500)) as server:
        open_endpoint(shop.merchant, server.url)
        shop.create()
        deliver_all()
        second = Delivery.objects.get(seq=2)
        assert not resend.resend_delivery(second.id)
        second.refresh_from_db()
        assert (second.next_attempt_at, second.is_ordered) == (None, True)


def test_every_failed_delivery_is_resent(shop: Shop) -> None:
    with listening(answering(500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create()
        shop.create(order_id="another")
        deliver_all()
        make_due()
        deliver_all()  # the second attempt: the next one is in five minutes
        dead = Delivery.objects.filter(seq=1).first()
        Delivery.objects.filter(pk=dead.pk).update(attempts_since_requeue=9)
        make_due()
        deliver_all()
        make_due()
        deliver_all()  # what followed the dead one waits five minutes, too
        dead.refresh_from_db()
        assert dead.status == DeliveryStatus.DEAD
        count = len(server.requests)
        server.answer = ok
        assert resend.resend_failed(endpoint.id) >= 2
        deliver_all()
        assert len(server.requests) == count + len(
            emitted(shop.merchant, aggregatetype="payment_intent")
        )
    assert {row.status for row in Delivery.objects.all()} == {DeliveryStatus.DELIVERED}


def test_nothing_is_resent_to_a_disabled_endpoint(shop: Shop, server: MerchantServer) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    deliver_all()
    endpoint.disable()
    endpoint.disabled_because, endpoint.disabled_at = "merchant", datetime.now(UTC)
    endpoint.save(update_fields=["status", "disabled_because", "disabled_at"])
    before = list(Delivery.objects.order_by("pk").values())
    [delivery] = Delivery.objects.all()
    with pytest.raises(resend.EndpointIsDisabled):
        resend.resend_delivery(delivery.id)
    with pytest.raises(resend.EndpointIsDisabled):
        resend.resend_failed(endpoint.id)
    with pytest.raises(resend.EndpointIsDisabled):
        resend.replay_events(endpoint.id, resend.EventFilter())
    assert list(Delivery.objects.order_by("pk").values()) == before


def test_a_replay_has_the_same_ids_and_where_there_were_any_the_same_bytes(
    shop: Shop, other_shop: Shop, server: MerchantServer
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    other_shop.create()
    deliver_all()
    first = {each.event["id"]: each.body for each in server.requests}
    assert (
        resend.replay_events(endpoint.id, resend.EventFilter())
        == len(first)
        == len(emitted(shop.merchant))
    )
    server.requests.clear()
    deliver_all()
    assert {each.event["id"]: each.body for each in server.requests} == first
    assert {each.headers["Delivery-Replay"] for each in server.requests} == {"true"}


def test_a_new_endpoint_can_get_a_replay_of_a_time_or_of_types(
    shop: Shop, server: MerchantServer
) -> None:
    shop.create()
    fan_out_all()
    endpoint, _ = open_endpoint(shop.merchant, server.url, api_version="2025-03-31.basil")
    future = datetime.now(UTC) + timedelta(hours=1)
    assert resend.replay_events(endpoint.id, resend.EventFilter(since=future)) == 0
    assert resend.replay_events(endpoint.id, resend.EventFilter(before=past(1))) == 0
    charges = resend.EventFilter(types=("charge.*",), since=past(1), before=future)
    count = resend.replay_events(endpoint.id, charges)
    deliver_all()
    assert count == len(server.requests) > 0
    assert {each.event["type"].split(".")[0] for each in server.requests} == {"charge"}
    assert {each.event["api_version"] for each in server.requests} == {"2025-03-31.basil"}


def test_a_replay_to_a_new_endpoint_keeps_the_order_of_each_payment(
    shop: Shop, server: MerchantServer
) -> None:
    first, second = (body_of(shop.create(order_id=name))["id"] for name in ("one", "two"))
    for intent_id in (first, second):
        shop.refund(intent_id, 1_000)
    fan_out_all()
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    server.answer = answering(500)
    count = resend.replay_events(endpoint.id, resend.EventFilter())
    assert count == len(emitted(shop.merchant)) >= 10
    deliver_all()
    assert [each.sequence for each in server.requests] == [1, 1], "the rest waits for the first"
    assert resend.replay_events(endpoint.id, resend.EventFilter()) == count
    assert Delivery.objects.count() == count, "pending deliveries are not made twice"
    shop.refund(first, 1_000)
    fan_out_all()
    server.requests.clear()
    server.answer = ok
    make_due()
    deliver_all()
    for aggregate in {event.aggregateid for event in emitted(shop.merchant)}:
        sequences = [
            each.sequence
            for each in server.requests
            if each.headers["Event-Aggregate"] == str(aggregate)
        ]
        assert sequences == list(range(1, len(emitted(shop.merchant, aggregateid=aggregate)) + 1))
    marked = [each.headers.get("Delivery-Replay") for each in server.requests]
    assert marked.count("true") == count
    assert delivery_order.release_stalled() == 0


def test_replayed_events_are_delivered_before_pending_later_ones(
    shop: Shop, server: MerchantServer
) -> None:
    """The endpoint missed the first events, and later ones are pending."""
    intent_id = body_of(shop.create())["id"]
    fan_out_all()
    missed = len(emitted(shop.merchant))
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.refund(intent_id, 1_000)
    fan_out_all()
    server.answer = answering(500)
    deliver_all()
    assert [each.sequence for each in server.requests] == [missed + 1]
    resend.replay_events(endpoint.id, resend.EventFilter())
    assert delivery_order.release_stalled() == 0
    server.answer = ok
    deliver_all()
    assert [each.sequence for each in server.requests[1:]] == list(range(1, missed + 1))
    make_due()
    deliver_all()
    assert [each.sequence for each in server.requests[1:]] == list(
        range(1, len(emitted(shop.merchant)) + 1)
    )


def test_a_replay_and_a_resend_of_all_that_failed_end_only_at_the_end(
    shop: Shop, server: MerchantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resend, "PER_TRANSACTION", 3)
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    for number in range(4):
        shop.create(order_id=f"order-{number}")
    server.answer = answering(410)
    deliver_all()
    endpoints.enable_endpoint(endpoint.id)
    server.answer = ok
    events = len(emitted(shop.merchant, aggregatetype="payment_intent"))
    assert events > 3 * 3
    Delivery.objects.update(status=DeliveryStatus.DEAD, next_attempt_at=None, ended_at=past(1))
    assert resend.resend_failed(endpoint.id) == events
    deliver_all()
    assert {row.status for row in Delivery.objects.all()} == {DeliveryStatus.DELIVERED}
    reported: list[int] = []
    event_filter = resend.EventFilter(types=("payment_intent.*", "charge.*"))
    count = resend.replay_events(
        endpoint.id, event_filter, progress=lambda so_far, _: reported.append(so_far)
    )
    assert count == events
    assert reported == sorted(reported)
    assert (len(reported) >= 4, reported[-1]) == (True, count)


def test_old_deliveries_are_purged_with_their_attempts_and_pending_ones_kept(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as server, listening(answering(500)) as bad:
        open_endpoint(shop.merchant, server.url)
        broken, _ = open_endpoint(shop.merchant, bad.url)
        shop.create()
        deliver_all()
    assert retention.purge_old_deliveries() == 0
    # As if it were long ago.
    monkeypatch.setattr(settings, "WEBHOOK_DELIVERIES_KEPT_DAYS", -1)
    assert retention.purge_old_deliveries() == len(emitted(shop.merchant))
    assert {row.endpoint_id for row in Delivery.objects.all()} == {broken.id}
    kept = set(Delivery.objects.values_list("pk", flat=True))
    assert set(DeliveryAttempt.objects.values_list("delivery_id", flat=True)) <= kept
    assert fan_out_due().events == 0
