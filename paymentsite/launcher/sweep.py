"""Ends processes that somebody we started has left behind."""

from __future__ import annotations

import os
from collections.abc import Collection

import psutil


def end_descendants(*, spared_sessions: Collection[int] = ()) -> None:
    """Kill every process below us, but those of the spared sessions (ours to stop in order).

    Sees all of them because orphans become our children (`lifeline.adopt_orphans`).
    """
    left = [
        process
        for process in psutil.Process().children(recursive=True)
        if _session_of(process.pid) not in spared_sessions
    ]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=3)


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None
