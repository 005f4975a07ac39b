"""kill -9 at every step of a money move: the repeated request finishes it, with one effect."""

from __future__ import annotations

import time

import pytest

from payments.exceptions import IdempotencyKeyInUse
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.merchant_webhooks.test_relay import wait_until
from payments.tests.support.crashes import STEPS, crash
from payments.tests.support.money_moves import COMMANDS, Move, end_leases
from payments.tests.support.shop import Shop, body_of


@pytest.mark.matrix
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_repeated_request_after_a_crash_ends_in_one_effect(
    shop: Shop, name: str, step: str
) -> None:
    move = Move(shop, name)

    crash(step, move.run)
    end_leases()
    answer = move.run()
    again = move.run()

    assert answer.status == 200
    assert (again.body, again.replayed) == (answer.body, True)
    move.ended_once()


@pytest.mark.matrix
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("name", COMMANDS)
def test_recovery_finishes_a_request_that_the_merchant_does_not_repeat(
    shop: Shop, name: str, step: str
) -> None:
    move = Move(shop, name)
    crash(step, move.run)
    end_leases()

    recovery_sweep.resolve_due_operations()

    if step in ("before the claim", "after the claim, before the commit"):
        move.had_no_effect_yet()
    else:
        move.ended_once()


def test_a_repeat_while_the_first_request_runs_is_refused(shop: Shop) -> None:
    caller = shop.caller(key="the key")
    crash("before the PSP has it", lambda: shop.create(caller=caller))
    with pytest.raises(IdempotencyKeyInUse):
        shop.create(caller=caller)
    assert shop.effects() == []


def test_a_repeat_that_resumes_an_earlier_request_keeps_its_wait_budget(shop: Shop) -> None:
    crash("before the PSP has it", lambda: shop.create(caller=shop.caller(key="the key")))
    end_leases()
    shop.psp.script({"hold": True}, order_id=shop.order_id, kind="authorize")
    began = time.monotonic()
    hurried = shop.caller(key="the key", answer_by_monotonic=began + 0.3)
    answer = shop.create(caller=hurried)
    assert time.monotonic() - began < 10, "the PSP would hold its answer for ever"
    assert body_of(answer)["status"] == "processing"
    wait_until(lambda: shop.psp.release() > 0)
    wait_until(lambda: shop.intent(body_of(answer)["id"]).status == "CAPTURED")
    assert [each["kind"] for each in shop.effects()] == ["authorize", "capture"]
    assert shop.create(caller=shop.caller(key="the key")).body == answer.body
