"""Guards every call to a PSP with a circuit breaker and permits, per account and kind of call.

Why not pybreaker: it opens after N failures in a row and holds no window, so a PSP that fails
every second call never opens it, and a half-open one lets every waiting thread through. Retries
stand around this (psp_gateway.retries).

State is in the memory of one process, on purpose: two processes that see different things of a PSP
are both right, and a breaker that needs Redis fails when Redis does.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from threading import BoundedSemaphore, Lock
from typing import Final

from django.conf import settings

from payments import metrics

WINDOW_SECONDS: Final = 30.0
CALLS_MIN: Final = 20
"""Fewer calls than this in the window say nothing about a PSP."""
FAILURE_SHARE: Final = 0.5
OPEN_SECONDS_FIRST: Final = 5.0
OPEN_SECONDS_MAX: Final = 60.0


class CallKind(StrEnum):
    """Kinds of calls that fail independently and must not use up each other's permits."""

    CHARGE = "charge"
    MODIFY = "modify"
    QUERY = "query"
    RECOVERY = "recovery"
    """Look-ups of the recovery job: the first to notice that a PSP answers again."""


PERMITS: Final = {
    CallKind.CHARGE: 200,
    CallKind.MODIFY: 64,
    CallKind.QUERY: 32,
    CallKind.RECOVERY: 16,
}
"""Calls under way at once, per account and process; one kind cannot starve another."""


class CallRefused(Exception):
    """The call must not be made now; nothing was sent."""

    def __init__(self, reason: str, *, code: str, retry_after_seconds: float) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True)
class Verdict:
    """What a call says about the PSP's health: set by the caller, failed until it is."""

    healthy: bool = False
    closed_circuit: bool = False
    """Known after the call: it was the probe that showed the PSP to be well again."""
    outcome: str = ""
    """The label that it is counted under; empty: `answered` or `failed`, by `healthy`."""


