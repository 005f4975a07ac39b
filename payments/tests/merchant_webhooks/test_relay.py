"""The relay: threads and processes, several at once, killed between; slow endpoints delay none."""

from __future__ import annotations

import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import psycopg
import pytest
import redis
from django.conf import settings
from django.db import connections

from payments import public_ids
from payments.models import Delivery, Event, Merchant
from payments.public_ids import created_at_of
from payments.services.merchant_webhooks import relay as relay_module
from payments.services.merchant_webhooks.relay import Relay
from payments.services.outbox import relay_wakeup
from payments.states import DeliveryStatus
from payments.tests.support.crashes import ForkedCommand
from payments.tests.support.listening import (
    ReceivedRequest,
    answering,
    http_client,
    listening,
    open_endpoint,
)
from payments.tests.support.shop import Shop

pytestmark = pytest.mark.usefixtures("loopback")


def emit(merchant: Merchant, *, payments: int, events: int) -> None:
    """Write events of made-up payments, equally many for each."""
    aggregates = [public_ids.new_id() for _ in range(payments)]
    for seq in range(1, events + 1):
        rows = []
        for aggregate in aggregates:
            identifier = public_ids.new_id()
            rows.append(
                Event(
                    id=identifier,
                    merchant=merchant,
                    livemode=False,
                    aggregatetype="payment_intent",
                    aggregateid=aggregate,
                    seq=seq,
                    type="payment_intent.created",
                    payload={"object": {"id": str(aggregate), "object": "payment_intent"}},
                    actor="test",
                    created_at=created_at_of(identifier),
                )
            )
        Event.objects.bulk_create(rows)


@contextmanager
def relaying(*, threads: int = 4) -> Iterator[Relay]:
    """A relay in threads of this process."""
    relay = Relay(http_client(), threads=threads)
    thread = threading.Thread(target=relay.run, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.stop()
        thread.join(15)
    assert not thread.is_alive()


@contextmanager
def relay_process() -> Iterator[ForkedCommand]:
    """A relay in a process of its own."""
    process = forked_relay()
    try:
        yield process
    finally:
        process.kill()


def forked_relay() -> ForkedCommand:
    return ForkedCommand("relay_events", "--threads", "4", WEBHOOK_TIMEOUT_SECONDS=1)


def wait_until(what: Callable[[], bool], within_seconds: float = 30) -> None:
    end = time.monotonic() + within_seconds
    while not what():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def all_delivered() -> bool:
    return not Delivery.objects.exclude(status=DeliveryStatus.DELIVERED).exists()


def assert_in_order(requests: list[ReceivedRequest], *, payments: int, events: int) -> None:
    """First deliveries of every payment at every path are 1, 2, … n; repeats are the same bytes."""
    sequences: dict[tuple[str, str], list[int]] = defaultdict(list)
    bodies: dict[tuple[str, str], bytes] = {}
    for each in sorted(requests, key=lambda one: one.at):
        key = (each.path, each.headers["webhook-id"])
        if key not in bodies:
            sequences[each.path, each.headers["Event-Aggregate"]].append(each.sequence)
        assert bodies.setdefault(key, each.body) == each.body
    assert len(sequences) == payments
    assert all(each == list(range(1, events + 1)) for each in sequences.values()), sequences


def test_a_payment_arrives(shop: Shop) -> None:
    with listening() as server, relaying():
        open_endpoint(shop.merchant, server.url)
        shop.create()
        server.wait_for(Event.objects.count())


def test_a_wakeup_is_received_and_a_lost_one_is_counted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken, stopped = threading.Event(), threading.Event()
    listener = threading.Thread(target=relay_wakeup.listen, args=(woken.set, stopped), daemon=True)
    listener.start()
    client = redis.Redis.from_url(settings.REDIS_URL)
    wait_until(lambda: dict(client.pubsub_numsub("payments:events"))[b"payments:events"] > 0)
    shop.create(confirm=False)
    assert woken.wait(5)
    stopped.set()
    listener.join(5)
    client.close()
    wakeup = relay_wakeup._Wakeup()
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    wakeup.wake()
    wait_until(lambda: wakeup.lost == 1)


def test_one_thread_publishes_all_wakeups_of_a_process() -> None:
    wakeup, client = relay_wakeup._Wakeup(), redis.Redis.from_url(settings.REDIS_URL)
    with client, client.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe("payments:events")
        channel.get_message(timeout=5)
        for _ in range(3):
            for _ in range(100):
                wakeup.wake()
            wait_until(lambda: channel.get_message(timeout=1) is not None)
    assert sum(thread is wakeup._thread for thread in threading.enumerate()) == 1


def test_without_redis_the_relay_still_finds_events(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    with listening() as server, relaying():
        open_endpoint(shop.merchant, server.url)
        emit(shop.merchant, payments=3, events=2)
        server.wait_for(6)


def test_four_relays_deliver_everything_in_order(shop: Shop) -> None:
    with listening() as server:
        for number in range(3):
            open_endpoint(shop.merchant, f"{server.url}/{number}")
        emit(shop.merchant, payments=20, events=2)
        with relaying(), relaying(), relaying(), relaying():
            emit(shop.merchant, payments=10, events=4)
            server.wait_for(240, within_seconds=40)
            wait_until(all_delivered)
    assert len(server.requests) == 240
    for number in range(3):
        received = [each for each in server.requests if each.path == f"/hook/{number}"]
        ids = {each.headers["webhook-id"] for each in received}
        assert len(ids) == len(received) == 80
        few = {
            str(key) for key in Event.objects.filter(seq=4).values_list("aggregateid", flat=True)
        }
        long = [each for each in received if each.headers["Event-Aggregate"] in few]
        short = [each for each in received if each.headers["Event-Aggregate"] not in few]
        assert_in_order(long, payments=10, events=4)
        assert_in_order(short, payments=20, events=2)


def test_relays_that_are_killed_lose_nothing_and_keep_the_order(shop: Shop) -> None:
    """kill -9 while requests are on their way; leases end after the timeout and a margin."""

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(0.02)
        answering(200)(handler)

    with listening(slowly) as server:
        open_endpoint(shop.merchant, server.url)
        emit(shop.merchant, payments=40, events=5)
        relays = [forked_relay() for _ in range(4)]
        try:
            for number, relay in enumerate(list(relays)):
                server.wait_for(20 + 30 * number, within_seconds=60)
                relay.kill()
                relays.append(forked_relay())
            wait_until(all_delivered, within_seconds=60)
        finally:
            for relay in relays:
                relay.kill()
    assert_in_order(server.requests, payments=40, events=5)


def test_a_relay_told_to_stop_finishes_its_open_attempts(shop: Shop) -> None:
    asked = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        asked.wait(10)
        answering(200)(handler)

    with listening(slowly) as server:
        open_endpoint(shop.merchant, server.url)
        with relay_process() as process:
            emit(shop.merchant, payments=1, events=2)
            server.wait_for(1, within_seconds=30)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.1)  # the signal is on its way; either order is fine
            asked.set()
            assert process.wait(15) == 0
        first = Delivery.objects.get(seq=1)
        assert first.status == DeliveryStatus.DELIVERED


def test_a_relay_that_was_paused_and_continued_still_delivers(shop: Shop) -> None:
    """For longer than its own waits: SIGCONT must not end it."""
    with listening() as server:
        open_endpoint(shop.merchant, server.url)
        with relay_process() as process:
            emit(shop.merchant, payments=1, events=1)
            server.wait_for(1, within_seconds=30)
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.5)  # what is tested is that this time passes
            process.send_signal(signal.SIGCONT)
            emit(shop.merchant, payments=1, events=1)
            server.wait_for(2, within_seconds=30)
            time.sleep(0.2)  # so soon it would have ended
            assert process.is_running()
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0


