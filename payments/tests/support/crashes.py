"""Run a command in a forked process that kills itself (SIGKILL) at a named step.

The steps wrap the real functions; nothing is replaced. What is left behind is in the database and
at the PSP, exactly as after a power cut.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from payments.services.commands import run
from payments.services.idempotency import keys
from payments.services.operations import execution
from payments.services.psp_gateway import accounts, sending
from paymentsite.launcher.signals import die_with_parent

Where = tuple[Any, str, str]

# step: (module or class, function, "before" or "after")
STEPS: dict[str, Where] = {
    "before the claim": (keys, "claim", "before"),
    "after the claim, before the commit": (keys, "claim", "after"),
    "after the commit": (execution, "execute", "before"),
    "before the PSP has it": (sending, "send", "before"),
    "after the PSP has done it": (sending, "send", "after"),
    "in the second transaction": (keys, "put_answer", "after"),
    "after the second commit": (execution, "record_outcome", "after"),
    "before the answer leaves": (execution, "execute", "after"),
}


def crash(step: str, command: Callable[[], object]) -> None:
    """Fork, run `command` there, and be killed at `step`; fails if the step was never reached."""
    crash_at(STEPS[step], command)


def crash_at(where: Where, command: Callable[[], object]) -> None:
    """Like `crash`, at any function: module or class, its name, and "before" or "after"."""
    connections.close_all()
    child = os.fork()
    if child == 0:
        _run_and_die(where, command)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the step {where[1:]} was never reached"
    assert os.WTERMSIG(status) == signal.SIGKILL


def crash_at_moment(number: int, command: Callable[[], object]) -> bool:
    """Fork, run `command` there, and be killed at its nth moment; False if it has fewer.

    A moment is before or after any statement, commit or call to the PSP, in whichever thread.
    """
    connections.close_all()
    child = os.fork()
    if child == 0:
        try:
            be_a_process_of_its_own()
            _count_moments(number)
            command()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


class ForkedCommand:
    """A management command in a forked process, which need not import the project again.

    As real as one that was started, and there at once. A test of how a command starts uses a new
    Python process instead. The command has printed its first line.
    """

    def __init__(self, *arguments: str, **given: Any) -> None:
        """Settings are keyword arguments. Call it while no other thread uses Django."""
        connections.close_all()
        said, says = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _run_command(arguments, given, says)
        os.close(says)
        with os.fdopen(said) as output:
            assert output.readline(), f"{arguments[0]} ended at once"

    def wait(self, seconds: float) -> int:
        """The exit status of a command that ended by itself; fails if it does not end in time."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, "the command did not end"
            time.sleep(0.01)

    def is_running(self) -> bool:
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def kill(self) -> None:
        """kill -9 and wait. Does nothing if that has happened."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _count_moments(number: int) -> None:
    moments = itertools.count(1)
    one_at_a_time = threading.Lock()

    def pass_moment() -> None:
        with one_at_a_time:
            if next(moments) == number:
                os.kill(os.getpid(), signal.SIGKILL)

    places: list[tuple[Any, str]] = [
        (CursorWrapper, "execute"),
        (BaseDatabaseWrapper, "_commit"),
        (sending, "send"),
    ]
    for module, name in places:
        setattr(module, name, _between(getattr(module, name), pass_moment))


def _between(original: Callable[..., Any], pass_moment: Callable[[], None]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        pass_moment()
        result = original(*args, **kwargs)
        pass_moment()
        return result

    return call


def _run_and_die(where: Where, command: Callable[[], object]) -> None:
    try:
        be_a_process_of_its_own()
        _arm(*where)
        command()
    finally:
        os._exit(0)


def be_a_process_of_its_own() -> None:
    """Close what a fork must not share with its parent.

    A fork inherits connections to the PSP, and two processes would read each other's answers.
    It inherits no threads; bulkheads start new ones by themselves.
    """
    accounts.forget_accounts()


def _run_command(arguments: tuple[str, ...], given: dict[str, Any], says: int) -> None:
    status = 1
    try:
        die_with_parent()
        be_a_process_of_its_own()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for name, value in given.items():
            setattr(settings, name, value)
        call_command(*arguments, stdout=os.fdopen(says, "w"))
        status = 0
    finally:
        os._exit(status)


def _arm(module: Any, name: str, when: str) -> None:
    original = getattr(module, name)

    def deadly(*args: Any, **kwargs: Any) -> Any:
        if when == "after":
            original(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, deadly)


assert run.keys is keys, "the steps are wrapped where the code looks them up"