class Breaker:
    """Opens when half of at least 20 calls of the last 30 s failed; then lets one probe through.

    Open for 5 s, doubled each time the probe fails, to 60 s, ±20 %. Declines are health, not
    failure. Thread-safe.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._open_until = 0.0
        self._open_seconds = 0.0
        self._probing = False

    @property
    def open_until(self) -> float:
        """When it lets a probe through, by its own clock; 0 while it is closed."""
        with self._lock:
            return self._open_until if self._open_seconds else 0.0

    @property
    def state(self) -> str:
        """`closed`, `open` or `half_open`, for the console."""
        with self._lock:
            if not self._open_seconds:
                return "closed"
            return "open" if self._clock() < self._open_until else "half_open"

    def admit(self) -> bool:
        """Let a call through; returns True if it is the probe of a half-open circuit.

        Raises CallRefused while the circuit is open, or another probe is under way.
        """
        with self._lock:
            if not self._open_seconds:
                return False
            now = self._clock()
            if now < self._open_until:
                left_seconds = self._open_until - now
                raise CallRefused(
                    "the circuit is open", code="open", retry_after_seconds=left_seconds
                )
            if self._probing:
                raise CallRefused(
                    "the circuit is being probed", code="probing", retry_after_seconds=1.0
                )
            self._probing = True
            return True

    def record(self, *, healthy: bool, probe: bool) -> bool:
        """Count a call that was let through; returns True if it closed the circuit.

        `probe` is what `admit` returned.
        """
        with self._lock:
            now = self._clock()
            if probe:
                self._probing = False
                self._close() if healthy else self._open(now)
                return healthy
            if self._open_seconds:
                return False  # A call from before the circuit opened says nothing new.
            self._count(now, healthy)
            calls = len(self._calls)
            if calls >= CALLS_MIN and self._failures >= FAILURE_SHARE * calls:
                self._open(now)
            return False

    def _count(self, now: float, healthy: bool) -> None:
        self._calls.append((now, healthy))
        self._failures += not healthy
        while self._calls[0][0] < now - WINDOW_SECONDS:
            self._failures -= not self._calls.popleft()[1]

    def _open(self, now: float) -> None:
        self._open_seconds = min(self._open_seconds * 2 or OPEN_SECONDS_FIRST, OPEN_SECONDS_MAX)
        self._open_until = now + self._open_seconds * random.uniform(0.8, 1.2)
        self._calls.clear()
        self._failures = 0

    def _close(self) -> None:
        self._open_seconds = 0.0


class _Guard:
    """Breaker, permits and metrics of one account and kind of call."""

    def __init__(self, account_code: str, kind: CallKind) -> None:
        self.breaker = Breaker()
        self.permits = BoundedSemaphore(PERMITS[kind])
        self._labels = (account_code, kind.value)
        self._in_use = metrics.PLACES_IN_USE.labels(*self._labels)
        self._open_until = metrics.BREAKER_OPEN_UNTIL.labels(*self._labels)
        self._shown = 0.0
        self._showing = Lock()

    def enter(self) -> bool:
        """Take a permit; returns True if this call is the probe of a half-open circuit.

        Raises CallRefused.
        """
        if not self.permits.acquire(blocking=False):
            self._count_refusal("full")
            raise CallRefused(
                "too many calls of this kind are under way", code="full", retry_after_seconds=1.0
            )
        try:
            probe = settings.PSP_BREAKERS and self.breaker.admit()
        except CallRefused as refusal:
            self.permits.release()
            self._count_refusal(refusal.code)
            raise
        self._in_use.inc()
        return probe

    def leave(self, *, healthy: bool, probe: bool) -> bool:
        """Give the permit back and count how the call went; True if that closed the circuit."""
        self._in_use.dec()
        self.permits.release()
        if not settings.PSP_BREAKERS:
            return False
        closed = self.breaker.record(healthy=healthy, probe=probe)
        if probe or not healthy:  # Nothing else moves a circuit.
            self._show()
        return closed

    def _show(self) -> None:
        """Export until when it is open; a reader of the metric derives the state at that time."""
        with self._showing:  # Read under the lock, so that the last writer shows the newest value.
            until = self.breaker.open_until
            if until == self._shown:
                return
            if until:
                metrics.BREAKER_OPENED.labels(*self._labels).inc()
            self._shown = until
            left_seconds = until - time.monotonic()
            self._open_until.set(time.time() + left_seconds if until else 0.0)

    def _count_refusal(self, code: str) -> None:
        metrics.REFUSALS.labels(*self._labels, code).inc()


_guards: dict[tuple[str, CallKind], _Guard] = {}
_guards_lock = Lock()


@contextmanager
def guarded_call(account_code: str, kind: CallKind) -> Iterator[Verdict]:
    """Make one call inside; raises CallRefused, before anything is sent, if it must not be made.

    Set `verdict.healthy` when the PSP answered, whatever the answer, and `verdict.outcome` to the
    label to count. An exception counts as a failure.
    """
    guard = _guard_of(account_code, kind)
    probe = guard.enter()
    verdict = Verdict()
    begun = time.monotonic()
    try:
        yield verdict
    finally:
        verdict.closed_circuit = guard.leave(healthy=verdict.healthy, probe=probe)
        metrics.CALL_SECONDS.labels(account_code, kind.value).observe(time.monotonic() - begun)
        outcome = verdict.outcome or ("answered" if verdict.healthy else "failed")
        metrics.CALLS.labels(account_code, kind.value, outcome).inc()


def is_open(account_code: str, kind: CallKind) -> bool:
    """Would a call be refused now because earlier ones failed? A probe is let through."""
    guard = _guards.get((account_code, kind))
    return settings.PSP_BREAKERS and guard is not None and guard.breaker.state == "open"


def _guard_of(account_code: str, kind: CallKind) -> _Guard:
    guard = _guards.get((account_code, kind))
    if guard is None:
        with _guards_lock:
            guard = _guards.setdefault((account_code, kind), _Guard(account_code, kind))
    return guard
