"""Ties a process to its parent (Linux): when the parent dies, however it dies, so does the child.

Imported by web workers: only the standard library may be used here.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int = signal.SIGKILL) -> None:
    """Let the kernel send this process `death_signal` when its parent ends."""
    if _LIBC is None:
        return
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)  # it died before we asked


def tied_to_parent(death_signal: int) -> Callable[[], None]:
    """What a child runs between fork and exec, after it has changed its user, to be tied to us.

    The signal comes when the *thread* that forked ends: start children from the main thread.
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
    """Make this process the parent of grandchildren whose parent dies, so that it can end them."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
