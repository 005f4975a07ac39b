"""Lets the main thread hear a signal that the kernel gave to another one.

Python runs its handlers in the main thread, but does not wake it: one that waits for a lock hears
nothing until the signal happens to reach it. A web worker waits like this (granian 2.8.7), so on a
busy machine about every tenth one went on serving after SIGTERM, and was killed ten seconds later
with requests under way. What may not live here: what a signal means.
"""

from __future__ import annotations

import os
import signal
import threading


def wake_main_thread_for_signals() -> None:
    """From now on every signal with a handler reaches the main thread, which must call this."""
    ear, mouth = os.pipe()
    os.set_blocking(mouth, False)
    signal.set_wakeup_fd(mouth, warn_on_full_buffer=False)
    main = threading.main_thread().ident
    threading.Thread(target=_pass_on, args=(ear, main), name="signal-ears", daemon=True).start()


def _pass_on(ear: int, main: int) -> None:
    """Each kind once: passing one on is a signal again."""
    told: set[int] = set()
    while heard := os.read(ear, 1):
        number = heard[0]
        if number not in told:
            told.add(number)
            signal.pthread_kill(main, number)
