"""One lane per PSP account: the threads that wait for it, and the requests that wait for them.

A PSP that hangs fills its own lane and nobody else's: its calls have an executor of their own, and
at most half of the web server's threads wait for their budget behind it. Whoever comes on top waits
only a moment, then answers `processing`: the others' requests still find a thread. What may not
live here: money, the database, PSPs.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Final, TypeVar

from django.conf import settings

from payments import metrics

logger = logging.getLogger(__name__)

T = TypeVar("T")

ANSWERING_SECONDS: Final = 0.05
ANSWERING_SHARE: Final = 0.2
"""What is kept of a budget for writing the answer down: it must be out when the budget ends."""
CROWDED_WAIT_SECONDS: Final = 0.25
"""How long a request of a crowded lane waits: enough for a PSP that is busy and answers."""


class Lane:
    """Bounded threads for calls, and bounded patience for requests. Thread-safe."""

    def __init__(self, account_code: str) -> None:
        self._account_code = account_code
        # Threads are made when there is work for them, and stay.
        self._calls = ThreadPoolExecutor(settings.PSP_CALLS_MAX, thread_name_prefix="psp-call")
        self._places = BoundedSemaphore(settings.PSP_CALLS_MAX)
        self._patient = BoundedSemaphore(max(1, settings.API_THREADS // 2))

    def submit(self, call: Callable[[], T]) -> Future[T] | None:
        """Let a thread of this lane do it; None, with nothing begun, if all are busy."""
        if not self._places.acquire(blocking=False):
            metrics.REFUSALS.labels(self._account_code, "any", "full").inc()
            return None
        try:
            return self._calls.submit(self._in_place, call)
        except BaseException:
            self._places.release()
            raise

    def attend(self, call: Callable[[], object], *, answer_by: float | None) -> None:
        """Let a thread do it, and wait as long as the request may; raises what it raised by then.

        It goes on after that, and what goes wrong then is logged. Nothing is begun if all are busy.
        """
        future = self.submit(call)
        if future is None:
            return
        with self.patience(answer_by) as seconds:
            wait([future], timeout=seconds)
        if future.done():
            future.result()
        else:
            future.add_done_callback(_log_failure)

    @contextmanager
    def patience(self, answer_by: float | None) -> Iterator[float | None]:
        """How many seconds a request may wait in this lane, inside the block; None: for ever.

        `answer_by` is the request's own limit, a time of time.monotonic().
        """
        if self._patient.acquire(blocking=False):
            try:
                yield _seconds_to_wait(answer_by)
            finally:
                self._patient.release()
            return
        metrics.IMPATIENT_ANSWERS.labels(self._account_code).inc()
        left_seconds = _seconds_to_wait(answer_by)
        if left_seconds is None:
            yield CROWDED_WAIT_SECONDS
        else:
            yield min(left_seconds, CROWDED_WAIT_SECONDS)

    def _in_place(self, call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            self._places.release()


def _log_failure(future: Future[object]) -> None:
    error = future.exception()
    if error is not None:
        logger.error("what outlived its request in a lane failed", exc_info=error)


def _seconds_to_wait(moment: float | None) -> float | None:
    if moment is None:
        return None
    left_seconds = max(0.0, moment - time.monotonic())
    return left_seconds - min(ANSWERING_SECONDS, ANSWERING_SHARE * left_seconds)


_lanes: dict[str, Lane] = {}
_lanes_lock = Lock()


def lane_of(account_code: str) -> Lane:
    """The account's lane in this process."""
    lane = _lanes.get(account_code)
    if lane is None:
        with _lanes_lock:
            lane = _lanes.get(account_code) or Lane(account_code)
            _lanes[account_code] = lane
    return lane


def _begin_anew() -> None:
    """A process that was forked has none of its parent's threads."""
    global _lanes_lock
    _lanes_lock = Lock()
    _lanes.clear()


os.register_at_fork(after_in_child=_begin_anew)
