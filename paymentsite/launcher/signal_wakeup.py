"""Wakes the main thread for a signal that the kernel delivered to another thread.

Python runs signal handlers in the main thread but does not wake it. A main thread that waits for a
lock runs no handler until the kernel delivers a signal to that thread itself. A granian 2.8.7
worker waits like this. On a busy machine one worker in ten kept serving after SIGTERM, and was
killed ten seconds later with requests in progress.
"""

from __future__ import annotations

import os
import signal
import threading


def wake_main_thread_for_signals() -> None:
    """Make every signal that has a handler reach the main thread. Call it from the main thread."""
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
