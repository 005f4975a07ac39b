"""A PSP account that hangs uses up its own bulkhead only."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.conf import settings
from django.db import connections

from payments.services.psp_gateway.bulkhead import ANSWERING_SECONDS, CROWDED_WAIT_SECONDS, Bulkhead
from payments.tests.support.shop import Shop, body_of, open_shop
from psp_adapters.tests.support.sandbox_process import SandboxProcess


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads for calls, and one request that may wait for its whole budget."""
    monkeypatch.setattr(settings, "PSP_CALLS_MAX", 2)
    monkeypatch.setattr(settings, "API_THREADS", 2)


def test_a_full_bulkhead_begins_nothing_and_is_free_again_afterwards(narrow: None) -> None:
    bulkhead, leave = Bulkhead(uuid.uuid4().hex), threading.Event()
    held = [bulkhead.submit(lambda: leave.wait(10)) for _ in range(2)]
    assert bulkhead.submit(lambda: True) is None
    leave.set()
    assert all(each is not None and each.result(10) for each in held)
    assert _until_accepted(bulkhead)


def test_a_call_that_raises_returns_its_permit(narrow: None) -> None:
    bulkhead = Bulkhead(uuid.uuid4().hex)
    for _ in range(5):
        future = _until_accepted(bulkhead, lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            future.result(10)


def test_at_most_half_of_the_requests_wait_for_their_whole_budget(narrow: None) -> None:
    bulkhead = Bulkhead(uuid.uuid4().hex)
    far = time.monotonic() + 8
    with bulkhead.wait_budget(far) as seconds:
        assert seconds == pytest.approx(8 - ANSWERING_SECONDS, abs=0.2)
        with bulkhead.wait_budget(far) as crowded:
            assert crowded == CROWDED_WAIT_SECONDS
        with bulkhead.wait_budget(None) as crowded:
            assert crowded == CROWDED_WAIT_SECONDS
        with bulkhead.wait_budget(time.monotonic() + 0.1) as crowded:
            assert crowded is not None
            assert crowded < 0.1
    with bulkhead.wait_budget(None) as seconds:
        assert seconds is None


def test_the_answer_has_a_share_of_a_short_budget(narrow: None) -> None:
    bulkhead = Bulkhead(uuid.uuid4().hex)
    with bulkhead.wait_budget(time.monotonic() + 0.1) as seconds:
        assert seconds == pytest.approx(0.08, abs=0.02)
    with bulkhead.wait_budget(time.monotonic() - 5) as seconds:
        assert seconds == 0


def test_an_account_that_hangs_does_not_slow_another(shop: Shop) -> None:
    """More requests than half of the threads meet a PSP that hangs: no thread is missed."""
    with SandboxProcess() as hanging:
        stuck = open_shop(hanging)
        hanging.set_behavior(hang_before=1.0, hang_seconds=30, kinds=["authorize"])
        waiting_most = settings.API_THREADS // 2
        with ThreadPoolExecutor(waiting_most + 4) as requests:
            waiting = [requests.submit(in_thread, stuck, 3.0) for _ in range(waiting_most + 2)]
            # Those on top of the waiting ones are answered soon; the others still wait.
            _wait_until(lambda: sum(each.done() for each in waiting) >= 2)
            begun = time.monotonic()
            answers = [in_thread(shop, 10.0) for _ in range(5)]
            assert time.monotonic() - begun < 10
            assert [each["status"] for each in answers] == ["succeeded"] * 5
            assert {each.result(30)["status"] for each in waiting} == {"processing"}
        hanging.heal()
        stuck.settle()
    assert len(shop.psp.effects()) > 0


def in_thread(shop: Shop, budget_seconds: float) -> dict[str, Any]:
    """A payment with a budget, as a thread of the web server makes it."""
    try:
        caller = shop.caller(answer_by_monotonic=time.monotonic() + budget_seconds)
        return body_of(shop.create(order_id=f"order-{uuid.uuid4().hex}", caller=caller))
    finally:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()


def _until_accepted(bulkhead: Bulkhead, call: Any = lambda: True) -> Any:
    end = time.monotonic() + 10
    while (future := bulkhead.submit(call)) is None:
        assert time.monotonic() < end, "no permit became free"
        time.sleep(0.01)
    return future


def _wait_until(condition: Any) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
