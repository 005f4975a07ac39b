"""An endpoint that fails on one event: what it holds back, who is told, and how to avoid it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.event_types import DELIVERY_FAILING
from payments.models import Delivery, Event, WebhookEndpoint
from payments.selectors.events import held_back_by
from payments.services.merchant_webhooks import delivery_order
from payments.services.merchant_webhooks.attempt_results import WARNED_AFTER
from payments.states import DeliveryStatus
from payments.tests.admin.console import log_in
from payments.tests.support.api_client import api_of
from payments.tests.support.listening import (
    MerchantServer,
    answering,
    attempt_due,
    deliver_all,
    listening,
    make_due,
    open_endpoint,
)
from payments.tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("loopback")


def failing_on_first(shop: Shop) -> WebhookEndpoint:
    """An endpoint whose first event of a payment failed once."""
    with listening(answering(500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create()
        deliver_all()
    return endpoint


def unordered(endpoint: WebhookEndpoint) -> str:
    out = StringIO()
    call_command("webhooks", "order", endpoint.public_id, "unordered", stdout=out)
    return out.getvalue()


def test_an_unordered_endpoint_gets_every_event_although_the_first_one_fails(shop: Shop) -> None:
    with listening(answering(500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        unordered(endpoint)
        shop.create()
        deliver_all()
        got = server.events()
    assert got == list(Event.objects.order_by("seq").values_list("type", flat=True))
    assert len(got) >= 3
    assert not Delivery.objects.filter(is_ordered=True).exists()
    assert held_back_by(endpoint) is None


def test_what_is_held_back_is_released_once_the_endpoint_is_unordered(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint = failing_on_first(shop)
    waiting = Delivery.objects.filter(next_attempt_at__isnull=True)
    number = waiting.count()
    assert number >= 2
    assert delivery_order.release_unordered() == 0
    assert "unordered" in unordered(endpoint)
    make_due()
    assert delivery_order.release_unordered() == number
    assert not waiting.exists()
    assert delivery_order.release_stalled() == 0


def test_the_console_says_what_an_endpoint_holds_back(shop: Shop) -> None:
    endpoint = failing_on_first(shop)
    held_back = held_back_by(endpoint)
    first = Event.objects.order_by("seq").first()
    assert held_back is not None
    assert first is not None
    assert (held_back.payments, held_back.event, held_back.attempts) == (1, first.public_id, 1)
    text = log_in(is_superuser=True).page(endpoint).content.decode()
    assert "Payments whose events wait: 1, the first since" in text
    assert f"It waits for event {first.public_id} (failed attempts: 1)" in text
    assert "&lt;span" not in text
    out = StringIO()
    call_command("webhooks", "status", stdout=out)
    assert f"by {first.public_id}" in out.getvalue()


@pytest.mark.parametrize("failures", WARNED_AFTER)
def test_other_endpoints_are_told_of_a_delivery_that_fails_again_and_again(
    shop: Shop, server: MerchantServer, failures: int
) -> None:
    endpoint = failing_on_first(shop)
    open_endpoint(shop.merchant, server.url, events=(DELIVERY_FAILING,))
    for _ in range(2):  # As another delivery that fails as often: one warning a day is enough.
        Delivery.objects.filter(endpoint=endpoint).update(attempts_since_requeue=failures - 1)
        make_due()
        with CaptureQueriesContext(connection) as queries:
            attempt_due()
    assert not any("LIMIT 10000" in str(each["sql"]) for each in queries), "counted for no warning"
    [event] = Event.objects.filter(type=DELIVERY_FAILING)
    failing = event.payload["object"]["failing_delivery"]
    given_up = failures == WARNED_AFTER[-1]
    assert (failing["failures"], failing["given_up"]) == (failures, given_up)
    assert failing["payments_held_back"] == (0 if given_up else 1)
    assert event.payload["object"]["id"] == endpoint.public_id
    deliver_all()
    assert server.events() == [DELIVERY_FAILING]
    assert not Delivery.objects.filter(endpoint=endpoint, event=event).exists()
    shown = api_of(shop).get("/v1/events", type=DELIVERY_FAILING).body["data"]
    assert [each["id"] for each in shown] == [event.public_id]


def test_no_warning_is_about_a_warning(shop: Shop) -> None:
    failing_on_first(shop)
    with listening(answering(500)) as server:
        second, _ = open_endpoint(shop.merchant, server.url, events=(DELIVERY_FAILING,))
        Delivery.objects.update(attempts_since_requeue=WARNED_AFTER[0] - 1)
        make_due()
        attempt_due()
        deliver_all()
        Delivery.objects.filter(endpoint=second).update(attempts_since_requeue=WARNED_AFTER[0] - 1)
        make_due()
        attempt_due()
    assert Delivery.objects.get(endpoint=second).status == DeliveryStatus.PENDING
    assert Event.objects.filter(type=DELIVERY_FAILING).count() == 1


def test_the_order_is_chosen_and_shown_by_the_api(shop: Shop) -> None:
    api = api_of(shop)
    given = {"url": "https://hooks.example.com/x", "enabled_events": ["*"]}
    made = api.post("/v1/webhook_endpoints", **given, delivery_order="unordered").body
    assert made["delivery_order"] == "unordered"
    path = f"/v1/webhook_endpoints/{made['id']}"
    assert api.post(path, delivery_order="ordered").body["delivery_order"] == "ordered"
    refused = api.post(path, delivery_order="random")
    assert (refused.status, refused.error["param"]) == (400, "delivery_order")
    assert api.get(path).body["delivery_order"] == "ordered"
