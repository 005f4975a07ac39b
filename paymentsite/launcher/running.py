"""Runs `run -- COMMAND`: one command, with a database and a Redis that end with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from paymentsite.launcher import state
from paymentsite.launcher.embedded import services
from paymentsite.launcher.processes import end_descendants
from paymentsite.launcher.progress import LauncherError
from paymentsite.launcher.signals import adopt_orphans, tied_to_parent


def run(command: Sequence[str], *, durable: bool = False) -> int:
    """Run the command, end every process that it started, and return its exit code.

    The embedded cluster is new and is removed. Only if `durable`, a commit waits for the disk.
    """
    if shutil.which(command[0]) is None:
        raise LauncherError(f"there is no command {command[0]!r}")
    adopt_orphans()
    with (
        state.fresh_folder("run-") as folder,
        services(folder, durable=durable) as (variables, ours),
    ):
        try:
            return _run_in_foreground(
                command, {**os.environ, **variables, "RUN_FOLDER": str(folder)}
            )
        finally:
            end_descendants(spared=[process.pid for process in ours if process.pid])


def _run_in_foreground(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run it in the launcher's process group: Ctrl-C reaches it directly."""
    child: subprocess.Popen[bytes] | None = None

    def forward(number: int, _frame: FrameType | None) -> None:
        if child is not None:
            child.send_signal(number)

    sys.stdout.flush()
    before = {n: signal.signal(n, forward) for n in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        child = subprocess.Popen(
            list(command), env=environment, preexec_fn=tied_to_parent(signal.SIGKILL)
        )
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code
