"""A call is repeated only if it had no effect, at most twice, and within a budget."""

from __future__ import annotations

import math
import time
import uuid
from itertools import pairwise
from typing import Any

import pytest

from payments import metrics
from payments.exceptions import PspNotReached
from payments.models import Operation
from payments.services.psp_gateway import retries
from payments.services.psp_gateway.retries import (
    BUDGET_RESERVE,
    RETRIES_MAX,
    RetryBudget,
    TryAgain,
    call_with_retries,
)
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.shop import Shop, body_of, open_shop
from psp_adapters.tests.support.sandbox_process import SandboxProcess


class Calls:
    """A call that does nothing for the first `failures` times."""

    def __init__(self, failures: int, after_seconds: float | None = None) -> None:
        self.failures = failures
        self.after_seconds = after_seconds
        self.made_at: list[float] = []

    def make(self) -> bool:
        self.made_at.append(time.monotonic())
        return len(self.made_at) > self.failures

    def verdict(self, done: bool) -> TryAgain | None:
        return None if done else TryAgain(after_seconds=self.after_seconds)

    def run(self, account: str = "", *, seconds: float = 60.0) -> bool:
        return call_with_retries(
            self.make,
            self.verdict,
            account_code=account or uuid.uuid4().hex,
            kind="charge",
            until_monotonic=time.monotonic() + seconds,
        )


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """No backoff; the bounds that were drawn between."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    monkeypatch.setattr(retries.random, "uniform", uniform)
    return drawn


def test_a_call_that_was_not_sent_is_repeated(no_wait: list[Any]) -> None:
    calls = Calls(failures=2)
    assert calls.run() is True
    assert len(calls.made_at) == 3


def test_a_call_is_repeated_at_most_twice(no_wait: list[Any]) -> None:
    calls = Calls(failures=99)
    assert calls.run() is False
    assert len(calls.made_at) == 1 + RETRIES_MAX


def test_the_backoff_doubles_with_full_jitter(no_wait: list[tuple[float, float]]) -> None:
    Calls(failures=99).run()
    assert no_wait == [(0, 0.2), (0, 0.4)]


def test_a_retry_waits_exactly_the_drawn_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 5.6 caps a backoff at 5 s: the longest that can be drawn is far below."""
    monkeypatch.setattr(retries.random, "uniform", lambda low, high: high)
    calls = Calls(failures=99)
    assert calls.run() is False
    pauses = [later - earlier for earlier, later in pairwise(calls.made_at)]
    assert len(pauses) == RETRIES_MAX
    for pause, drawn in zip(pauses, (0.2, 0.4), strict=True):
        assert drawn <= pause < drawn + 2, pauses


def test_retry_after_of_the_psp_is_respected() -> None:
    calls = Calls(failures=1, after_seconds=0.3)
    assert calls.run() is True
    assert calls.made_at[1] - calls.made_at[0] >= 0.3


def test_a_retry_that_could_not_begin_in_time_is_not_made() -> None:
    calls = Calls(failures=1, after_seconds=30)
    assert calls.run(seconds=2) is False
    assert len(calls.made_at) == 1


def test_retries_are_at_most_a_tenth_of_the_calls(no_wait: list[Any]) -> None:
    account = uuid.uuid4().hex
    made = 0
    for _ in range(200):
        calls = Calls(failures=99)
        calls.run(account)
        made += len(calls.made_at) - 1
    assert made <= 0.1 * 200 + BUDGET_RESERVE
    forgone = metrics.RETRIES_FORGONE.labels(account, "charge")._value.get()
    assert forgone > 0
    assert metrics.RETRIES.labels(account, "charge")._value.get() == made


def test_a_budget_is_saved_up_to_a_bound() -> None:
    budget = RetryBudget()
    for _ in range(10_000):
        budget.earn()
    assert sum(budget.spend() for _ in range(1_000)) == retries.BUDGET_MAX


def test_retries_of_one_account_do_not_spend_anothers_budget(no_wait: list[Any]) -> None:
    first = uuid.uuid4().hex
    for _ in range(10):
        Calls(failures=99).run(first)
    assert Calls(failures=2).run() is True


def test_an_exception_is_raised_and_not_repeated() -> None:
    calls = []

    def fail() -> bool:
        calls.append(1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call_with_retries(
            fail, lambda _: TryAgain(), account_code="x", kind="query", until_monotonic=math.inf
        )
    assert len(calls) == 1


# --- with a PSP ---------------------------------------------------------------------------------


def test_a_rate_limit_is_survived_with_the_same_key(shop: Shop) -> None:
    shop.psp.script({"rate_limit": True}, order_id=shop.order_id, kind="authorize")
    assert body_of(shop.create())["status"] == "succeeded"
    keys = [call["idempotency_key"] for call in charges(shop)]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert [effect["kind"] for effect in shop.effects()] == ["authorize", "capture"]


@pytest.mark.parametrize("fault", ["drop_before", "drop_after", "error_before", "truncate"])
def test_an_unknown_outcome_is_never_repeated_by_the_request(shop: Shop, fault: str) -> None:
    shop.psp.script({fault: True}, order_id=shop.order_id, kind="authorize")
    assert body_of(shop.create())["status"] == "processing"
    assert len(charges(shop)) == 1


def test_a_decline_is_not_repeated(shop: Shop) -> None:
    shop.create(token="pm_card_chargeDeclined")
    assert len(charges(shop)) == 1


def test_an_unreachable_psp_is_retried_and_then_the_outcome_is_not_sent(
    database: None,
) -> None:
    with SandboxProcess() as own:
        lonely = open_shop(own)
        assert body_of(lonely.create())["status"] == "succeeded"
        own.kill()
        with pytest.raises(PspNotReached):
            lonely.create(order_id="another")
        assert metrics.RETRIES.labels(lonely.account.code, "charge")._value.get() == 2
    statuses = Operation.objects.order_by("id").values_list("status", flat=True)
    assert list(statuses) == ["SUCCEEDED", "NOT_SENT"]


def test_recovery_does_not_retry_within_one_check(shop: Shop) -> None:
    shop.psp.script({"drop_before": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create())["id"]
    shop.psp.script({"rate_limit": True}, times=None, kind="authorize")
    operation = shop.operations(intent_id)[0]
    Operation.objects.filter(pk=operation.pk).update(lease_until="2000-01-01T00:00:00Z")
    recovery_sweep.resolve_operation(operation.pk, actor="test")
    assert len(charges(shop)) == 2
    assert shop.operations(intent_id)[0].status == "UNKNOWN"


def charges(shop: Shop) -> list[Any]:
    return shop.psp.calls(order_id=shop.order_id, kind="authorize")
