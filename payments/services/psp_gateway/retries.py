"""Retries a call to a PSP within the request, only if it certainly had no effect.

Retried with the same key: a call that was not sent, one that the PSP rate-limited (429), and a
look-up that a request waits for. Never an UNKNOWN: recovery looks it up before it repeats. At most
two retries, with exponential backoff and full jitter, within the caller's time, and for no more
than a tenth of the calls: more calls do not help a PSP in trouble. SDKs and the HTTP client never
retry; recovery and notifications retry by their schedules in the database.

tenacity makes the attempts and sleeps. The budget that all callers share is ours.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Generic, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_result

from payments import metrics

T = TypeVar("T")

RETRIES_MAX: Final = 2
BACKOFF_FIRST_SECONDS: Final = 0.2
"""Doubled for the second and last retry, so no cap is needed."""
BUDGET_SHARE: Final = 0.1
BUDGET_RESERVE: Final = 2.0
"""Retries that an idle account has: enough for one request."""
BUDGET_MAX: Final = 20.0
"""The most that many calls can save up."""


class RetryBudget:
    """Every call earns a tenth of a retry. Thread-safe."""

    def __init__(self) -> None:
        self._balance = BUDGET_RESERVE
        self._lock = Lock()

    def earn(self) -> None:
        """Count a call that is no retry."""
        with self._lock:
            self._balance = min(self._balance + BUDGET_SHARE, BUDGET_MAX)

    def spend(self) -> bool:
        """Take one retry out; False if there is none."""
        with self._lock:
            if self._balance < 1 - 1e-9:
                return False
            self._balance -= 1
            return True


@dataclass(frozen=True, slots=True)
class TryAgain:
    """A call certainly did nothing; `after_seconds` is the PSP's Retry-After, if any."""

    after_seconds: float | None = None


_budgets: dict[tuple[str, str], RetryBudget] = {}
_budgets_lock = Lock()


def call_with_retries(
    call: Callable[[], T],
    verdict: Callable[[T], TryAgain | None],
    *,
    account_code: str,
    kind: str,
    until_monotonic: float,
) -> T:
    """Call, and call again while `verdict` says that this did nothing; returns the last result.

    A retry that could not begin before `until_monotonic` is not made. Exceptions go through.
    """
    budget = _budget_of(account_code, kind)
    budget.earn()
    first = call()
    if verdict(first) is None:  # Nearly always: no attempts to set up.
        return first
    policy = _Policy(budget, account_code, kind, until_monotonic, verdict)
    known = [first]
    last: T = Retrying(
        retry=retry_if_result(lambda result: verdict(result) is not None),
        wait=policy.wait_seconds,
        stop=policy.is_over,
        retry_error_callback=_last_result,
    )(lambda: known.pop() if known else call())
    return last


@dataclass(frozen=True, slots=True)
class _Policy(Generic[T]):
    """Decides after each call that did nothing whether to retry, and how long to wait first."""

    budget: RetryBudget
    account_code: str
    kind: str
    until_monotonic: float
    verdict: Callable[[T], TryAgain | None]

    def wait_seconds(self, state: RetryCallState) -> float:
        """Seconds of backoff, on top of what the PSP asks for."""
        again = self.verdict(_last_result(state))
        if state.attempt_number > RETRIES_MAX or again is None:
            return 0.0
        most = BACKOFF_FIRST_SECONDS * 2 ** (state.attempt_number - 1)
        return random.uniform(0, most) + (again.after_seconds or 0.0)

    def is_over(self, state: RetryCallState) -> bool:
        """Is no retry allowed any more? If one is, it is taken out of the budget."""
        if state.attempt_number > RETRIES_MAX:
            return True
        if time.monotonic() + state.upcoming_sleep >= self.until_monotonic:
            return True
        if not self.budget.spend():
            metrics.RETRIES_FORGONE.labels(self.account_code, self.kind).inc()
            return True
        metrics.RETRIES.labels(self.account_code, self.kind).inc()
        return False


def _last_result(state: RetryCallState) -> Any:
    assert state.outcome is not None, "a call was made"
    return state.outcome.result()


def _budget_of(account_code: str, kind: str) -> RetryBudget:
    budget = _budgets.get((account_code, kind))
    if budget is None:
        with _budgets_lock:
            budget = _budgets.setdefault((account_code, kind), RetryBudget())
    return budget
