"""Leases that a relay takes as it fans out, and what is sent under one after the first delivery."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler

import pytest

from payments.models import Delivery, DeliveryAttempt, WebhookEndpoint
from payments.services.merchant_webhooks import attempt_results, delivery_order, leasing
from payments.services.merchant_webhooks.attempt import (
    AttemptMade,
    attempt_delivery,
    attempt_in_order,
)
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.services.merchant_webhooks.leasing import FOLLOWING_MAX, FOLLOWING_SECONDS, Leased
from payments.states import DeliveryOrder, DeliveryStatus
from payments.tests.support.listening import (
    MerchantServer,
    attempt_due,
    deliver_all,
    emitted,
    fan_out_all,
    http_client,
    listening,
    make_due,
    ok,
    open_endpoint,
)
from payments.tests.support.shop import Shop, body_of

pytestmark = pytest.mark.usefixtures("loopback")


def leased_at_fan_out() -> list[Leased]:
    """What a relay with permits leases in its fan-out, just now however slow the machine is."""
    leased = fan_out_due(lambda _: True).leased
    return [replace(each, leased_at_seconds=math.inf) for each in leased]


def sent(leased: Leased) -> list[AttemptMade]:
    client = http_client()
    return attempt_in_order(leased, lambda each: attempt_delivery(each, client))


def test_the_events_of_a_payment_are_sent_in_order_under_the_lease_of_its_first(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    [leased] = leased_at_fan_out()
    assert leasing.lease({endpoint.id: 10}, {endpoint.id: endpoint}) == []
    attempt_results.record_results(sent(leased))
    numbers = list(range(1, len(emitted(shop.merchant)) + 1))
    assert len(numbers) >= 3
    assert [each.sequence for each in server.requests] == numbers
    assert {each.headers["Delivery-Attempt"] for each in server.requests} == {"1"}
    rows = list(Delivery.objects.order_by("seq"))
    assert {(str(row.status), row.attempts, row.attempts_since_requeue) for row in rows} == {
        ("delivered", 1, 1)
    }
    assert [each.delivery_id for each in DeliveryAttempt.objects.order_by("pk")] == [
        row.id for row in rows
    ]


def test_what_waits_behind_a_failure_is_not_sent_and_not_counted(shop: Shop) -> None:
    def second_fails(handler: BaseHTTPRequestHandler) -> None:
        ok(handler, status=500 if len(server.requests) == 2 else 200)

    with listening(second_fails) as server:
        open_endpoint(shop.merchant, server.url)
        shop.create()
        deliver_all()
        assert [each.sequence for each in server.requests] == [1, 2]
        first, second, *others = Delivery.objects.order_by("seq")
        assert (str(first.status), str(second.status)) == ("delivered", "pending")
        assert (second.attempts, second.last_status) == (1, 500)
        assert second.next_attempt_at is not None
        assert {(row.attempts, row.next_attempt_at) for row in others} == {(0, None)}
        make_due()
        deliver_all()
        assert [each.sequence for each in server.requests[2:]] == [2, *(row.seq for row in others)]


def test_a_relay_that_was_killed_after_it_fanned_out_loses_nothing(
    shop: Shop, server: MerchantServer
) -> None:
    """Killed before it sent, or before it recorded what it had sent; its lease ends by itself."""
    open_endpoint(shop.merchant, server.url)
    shop.create()
    [leased] = leased_at_fan_out()
    late = sent(leased)
    deliver_all()
    assert len(server.requests) == len(late), "under lease it is not sent by another relay"
    make_due()
    deliver_all()
    numbers = [each.leased.seq for each in late]
    assert [each.sequence for each in server.requests] == numbers * 2
    before = list(Delivery.objects.order_by("pk").values())
    attempt_results.record_results(late)
    assert list(Delivery.objects.order_by("pk").values()) == before


def test_after_some_deliveries_or_a_second_the_next_one_is_due_again(
    shop: Shop, server: MerchantServer
) -> None:
    open_endpoint(shop.merchant, server.url)
    intent_id = body_of(shop.create())["id"]
    for _ in range(FOLLOWING_MAX):
        shop.refund(intent_id, 10)
    [leased] = leased_at_fan_out()
    assert len(leased.following) == FOLLOWING_MAX
    long_ago = time.monotonic() - FOLLOWING_SECONDS
    attempt_results.record_results(sent(replace(leased, leased_at_seconds=long_ago)))
    assert [each.sequence for each in server.requests] == [1]
    assert attempt_due() == FOLLOWING_MAX + 1
    assert [each.sequence for each in server.requests] == list(range(1, FOLLOWING_MAX + 3))
    assert Delivery.objects.get(seq=FOLLOWING_MAX + 3).next_attempt_at is not None


def test_nothing_follows_a_delivery_with_an_earlier_one_before_it(
    shop: Shop, server: MerchantServer
) -> None:
    """As when an earlier event, new to the endpoint, is replayed meanwhile."""
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create()
    fan_out_all()
    Delivery.objects.filter(seq=2).update(next_attempt_at=Delivery.objects.get(seq=1).created_at)
    leased = leasing.lease({endpoint.id: 10}, {endpoint.id: endpoint})
    assert {(each.seq, each.following) for each in leased} == {(1, ()), (2, ())}


def test_what_may_follow_under_a_lease_is_not_released_to_an_unordered_endpoint(
    shop: Shop, server: MerchantServer
) -> None:
    open_endpoint(shop.merchant, server.url)
    shop.create()
    [leased] = leased_at_fan_out()
    WebhookEndpoint.objects.update(delivery_order=DeliveryOrder.UNORDERED)
    assert delivery_order.release_unordered() == 0
    assert Delivery.objects.filter(next_attempt_at=None).count() == len(leased.following)
    make_due()
    assert delivery_order.release_unordered() == len(leased.following)
    assert not Delivery.objects.exclude(status=DeliveryStatus.PENDING).exists()
