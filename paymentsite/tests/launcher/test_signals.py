"""A main thread that waits for a lock handles a signal that another thread received."""

from __future__ import annotations

import subprocess
import sys

from paymentsite.launcher import state

WAITS = """
import signal, sys, threading, time
from paymentsite.launcher.signals import wake_main_thread_for_signals

handled = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: handled.set())
if sys.argv[1] == "with wakeup":
    wake_main_thread_for_signals()

def other():
    while sys._current_frames()[threading.main_thread().ident].f_code.co_name != "wait":
        time.sleep(0.01)
    time.sleep(0.2)  # until the main thread waits inside the lock
    print("waiting", flush=True)
    sys.stdin.read()
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()

threading.Thread(target=other, daemon=True).start()
handled.wait()
"""


def ends(wakeup: str, *, within_seconds: float) -> bool:
    command = [sys.executable, "-c", WAITS, wakeup]
    process = subprocess.Popen(
        command, cwd=state.PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "waiting\n"
    process.stdin.close()
    try:
        return process.wait(within_seconds) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_signal_that_another_thread_received_is_handled() -> None:
    assert ends("with wakeup", within_seconds=20)


def test_without_it_the_signal_is_not_handled() -> None:
    assert not ends("without wakeup", within_seconds=1)
