"""A bulkhead per PSP account: bounded threads for its calls, bounded requests that wait for them.

A PSP that hangs uses up its own threads only. At most half of the web server's threads wait for one
account until their budget ends. A request beyond these waits a moment, then answers `processing`,
so that requests of other accounts still find a thread.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from threading import BoundedSemaphore, Lock
from typing import Final, ParamSpec, TypeVar

from django.conf import settings
from django.db import connection, connections

from payments import metrics

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

ANSWERING_SECONDS: Final = 0.05
ANSWERING_SHARE: Final = 0.2
"""What is kept of a budget for writing the answer down: it must be out when the budget ends."""
CROWDED_WAIT_SECONDS: Final = 0.25
"""How long a request waits when half of the threads wait already: enough for a PSP that answers."""


class Bulkhead:
    """Permits for calls to one account, and for requests that wait for them. Thread-safe."""

    def __init__(self, account_code: str) -> None:
        self._account_code = account_code
        # Threads are made when there is work for them, and stay.
        self._calls = ThreadPoolExecutor(settings.PSP_CALLS_MAX, thread_name_prefix="psp-call")
        self._call_permits = BoundedSemaphore(settings.PSP_CALLS_MAX)
        self._wait_permits = BoundedSemaphore(max(1, settings.API_THREADS // 2))

    def submit(
        self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[T] | None:
        """Run a call in a thread of this account.

        Returns None, with nothing begun, if all its threads are busy. The thread gives its database
        connections back when the call ends.
        """
        if not self._call_permits.acquire(blocking=False):
            metrics.REFUSALS.labels(self._account_code, "any", "full").inc()
            return None
        try:
            return self._calls.submit(self._run, partial(call, *args, **kwargs))
        except BaseException:
            self._call_permits.release()
            raise

    def run_within(self, call: Callable[[], object], *, answer_by: float | None) -> None:
        """Run a call and wait as long as the request may; raises what the call raised by then.

        The call goes on after that, and its failure is logged. Nothing is begun if all threads are
        busy. Called outside any transaction; gives this thread's database connection back first.
        """
        connection.close()
        future = self.submit(call)
        if future is None:
            return
        with self.wait_budget(answer_by) as seconds:
            wait([future], timeout=seconds)
        if future.done():
            future.result()
        else:
            future.add_done_callback(_log_failure)

    @contextmanager
    def wait_budget(self, answer_by: float | None) -> Iterator[float | None]:
        """Yield the seconds that a request may wait for this account; None for no limit.

        `answer_by` is the request's own limit, a time of time.monotonic().
        """
        if self._wait_permits.acquire(blocking=False):
            try:
                yield _seconds_to_wait(answer_by)
            finally:
                self._wait_permits.release()
            return
        metrics.CROWDED_ANSWERS.labels(self._account_code).inc()
        left_seconds = _seconds_to_wait(answer_by)
        if left_seconds is None:
            yield CROWDED_WAIT_SECONDS
        else:
            yield min(left_seconds, CROWDED_WAIT_SECONDS)

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return call()
        finally:
            try:
                connections.close_all()
            finally:
                self._call_permits.release()


def _log_failure(future: Future[object]) -> None:
    error = future.exception()
    if error is not None:
        logger.error("a call that outlived its request failed", exc_info=error)


def _seconds_to_wait(moment: float | None) -> float | None:
    if moment is None:
        return None
    left_seconds = max(0.0, moment - time.monotonic())
    return left_seconds - min(ANSWERING_SECONDS, ANSWERING_SHARE * left_seconds)


_bulkheads: dict[str, Bulkhead] = {}
_bulkheads_lock = Lock()


def bulkhead_of(account_code: str) -> Bulkhead:
    """The account's bulkhead in this process."""
    bulkhead = _bulkheads.get(account_code)
    if bulkhead is None:
        with _bulkheads_lock:
            bulkhead = _bulkheads.get(account_code) or Bulkhead(account_code)
            _bulkheads[account_code] = bulkhead
    return bulkhead


def _drop_after_fork() -> None:
    """A process that was forked has none of its parent's threads."""
    global _bulkheads_lock
    _bulkheads_lock = Lock()
    _bulkheads.clear()


os.register_at_fork(after_in_child=_drop_after_fork)
