"""kill -9 of the API at any moment: the repeated request finishes it, with one effect.

Every step inside of a process is in payments/tests/scenarios/test_crashes.py.
Here the server is real.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from payments.services.verification.rebuild import differences
from payments.tests.http.support.storefront import Storefront, new_order
from payments.tests.http.support.wire import Reply

INTENTS = "/v1/payment_intents"
# Command to the effects of its payment in the end; the last ones are its own.
EFFECTS = {
    "create": [("authorize", 10_000), ("capture", 10_000)],
    "capture": [("authorize", 10_000), ("capture", 6_000)],
    "refund": [("authorize", 10_000), ("capture", 10_000), ("refund", 2_000)],
}
KINDS = {"create": "authorize"}
# What the PSP does with the request that is under way when the server dies.
BEFORE: dict[str, Any] = {"hang_before": 1}
AFTER: dict[str, Any] = {"hold": True}


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize("behavior", [BEFORE, AFTER], ids=["not done", "done"])
@pytest.mark.parametrize("command", EFFECTS)
def test_a_repeat_finishes_the_request_of_a_killed_server(
    storefront: Storefront, command: str, behavior: dict[str, Any]
) -> None:
    send, kind = prepared(storefront, command), KINDS.get(command, command)
    storefront.psp.script(behavior, order_id=storefront.order_id, kind=kind)

    with request_under_way(storefront, send, kind) as lost:
        storefront.server.kill()
        with pytest.raises(OSError):
            lost.result(30)
    storefront.server.start()
    storefront.psp.heal()

    finished_with_one_effect(storefront, send, command)


def test_killed_workers_are_replaced_and_nothing_is_lost(storefront: Storefront) -> None:
    given = prepared(storefront, "create")
    answer, order_id = given(), storefront.order_id
    storefront.order_id = new_order()
    send = prepared(storefront, "create")
    storefront.psp.script(AFTER, order_id=storefront.order_id)

    with request_under_way(storefront, send, "authorize") as lost:
        killed = storefront.server.kill_workers()
        with pytest.raises(OSError):
            lost.result(30)
    storefront.server.wait_for_workers(other_than=killed)
    storefront.psp.heal()

    again = given()
    assert (again.status, again.body) == (200, answer.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert storefront.effects(order_id) == EFFECTS["create"]
    finished_with_one_effect(storefront, send, "create")


def finished_with_one_effect(
    storefront: Storefront, send: Callable[[], Reply], command: str
) -> None:
    """The request waits while its first run could be alive, and then it is finished, once."""
    waiting = send()
    assert waiting.refusal[:2] == (409, "idempotency_key_in_use")
    storefront.end_leases()
    answer = send()
    again = send()
    assert answer.status == 200, answer.body
    assert answer.json["status"] == "succeeded"
    assert (again.body, again.headers["idempotent-replayed"]) == (answer.body, "true")
    assert storefront.effects() == EFFECTS[command]
    assert list(differences()) == []


def prepared(storefront: Storefront, command: str) -> Callable[[], Reply]:
    """The request of a command, always with the same key, and the payment that it needs."""
    key, wire = new_order(), storefront.wire
    if command == "create":
        order = storefront.order()
        return lambda: wire.post(INTENTS, order, key=key)
    if command == "capture":
        held = storefront.pay(capture_method="manual")
        part = {"amount_to_capture": 6_000}
        return lambda: wire.post(f"{INTENTS}/{held.id}/capture", part, key=key)
    refund = {"payment_intent": storefront.pay().id, "amount": 2_000}
    return lambda: wire.post("/v1/refunds", refund, key=key)


@contextmanager
def request_under_way(
    storefront: Storefront, send: Callable[[], Reply], kind: str
) -> Iterator[Future[Reply]]:
    """Send from another thread; the block runs once the PSP has the request."""
    with ThreadPoolExecutor(1) as executor:
        sent = executor.submit(send)
        end = time.monotonic() + 10
        while not storefront.psp.calls(order_id=storefront.order_id, kind=kind):
            assert not sent.done(), sent.result()
            assert time.monotonic() < end, "the request never reached the PSP"
            time.sleep(0.02)
        yield sent
