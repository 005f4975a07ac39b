"""Concurrent requests on one payment, with threads and PostgreSQL: exactly one effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections

from payments.exceptions import PaymentRefused
from payments.models import PaymentIntent
from payments.services.callers.caller import Answer
from payments.services.verification.rebuild import differences
from payments.tests.support.shop import Shop, body_of


def at_once(number: int, command: Callable[[int], Answer]) -> list[Answer | PaymentRefused]:
    """Run a command in `number` threads that start together; refusals count as results."""
    barrier = threading.Barrier(number)

    def run(position: int) -> Answer | PaymentRefused:
        try:
            barrier.wait()
            return command(position)
        except PaymentRefused as refusal:
            return refusal
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def answers_of(results: list[Answer | PaymentRefused]) -> list[dict[str, Any]]:
    return [body_of(result) for result in results if isinstance(result, Answer)]


def codes_of(results: list[Answer | PaymentRefused]) -> set[str]:
    return {result.code for result in results if isinstance(result, PaymentRefused)}


def test_eight_concurrent_captures_capture_once(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    results = at_once(8, lambda _: shop.capture(intent["id"]))
    assert [a["status"] for a in answers_of(results)] == ["succeeded"]
    assert codes_of(results) <= {"lock_timeout", "payment_intent_unexpected_state"}
    assert [e["amount_minor"] for e in shop.effects("capture")] == [10_000]
    assert list(differences()) == []


def test_eight_concurrent_confirms_charge_once(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, confirm=False))
    results = at_once(8, lambda _: shop.confirm(intent["id"]))
    assert [a["status"] for a in answers_of(results)] == ["succeeded"]
    assert len(shop.effects("authorize")) == 1
    assert list(differences()) == []


def test_eight_concurrent_payments_of_one_order_charge_once(shop: Shop) -> None:
    results = at_once(8, lambda _: shop.create(10_000))
    assert [a["status"] for a in answers_of(results)] == ["succeeded"]
    assert codes_of(results) == {"order_already_has_payment"}
    assert len(shop.effects("authorize")) == 1
    assert PaymentIntent.objects.count() == 1


def test_eight_concurrent_full_refunds_refund_once(shop: Shop) -> None:
    intent = body_of(shop.create(10_000))
    results = at_once(8, lambda _: shop.refund(intent["id"]))
    assert [a["status"] for a in answers_of(results)] == ["succeeded"]
    assert codes_of(results) == {"charge_already_refunded"}
    assert [e["amount_minor"] for e in shop.effects("refund")] == [10_000]
    assert list(differences()) == []


def test_fifty_concurrent_refunds_of_60_on_100_refund_once(shop: Shop) -> None:
    intent = body_of(shop.create(100))
    results = at_once(50, lambda _: shop.refund(intent["id"], 60))
    assert [a["amount"] for a in answers_of(results)] == [60]
    assert codes_of(results) == {"amount_too_large"}
    assert [e["amount_minor"] for e in shop.effects("refund")] == [60]
    assert list(differences()) == []


def test_a_concurrent_capture_and_cancel_end_alike_here_and_at_the_psp(shop: Shop) -> None:
    intent = body_of(shop.create(10_000, manual=True))
    results = at_once(
        8,
        lambda n: shop.capture(intent["id"]) if n % 2 else shop.cancel(intent["id"]),
    )
    [won] = answers_of(results)
    kinds = [e["kind"] for e in shop.effects()]
    assert (won["status"], kinds) in [
        ("succeeded", ["authorize", "capture"]),
        ("canceled", ["authorize", "void"]),
    ]
    assert list(differences()) == []


@pytest.mark.parametrize("number", [2, 16])
def test_concurrent_copies_of_one_request_run_once(shop: Shop, number: int) -> None:
    caller = shop.caller(key="the same", body={"amount": 10_000})
    results = at_once(number, lambda _: shop.create(10_000, caller=caller))
    bodies = {result.body for result in results if isinstance(result, Answer)}
    assert len(bodies) == 1
    assert codes_of(results) <= {"idempotency_key_in_use"}
    assert len(shop.effects("capture")) == 1
    assert PaymentIntent.objects.count() == 1
