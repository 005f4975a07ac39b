"""Processor time of processes and all that they started, read from /proc.

What may not live here: starting processes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of_line(line: str) -> float:
    """User and system time in a line of /proc/<pid>/stat, with that of children it waited for."""
    # The name in parentheses may hold blanks and parentheses itself.
    fields = line.rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / _TICKS


def seconds_of_tree(root: int) -> float:
    """What a process and its living and finished descendants have used so far."""
    total = 0.0
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with suppress(FileNotFoundError, ProcessLookupError):
            total += seconds_of_line(Path(f"/proc/{pid}/stat").read_text())
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return total


def busy_seconds() -> float:
    """What the whole machine has used so far, ours and others'."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft_irq = (int(value) for value in fields[:7])
    return (user + nice + system + irq + soft_irq) / _TICKS


class Meter:
    """Differences of processor time since it was made, by name of the group."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self._roots = dict(roots)
        self._before = {name: seconds_of_tree(root) for name, root in self._roots.items()}
        self._busy_before = busy_seconds()

    def used(self) -> dict[str, float]:
        """Seconds by group; `elsewhere` is what the rest of the machine used."""
        used = {
            name: seconds_of_tree(root) - self._before[name] for name, root in self._roots.items()
        }
        used["elsewhere"] = max(0.0, busy_seconds() - self._busy_before - sum(used.values()))
        return used
