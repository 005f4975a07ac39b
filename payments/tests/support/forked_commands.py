"""Runs management commands in forked processes, which need not import the project again.

As real as one that was started (it is killed, stopped, continued), and there at once. A test of how
a command starts uses a new Python process instead.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from payments.tests.support.crashes import be_a_process_of_its_own
from paymentsite.launcher.parent_death import die_with_parent


class ForkedCommand:
    """A command that runs until it is killed. It has said its first line."""

    def __init__(self, *arguments: str, **given: Any) -> None:
        """Settings are keyword arguments. Call it while no other thread uses Django."""
        connections.close_all()
        said, says = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _run(arguments, given, says)
        os.close(says)
        with os.fdopen(said) as output:
            assert output.readline(), f"{arguments[0]} ended at once"

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def kill(self) -> None:
        """kill -9, and nothing of it is left. Does nothing if that has happened."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = 0


def _run(arguments: tuple[str, ...], given: dict[str, Any], says: int) -> None:
    try:
        die_with_parent()
        be_a_process_of_its_own()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        for name, value in given.items():
            setattr(settings, name, value)
        call_command(*arguments, stdout=os.fdopen(says, "w"))
    finally:
        os._exit(1)
