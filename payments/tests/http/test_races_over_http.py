"""Concurrent requests to two workers: exactly one effect; the others are refused by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from payments.services.verification.rebuild import differences
from payments.tests.http.support.storefront import Storefront, new_order
from payments.tests.http.support.wire import Reply

INTENTS = "/v1/payment_intents"
BUSY = {"lock_timeout", "payment_intent_unexpected_state"}


def at_once(number: int, send: Callable[[int], Reply]) -> list[Reply]:
    with ThreadPoolExecutor(number) as executor:
        return list(executor.map(send, range(number)))


def codes_of(replies: list[Reply]) -> set[str]:
    return {reply.error["code"] for reply in replies if reply.status != 200}


def succeeded(replies: list[Reply]) -> list[Reply]:
    return [reply for reply in replies if reply.status == 200]


@pytest.mark.parametrize("command", ["capture", "confirm", "cancel"])
def test_eight_concurrent_commands_have_one_effect(storefront: Storefront, command: str) -> None:
    intent = storefront.pay(capture_method="manual", confirm=None if command == "confirm" else True)
    path = f"{INTENTS}/{intent.id}/{command}"

    replies = at_once(8, lambda _: storefront.wire.post(path, key=new_order()))

    assert len(succeeded(replies)) == 1, Counter(reply.status for reply in replies)
    assert codes_of(replies) <= BUSY
    kinds = [kind for kind, _ in storefront.effects()]
    assert kinds == ["authorize", *{"capture": ["capture"], "cancel": ["void"]}.get(command, [])]
    assert list(differences()) == []


def test_a_concurrent_capture_and_cancel_do_not_both_succeed(storefront: Storefront) -> None:
    intent = storefront.pay(capture_method="manual")
    verbs = ("capture", "cancel")

    replies = at_once(
        10,
        lambda n: storefront.wire.post(f"{INTENTS}/{intent.id}/{verbs[n % 2]}", key=new_order()),
    )

    assert len(succeeded(replies)) == 1
    assert codes_of(replies) <= BUSY
    assert len(storefront.effects()) == 2
    assert list(differences()) == []


def test_fifty_concurrent_refunds_of_60_on_100_are_one(storefront: Storefront) -> None:
    refund = {"payment_intent": storefront.pay().id, "amount": 6_000}

    replies = at_once(50, lambda _: storefront.wire.post("/v1/refunds", refund, key=new_order()))

    assert len(succeeded(replies)) == 1, Counter(reply.status for reply in replies)
    assert codes_of(replies) <= {"amount_too_large", "lock_timeout"}
    assert storefront.effects()[2:] == [("refund", 6_000)]
    assert list(differences()) == []


def test_twenty_concurrent_payments_of_one_order_are_one(storefront: Storefront) -> None:
    order = storefront.order()

    replies = at_once(20, lambda _: storefront.wire.post(INTENTS, order, key=new_order()))

    assert len(succeeded(replies)) == 1, Counter(reply.status for reply in replies)
    assert codes_of(replies) == {"order_already_has_payment"}
    assert [kind for kind, _ in storefront.effects()] == ["authorize", "capture"]
    assert list(differences()) == []
