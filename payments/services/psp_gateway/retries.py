"""When a call to a PSP may be made again at once: the one layer of retries in front of a PSP.

Only what certainly never left us, or what the PSP turned away (429), with the same key; and pure
questions that somebody waits for. Never a doubt: an UNKNOWN is recovery's, which asks before it
repeats. At most two retries, with exponential backoff and full jitter, inside the time that the
caller has, and for no more than a tenth of the calls: a PSP in trouble is not helped by more calls.
SDKs and the HTTP client never retry, and recovery and notifications do not come here: their
schedules in the database are their retries.

What stamina gives: attempts, the sleeping, the end by attempts or by time. What it does not do, and
is done here: full jitter (its own is added to the backoff), a Retry-After, a budget shared by all
callers, and looking at results (it retries exceptions, so an unsent result becomes one inside).
What may not live here: PSPs' words, outcomes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, TypeVar

import stamina

from payments import metrics

T = TypeVar("T")

RETRIES_MAX: Final = 2
BACKOFF_FIRST_SECONDS: Final = 0.2
"""Doubled for the second and last retry; so there is nothing that a cap could cut off."""
BUDGET_SHARE: Final = 0.1
BUDGET_RESERVE: Final = 2.0
"""Retries that a quiet account has in hand: one request's worth."""
BUDGET_MAX: Final = 20.0
"""What a busy hour may save up for the next bad minute."""


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
    """A call certainly did nothing; `after_seconds` is the PSP's wish, if it has one."""

    after_seconds: float | None = None


class _Unsent(Exception):
    """A result that did nothing, on its way to stamina, which retries exceptions only."""

    def __init__(self, result: Any, again: TryAgain) -> None:
        super().__init__()
        self.result = result
        self.again = again


# stamina would log and count every retry by the name of a code block: `measures` does, by account.
stamina.instrumentation.set_on_retry_hooks([])

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
    """Call, and call again while `verdict` says that this did nothing; the last result.

    A retry that could not begin before `until_monotonic` is not made. Exceptions go through.
    """
    budget = _budget_of(account_code, kind)
    budget.earn()
    result = call()
    again = verdict(result)
    if again is None:  # Nearly always: stamina's machinery is not even set up.
        return result
    patience = _Patience(budget, account_code, kind, until_monotonic)
    try:
        for attempt in stamina.retry_context(patience.wait_seconds, RETRIES_MAX + 1, timeout=None):
            with attempt:
                if attempt.num > 1:
                    result = call()
                    again = verdict(result)
                if again is not None:
                    raise _Unsent(result, again)
    except _Unsent as unsent:
        last: T = unsent.result
        return last
    return result


@dataclass(slots=True)
class _Patience:
    """Decides after each failure of one call whether to go on, and how long to wait first."""

    budget: RetryBudget
    account_code: str
    kind: str
    until_monotonic: float
    retries: int = 0

    def wait_seconds(self, error: Exception) -> bool | float:
        """Stamina's hook: seconds of backoff, or False to let the error through."""
        if not isinstance(error, _Unsent) or self.retries >= RETRIES_MAX:
            return False
        most = BACKOFF_FIRST_SECONDS * 2**self.retries
        seconds = random.uniform(0, most) + (error.again.after_seconds or 0.0)
        if time.monotonic() + seconds >= self.until_monotonic:
            return False
        if not self.budget.spend():
            metrics.RETRIES_FORGONE.labels(self.account_code, self.kind).inc()
            return False
        self.retries += 1
        metrics.RETRIES.labels(self.account_code, self.kind).inc()
        return seconds


def _budget_of(account_code: str, kind: str) -> RetryBudget:
    budget = _budgets.get((account_code, kind))
    if budget is None:
        with _budgets_lock:
            budget = _budgets.setdefault((account_code, kind), RetryBudget())
    return budget