def test_endpoints_that_are_down_delay_no_other_endpoint(shop: Shop) -> None:
    released = threading.Event()
    with listening() as server, listening(lambda _: released.wait(60)) as hanging:
        with listening() as closed:
            refusing = closed.url
        with listening(answering(500)) as failing, relaying(threads=8):
            for url in (hanging.url, refusing, failing.url, server.url):
                open_endpoint(shop.merchant, url)
            emit(shop.merchant, payments=30, events=1)
            server.wait_for(30, within_seconds=10)
            emit(shop.merchant, payments=30, events=1)
            server.wait_for(60, within_seconds=10)
            assert hanging.connections < 10
            released.set()


def test_twenty_hanging_endpoints_do_not_delay_a_slow_one(shop: Shop) -> None:
    """It answers in 1.2 s, one attempt at a time; those that hang have more due than it has."""
    released = threading.Event()

    def slowly(handler: BaseHTTPRequestHandler) -> None:
        released.wait(1.2)
        answering(200)(handler)

    with (
        listening() as server,
        listening(slowly) as slow,
        listening(lambda _: released.wait(120)) as hanging,
        relaying(threads=4),
    ):
        for number in range(20):
            open_endpoint(shop.merchant, f"{hanging.url}/{number}")
        open_endpoint(shop.merchant, slow.url)
        open_endpoint(shop.merchant, server.url)
        emit(shop.merchant, payments=5, events=1)
        server.wait_for(5, within_seconds=15)
        slow.wait_for(5, within_seconds=30)
        emit(shop.merchant, payments=5, events=1)
        server.wait_for(10, within_seconds=10)
        released.set()


@pytest.mark.usefixtures("really_closed")
def test_a_relay_whose_database_connections_are_ended_continues(
    shop: Shop, application_cursor: psycopg.Cursor[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database ends its connections; it opens new ones."""
    monkeypatch.setattr(relay_module, "_AFTER_FAILURE_SECONDS", 0.1)
    with listening() as server, relaying():
        open_endpoint(shop.merchant, server.url)
        emit(shop.merchant, payments=2, events=1)
        server.wait_for(2)
        connections.close_all()
        application_cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND usename = current_user "
            "AND pid <> pg_backend_pid()"
        )
        emit(shop.merchant, payments=2, events=1)
        server.wait_for(4)
