"""Kills processes that a child of the launcher left behind."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def end_descendants(*, spared: Iterable[int] = ()) -> None:
    """Kill every descendant of this process, except the `spared` pids and their descendants.

    Orphans are found too: they become children of this process (`parent_death.adopt_orphans`).
    Session ids would not find them all: each PostgreSQL process has a session of its own.
    """
    kept = set(spared)
    left = [
        process
        for child in psutil.Process().children()
        if child.pid not in kept
        for process in (child, *_descendants(child))
    ]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=3)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
