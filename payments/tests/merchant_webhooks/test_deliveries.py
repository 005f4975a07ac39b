"""Deliveries: content, order, retries, and the state after a failure."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from payments import public_ids, services
from payments.event_types import ENDPOINT_DISABLED, EVENT_TYPES, matches
from payments.models import Delivery, DeliveryAttempt, Event, WebhookEndpoint
from payments.services.merchant_webhooks import attempt_results, delivery_order, endpoints, leasing
from payments.services.merchant_webhooks.attempt import attempt_delivery
from payments.services.merchant_webhooks.fan_out import fan_out_due
from payments.states import DeliveryStatus
from payments.tests.support.listening import (
    MerchantServer,
    answering,
    attempt_due,
    attempts_of,
    deliver_all,
    emitted,
    fan_out_all,
    http_client,
    listening,
    make_due,
    ok,
    open_endpoint,
    past,
)
from payments.tests.support.shop import Shop, body_of

pytestmark = pytest.mark.usefixtures("loopback")


def test_every_event_of_a_payment_arrives_once_and_in_order(
    shop: Shop, server: MerchantServer
) -> None:
    open_endpoint(shop.merchant, server.url)
    intent_id = body_of(shop.create())["id"]
    shop.refund(intent_id, 1_000)
    deliver_all()
    events = emitted(shop.merchant)
    assert len(events) >= 5
    assert [each.event["id"] for each in server.requests] == [event.public_id for event in events]
    assert [each.sequence for each in server.requests] == list(range(1, len(events) + 1))
    assert {each.status for each in Delivery.objects.all()} == {DeliveryStatus.DELIVERED}
    assert attempt_due() == 0
    assert fan_out_due().events == 0


def test_what_is_sent_is_the_event_with_the_endpoints_version(
    shop: Shop, server: MerchantServer
) -> None:
    open_endpoint(shop.merchant, server.url, api_version="2025-03-31.basil")
    open_endpoint(shop.merchant, server.url, events=("payment_intent.*",))
    shop.create(confirm=False)
    deliver_all()
    [first, second] = [each.event for each in server.requests]
    [event] = emitted(shop.merchant)
    assert {first["api_version"], second["api_version"]} == {
        "2025-03-31.basil",
        "2026-10-28.endive",
    }
    assert first["data"]["object"] == event.payload["object"]
    assert (first["id"], first["object"]) == (event.public_id, "event")
    assert first["pending_webhooks"] == 2


def test_an_endpoint_gets_what_it_subscribes_to_of_its_merchant_and_mode(
    shop: Shop, other_shop: Shop, server: MerchantServer
) -> None:
    for number, (merchant, events, livemode) in enumerate(
        [
            (shop.merchant, ("*",), False),
            (shop.merchant, ("charge.*", "payment_intent.created"), False),
            (shop.merchant, ("payout.*",), False),
            (shop.merchant, ("*",), True),
            (other_shop.merchant, ("*",), False),
        ]
    ):
        open_endpoint(merchant, f"{server.url}/{number}", events=events, livemode=livemode)
    shop.create()
    deliver_all()
    types = {
        number: [each.event["type"] for each in server.requests if each.path == f"/hook/{number}"]
        for number in range(5)
    }
    every = [event.type for event in emitted(shop.merchant)]
    assert types[0] == every
    some = [each for each in every if each.startswith("charge.") or each.endswith("intent.created")]
    assert types[1] == some != []
    assert types[2] == types[3] == types[4] == []


def test_a_repeat_has_the_same_bytes_and_a_signature_of_its_own(shop: Shop) -> None:
    with listening(answering(500)) as server:
        open_endpoint(shop.merchant, server.url)
        shop.create(confirm=False)
        deliver_all()
        make_due()
        # Signed by the second: another second gives another signature.
        first_at = int(server.requests[0].headers["webhook-timestamp"])
        while int(time.time()) == first_at:
            time.sleep(0.02)
        attempt_due()
        [first, second] = server.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == first.event["id"]
    assert first.headers["Stripe-Signature"] != second.headers["Stripe-Signature"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert [first.headers["Delivery-Attempt"], second.headers["Delivery-Attempt"]] == ["1", "2"]


def test_a_failing_delivery_delays_only_its_own_payment_at_its_own_endpoint(
    shop: Shop, server: MerchantServer
) -> None:
    with listening(answering(500)) as bad:
        broken, _ = open_endpoint(shop.merchant, bad.url)
        open_endpoint(shop.merchant, server.url)
        shop.create()
        shop.create(order_id="another")
        deliver_all()
        assert [each.sequence for each in bad.requests] == [1, 1]
        assert len(server.requests) == len(emitted(shop.merchant))
        waiting = Delivery.objects.filter(endpoint=broken, next_attempt_at__isnull=True)
        assert waiting.count() == len(emitted(shop.merchant)) - 2
        bad.answer = ok
        make_due()
        deliver_all()
    for aggregate in {event.aggregateid for event in emitted(shop.merchant)}:
        of_payment = [
            each for each in bad.requests if each.headers["Event-Aggregate"] == str(aggregate)
        ]
        assert [each.sequence for each in of_payment] == [
            1,
            *range(1, Event.objects.filter(aggregateid=aggregate).count() + 1),
        ]


def test_later_events_of_a_payment_wait_behind_a_failing_delivery(shop: Shop) -> None:
    with listening(answering(500)) as server:
        open_endpoint(shop.merchant, server.url)
        intent_id = body_of(shop.create())["id"]
        deliver_all()
        shop.refund(intent_id, 1_000)
        deliver_all()
        assert [each.sequence for each in server.requests] == [1]
        server.answer = ok
        make_due()
        deliver_all()
        assert [each.sequence for each in server.requests[1:]] == list(
            range(1, len(emitted(shop.merchant)) + 1)
        )


def test_after_ten_attempts_over_three_days_the_next_event_is_released(shop: Shop) -> None:
    with listening(answering(500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create()
        fan_out_all()
        waits = []
        for _ in range(len(attempt_results.RETRY_SECONDS)):
            assert attempt_due() == 1
            head = Delivery.objects.get(seq=1)
            waits.append((head.next_attempt_at - datetime.now(UTC)).total_seconds())
            make_due()
        for wait, step in zip(waits, attempt_results.RETRY_SECONDS, strict=True):
            assert 0.88 * step <= wait <= 1.1 * step
        assert 72 <= sum(attempt_results.RETRY_SECONDS) / 3600 <= 80
        assert attempt_due() == 1
        head = Delivery.objects.get(seq=1)
        assert (head.status, head.attempts_since_requeue, head.last_status) == (
            DeliveryStatus.DEAD,
            10,
            500,
        )
        server.answer = ok
        deliver_all()
        assert [each.sequence for each in server.requests] == [1] * 10 + list(
            range(2, len(emitted(shop.merchant, aggregatetype="payment_intent")) + 1)
        )
        assert [each.number for each in attempts_of(endpoint)][:10] == list(range(1, 11))


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308, 400, 404, 429, 500, 503])
def test_only_2xx_delivers_and_a_redirect_is_not_followed(shop: Shop, status: int) -> None:
    with listening() as elsewhere:
        with listening(answering(status, Location=elsewhere.url)) as server:
            endpoint, _ = open_endpoint(shop.merchant, server.url)
            shop.create(confirm=False)
            deliver_all()
        [row] = Delivery.objects.all()
        assert (row.status, row.last_status) == (DeliveryStatus.PENDING, status)
        assert row.last_error == f"it answered {status}"
        assert elsewhere.connections == 0
        endpoint.refresh_from_db()
        assert endpoint.failing_since is not None


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_every_2xx_delivers(shop: Shop, status: int) -> None:
    with listening(answering(status)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=past(1))
        shop.create(confirm=False)
        deliver_all()
    [row] = Delivery.objects.all()
    assert (row.status, row.last_status, row.last_error) == (DeliveryStatus.DELIVERED, status, "")
    endpoint.refresh_from_db()
    assert endpoint.failing_since is None


def test_410_disables_at_once_and_the_merchants_other_endpoints_get_the_event(
    shop: Shop, server: MerchantServer
) -> None:
    with listening(answering(410)) as gone:
        endpoint, _ = open_endpoint(shop.merchant, gone.url)
        open_endpoint(shop.merchant, server.url)
        shop.create()
        deliver_all()
        deliver_all()
        assert len(gone.requests) == 1
    endpoint.refresh_from_db()
    assert (str(endpoint.status), endpoint.disabled_because) == ("disabled", "gone")
    [notice] = [each.event for each in server.requests if each.event["type"] == ENDPOINT_DISABLED]
    assert notice["data"]["object"]["id"] == endpoint.public_id
    assert notice["data"]["object"]["status"] == "disabled"
    assert notice["data"]["previous_attributes"] == {"status": "enabled"}
    assert notice["data"]["object"].get("secret") is None


def test_pending_deliveries_of_a_disabled_endpoint_become_dead_letters(shop: Shop) -> None:
    with listening(answering(410)) as gone:
        endpoint, _ = open_endpoint(shop.merchant, gone.url)
        shop.create()
        deliver_all()
    make_due()
    while attempt_results.dead_letter_undeliverable(endpoint.id):
        pass
    rows = Delivery.objects.filter(endpoint=endpoint)
    assert {row.status for row in rows} == {DeliveryStatus.DEAD}
    assert rows.count() == len(emitted(shop.merchant, aggregatetype="payment_intent"))


def test_deliveries_of_an_enabled_endpoint_are_not_dead_lettered(shop: Shop) -> None:
    with listening(answering(500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create()
        fan_out_all()
        assert attempt_results.dead_letter_undeliverable(endpoint.id) == 0
    assert {row.status for row in Delivery.objects.all()} == {DeliveryStatus.PENDING}


def test_an_endpoint_that_failed_for_days_is_disabled(shop: Shop, server: MerchantServer) -> None:
    with listening(answering(503)) as bad:
        endpoint, _ = open_endpoint(shop.merchant, bad.url)
        open_endpoint(shop.merchant, server.url, events=(ENDPOINT_DISABLED,))
        shop.create(confirm=False)
        deliver_all()
        endpoint.refresh_from_db()
        assert endpoint.is_enabled
        days = settings.WEBHOOK_DISABLE_AFTER_DAYS
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(failing_since=past(days + 0.01))
        make_due()
        deliver_all()
        deliver_all()
    endpoint.refresh_from_db()
    assert (str(endpoint.status), endpoint.disabled_because) == ("disabled", "failing")
    assert server.events() == [ENDPOINT_DISABLED]


def test_a_lease_belongs_to_one_relay_and_ends_by_itself(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    fan_out_all()
    known = {endpoint.id: endpoint}
    [first] = leasing.lease({endpoint.id: 10}, known)
    assert leasing.lease({endpoint.id: 10}, known) == []
    make_due()
    [second] = leasing.lease({endpoint.id: 10}, known)
    assert (first.id, first.attempts, second.attempts) == (second.id, 1, 2)


def test_an_attempt_after_its_lease_is_logged_and_changes_nothing(
    shop: Shop, server: MerchantServer
) -> None:
    endpoint, _ = open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    fan_out_all()
    known = {endpoint.id: endpoint}
    [first] = leasing.lease({endpoint.id: 10}, known)
    make_due()
    [second] = leasing.lease({endpoint.id: 10}, known)
    with listening(answering(500)) as bad:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(url=bad.url)
        first.endpoint.url = bad.url
        late = attempt_delivery(first, http_client())
    attempt_results.record_results([late])
    row = Delivery.objects.get()
    assert (row.status, row.last_status, row.attempts) == (DeliveryStatus.PENDING, None, 2)
    second.endpoint.url = server.url
    attempt_results.record_results([attempt_delivery(second, http_client())])
    assert Delivery.objects.get().status == DeliveryStatus.DELIVERED
    assert {(each.number, each.status) for each in DeliveryAttempt.objects.all()} == {
        (1, 500),
        (2, 200),
    }


def test_a_response_is_stored_short_printable_and_without_card_numbers(shop: Shop) -> None:
    body = b"<script>\x00\x1b[31m 4242 4242 4242 4242 " + b"x" * 100_000
    with listening(lambda handler: ok(handler, body, 500)) as server:
        endpoint, _ = open_endpoint(shop.merchant, server.url)
        shop.create(confirm=False)
        deliver_all()
    [attempt] = attempts_of(endpoint)
    assert attempt.response.startswith("<script>\\x00\\x1b[31m •••• xxx")
    assert len(attempt.response) == 2_000


def test_a_stalled_ordering_key_is_released(shop: Shop, server: MerchantServer) -> None:
    open_endpoint(shop.merchant, server.url)
    shop.create()
    fan_out_all()
    assert delivery_order.release_stalled() == 0
    Delivery.objects.update(next_attempt_at=None)
    assert delivery_order.release_stalled() == 1
    deliver_all()
    assert [each.sequence for each in server.requests] == list(
        range(1, len(emitted(shop.merchant)) + 1)
    )


def test_rows_of_deliveries_are_permanent_where_they_must_be(
    shop: Shop, server: MerchantServer, application_cursor: Any, owner_cursor: Any
) -> None:
    open_endpoint(shop.merchant, server.url)
    shop.create(confirm=False)
    deliver_all()
    for statement, refusal in (
        ("UPDATE payments_delivery SET pending_webhooks = 7", "permanent_column"),
        ("UPDATE payments_delivery SET seq = 7", "permanent_column"),
        ("UPDATE payments_webhook_endpoint SET api_version = 'x'", "permanent_column"),
        ("UPDATE payments_delivery_attempt SET status = 200", "permission denied"),
        ("DELETE FROM payments_webhook_endpoint", "permission denied"),
        ("UPDATE payments_delivery SET next_attempt_at = now()", "delivery_waits_or_is_done"),
    ):
        cursor = owner_cursor if refusal == "permanent_column" else application_cursor
        with pytest.raises(Exception, match=refusal):
            cursor.execute(statement)


def test_every_event_that_is_emitted_is_in_the_table(shop: Shop) -> None:
    intent_id = body_of(shop.create())["id"]
    shop.refund(intent_id)
    shop.create(order_id="other", manual=True)
    types = {event.type for event in emitted(shop.merchant)}
    assert types <= set(EVENT_TYPES)
    assert all(matches(each, ["*"]) and matches(each, [each]) for each in types)
    assert matches("charge.dispute.created", ["charge.*"])
    assert matches("charge.dispute.created", ["charge.dispute.*"])
    assert not matches("charge.dispute.created", ["charge.refund.*", "charge"])


def test_every_event_that_the_code_names_is_in_the_table() -> None:
    """Merchants can subscribe to every type that the code emits."""
    texts = [path.read_text() for path in Path(services.__path__[0]).rglob("*.py")]
    named = {
        name
        for text in texts
        for name in re.findall(r'\b(?:EventDraft|emit|emit_if_answered)\(\s*"([a-z_.]+)"', text)
    }
    assert len(named) > 15
    assert named <= set(EVENT_TYPES)


def test_a_secret_is_rotated_with_an_overlap(shop: Shop) -> None:
    endpoint, before = open_endpoint(shop.merchant, "http://127.0.0.1:9/")
    after = endpoints.rotate_secret(endpoint.id, overlap=timedelta(hours=1))
    assert before != after
    with pytest.raises(ValueError, match="two secrets"):
        endpoints.rotate_secret(endpoint.id, overlap=timedelta(hours=1))
    stored = WebhookEndpoint.objects.values().get()
    assert not {before, after} & {str(value) for value in stored.values()}
    assert public_ids.decode(public_ids.WEBHOOK_ENDPOINT, endpoint.public_id) == endpoint.id
