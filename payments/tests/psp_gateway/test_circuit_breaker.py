"""A failing PSP is not called for a while, and each kind of call has permits of its own."""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import pytest

from payments.exceptions import PspNotReached
from payments.services.psp_gateway import circuit_breaker
from payments.services.psp_gateway.circuit_breaker import (
    Breaker,
    CallKind,
    CallRefused,
    guarded_call,
)
from payments.tests.support.shop import Shop, body_of


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def feed(breaker: Breaker, *, healthy: int = 0, failed: int = 0) -> None:
    for verdict in [True] * healthy + [False] * failed:
        breaker.record(healthy=verdict, probe=breaker.admit())


def test_it_opens_when_half_of_twenty_calls_failed(clock: Clock) -> None:
    breaker = Breaker(clock)
    feed(breaker, healthy=10, failed=9)
    assert breaker.state == "closed"
    feed(breaker, failed=1)
    assert breaker.state == "open"
    with pytest.raises(CallRefused) as refusal:
        breaker.admit()
    assert 0 < refusal.value.retry_after_seconds <= 6


def test_a_few_failures_do_not_open_it(clock: Clock) -> None:
    breaker = Breaker(clock)
    feed(breaker, failed=19)
    assert breaker.state == "closed"


def test_calls_older_than_the_window_do_not_count(clock: Clock) -> None:
    breaker = Breaker(clock)
    feed(breaker, failed=19)
    clock.now += 31
    feed(breaker, healthy=10, failed=9)
    assert breaker.state == "closed"


def test_one_probe_at_a_time_decides(clock: Clock) -> None:
    breaker = Breaker(clock)
    feed(breaker, failed=20)
    clock.now += 7
    assert breaker.state == "half_open"
    probe = breaker.admit()
    with pytest.raises(CallRefused):
        breaker.admit()
    breaker.record(healthy=False, probe=False)  # a call from before it opened
    assert breaker.state == "half_open"
    breaker.record(healthy=True, probe=probe)
    assert breaker.state == "closed"
    feed(breaker, healthy=1)


def test_a_failed_probe_opens_it_for_twice_as_long_to_a_minute(clock: Clock) -> None:
    breaker = Breaker(clock)
    feed(breaker, failed=20)
    waits = []
    for _ in range(6):
        clock.now += 100
        breaker.record(healthy=False, probe=breaker.admit())
        with pytest.raises(CallRefused) as refusal:
            breaker.admit()
        waits.append(refusal.value.retry_after_seconds)
    assert 8 <= waits[0] <= 12
    assert all(48 <= wait <= 72 for wait in waits[3:])


def test_an_answer_from_before_it_opened_does_not_close_it(clock: Clock) -> None:
    breaker = Breaker(clock)
    early = breaker.admit()
    feed(breaker, failed=20)
    breaker.record(healthy=True, probe=early)
    assert breaker.state == "open"


def test_an_exception_counts_as_a_failure_and_returns_its_permit() -> None:
    account = uuid.uuid4().hex
    for _ in range(20):
        with pytest.raises(ZeroDivisionError), guarded_call(account, CallKind.QUERY):
            raise ZeroDivisionError
    with pytest.raises(CallRefused), guarded_call(account, CallKind.QUERY):
        pytest.fail("the circuit is open")
    with guarded_call(account, CallKind.RECOVERY) as verdict:
        verdict.healthy = True
    assert circuit_breaker._guards[account, CallKind.QUERY].breaker.state == "open"
    assert circuit_breaker._guards[account, CallKind.RECOVERY].breaker.state == "closed"


def test_permits_are_bounded_per_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    account = uuid.uuid4().hex
    leave = threading.Event()

    def stay() -> None:
        with guarded_call(account, CallKind.RECOVERY) as verdict:
            verdict.healthy = leave.wait(10)

    threads = [
        threading.Thread(target=stay) for _ in range(circuit_breaker.PERMITS[CallKind.RECOVERY])
    ]
    for thread in threads:
        thread.start()
    while circuit_breaker._guards[account, CallKind.RECOVERY].permits._value:
        time.sleep(0.01)
    with pytest.raises(CallRefused), guarded_call(account, CallKind.RECOVERY):
        pytest.fail("there is no permit left")
    with guarded_call(account, CallKind.QUERY) as verdict:
        verdict.healthy = True
    leave.set()
    for thread in threads:
        thread.join()


def test_while_the_circuit_is_open_requests_are_refused_at_once_and_nothing_is_sent(
    shop: Shop,
) -> None:
    shop.psp.script({"error_before": True}, kind="authorize", times=20)
    for number in range(20):
        answer = shop.create(order_id=f"{shop.order_id}-{number}")
        assert body_of(answer)["status"] == "processing"
    sent = len(calls(shop))

    with pytest.raises(PspNotReached) as refusal:
        shop.create()

    assert refusal.value.retry_after_seconds > 0
    assert len(calls(shop)) == sent
    assert shop.effects() == []


def test_recovery_looks_up_while_charges_are_refused(shop: Shop) -> None:
    shop.psp.script({"error_after": True}, kind="authorize", times=20)
    answers = [shop.create(order_id=f"{shop.order_id}-{number}") for number in range(20)]
    shop.settle()
    assert {shop.intent(body_of(answer)["id"]).status for answer in answers} == {"CAPTURED"}


def calls(shop: Shop) -> list[Any]:
    return [c for c in shop.psp.calls(kind="authorize") if shop.order_id in str(c["order_id"])]
