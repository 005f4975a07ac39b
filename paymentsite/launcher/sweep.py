"""Ends processes that somebody we started has left behind."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def end_descendants(*, spared: Iterable[int] = ()) -> None:
    """Kill every process below us, but the spared ones and theirs (ours to stop in order).

    Sees all of them because orphans become our children (`parent_death.adopt_orphans`). Sessions would
    not do as a mark: PostgreSQL's processes each have one of their own.
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
