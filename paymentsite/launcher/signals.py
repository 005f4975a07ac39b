"""Ends a process when its parent dies (Linux only), and wakes its main thread for signals.

Web workers import this module: only the standard library may be used here.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int = signal.SIGKILL) -> None:
    """Have the kernel send this process `death_signal` when its parent ends."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)  # the parent died before the call above


def tied_to_parent(death_signal: int) -> Callable[[], None]:
    """Return the `preexec_fn` for a child that must die with this process.

    It runs between fork and exec, after the change of user, which would clear the setting.
    The kernel sends the signal when the *thread* that forked ends, so fork from the main thread.
    """
    parent_pid = os.getpid()

    def tie() -> None:
        if _LIBC is None:
            return
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent_pid:
            os._exit(1)

    return tie


def adopt_orphans() -> None:
    """Make this process the parent of its orphaned descendants, so that it can end them."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wake_main_thread_for_signals() -> None:
    """Make every signal that has a handler reach the main thread. Call it from the main thread.

    Python runs signal handlers in the main thread but does not wake it. A main thread that waits
    for a lock runs no handler until the kernel delivers a signal to that thread itself. A granian
    2.8.7 worker waits like this. On a busy machine one worker in ten kept serving after SIGTERM,
    and was killed ten seconds later with requests in progress.
    """
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    main = threading.main_thread().ident
    threading.Thread(
        target=_forward, args=(read_end, main), name="signal-wakeup", daemon=True
    ).start()


def _forward(read_end: int, main: int) -> None:
    """Forward each signal number once: forwarding raises the signal again."""
    forwarded: set[int] = set()
    while received := os.read(read_end, 1):
        number = received[0]
        if number not in forwarded:
            forwarded.add(number)
            signal.pthread_kill(main, number)
