"""The checkout answers in time even if the PSP does not, and the payment goes on."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import stripe

from payments.tests.http.support.storefront import Storefront, new_order
from payments.tests.http.support.wire import Reply

INTENTS = "/v1/payment_intents"
PSP_MS = 1_500
ONCE = [("authorize", 10_000), ("capture", 10_000)]


def test_a_request_waits_no_longer_than_its_wait_preference(storefront: Storefront) -> None:
    slow_psp(storefront)
    key = new_order()

    answer, _ = timed(storefront, key, "wait=0.3")

    assert (answer.status, answer.json["status"]) == (200, "processing")
    paid = wait_until_paid(storefront, answer.json["id"])
    assert paid.latest_charge == answer.json["latest_charge"]
    # The first answer stays the answer; what happened since is learned by looking.
    again, _ = timed(storefront, key, "wait=0.3")
    assert (again.body, again.headers["idempotent-replayed"]) == (answer.body, "true")
    assert storefront.effects() == ONCE
    types = [e.type for e in storefront.stripe.v1.events.list({"type": "payment_intent.*"}).data]
    assert types.count("payment_intent.succeeded") == 1


def test_a_request_that_does_not_wait_is_executed(storefront: Storefront) -> None:
    answer, _ = timed(storefront, new_order(), "wait=0")
    assert answer.json["status"] in ("processing", "succeeded")
    assert wait_until_paid(storefront, answer.json["id"]).amount_received == 10_000
    assert storefront.effects() == ONCE


def test_without_a_wait_preference_the_merchants_setting_counts(
    open_storefront: Callable[..., Storefront],
) -> None:
    storefront = open_storefront(psp_wait_ms=200)
    slow_psp(storefront)
    answer, _ = timed(storefront, new_order(), "")
    assert answer.json["status"] == "processing"
    assert wait_until_paid(storefront, answer.json["id"]).status == "succeeded"


def test_a_request_with_a_long_wait_budget_gets_the_outcome(
    open_storefront: Callable[..., Storefront],
) -> None:
    storefront = open_storefront(psp_wait_ms=200)
    slow_psp(storefront)
    answer, seconds = timed(storefront, new_order(), "respond-async, wait=20")
    assert answer.json["status"] == "succeeded"
    assert seconds >= PSP_MS / 1_000


def test_a_slow_capture_is_processing_and_then_succeeds(storefront: Storefront) -> None:
    held = storefront.pay(capture_method="manual")
    slow_psp(storefront)
    answer = storefront.wire.post(
        f"{INTENTS}/{held.id}/capture", key=new_order(), headers=[("Prefer", "wait=0.1")]
    )
    assert (answer.status, answer.json["status"]) == (200, "processing")
    assert wait_until_paid(storefront, held.id).amount_received == 10_000
    assert storefront.effects() == ONCE


def test_a_decline_after_the_answer_leaves_the_payment_open(storefront: Storefront) -> None:
    decline = {"code": "card_declined", "decline_code": "do_not_honor", "message": "No."}
    plan = {"decline": decline, "latency_ms": 600}
    storefront.psp.script(plan, order_id=storefront.order_id)
    answer, _ = timed(storefront, new_order(), "wait=0.1")
    assert (answer.status, answer.json["status"]) == (200, "processing")
    failed = wait_for(storefront, answer.json["id"], "requires_payment_method")
    assert failed.last_payment_error is not None
    assert failed.last_payment_error.decline_code == "do_not_honor"
    assert storefront.effects() == []


@pytest.mark.parametrize("preference", ["wait=-1", "wait=31", "wait=soon", "wait=", "wait=1e1"])
def test_an_unreadable_preference_is_refused(storefront: Storefront, preference: str) -> None:
    answer, _ = timed(storefront, new_order(), preference)
    assert answer.refusal[:2] == (400, "header_invalid")
    assert storefront.effects() == []


def slow_psp(storefront: Storefront) -> None:
    storefront.psp.script({"latency_ms": PSP_MS}, order_id=storefront.order_id)


def timed(storefront: Storefront, key: str, preference: str) -> tuple[Reply, float]:
    """A payment of this order, and how many seconds its answer took."""
    headers = [("Prefer", preference)] if preference else []
    started = time.monotonic()
    answer = storefront.wire.post(INTENTS, storefront.order(), key=key, headers=headers)
    return answer, time.monotonic() - started


def wait_until_paid(storefront: Storefront, intent_id: str) -> stripe.PaymentIntent:
    return wait_for(storefront, intent_id, "succeeded")


def wait_for(storefront: Storefront, intent_id: str, status: str) -> stripe.PaymentIntent:
    """The intent once it has this status; fails after a while."""
    end = time.monotonic() + 15
    while True:
        intent = storefront.stripe.v1.payment_intents.retrieve(intent_id)
        if intent.status == status:
            return intent
        assert intent.status == "processing"
        assert time.monotonic() < end, f"{intent_id} is still processing"
        time.sleep(0.05)
