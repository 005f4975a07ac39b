"""How fast doubts ended, and whether that is fast enough. Pure.

From the moment a doubt was seen to its end, and from the end of all faults to the last of them.
What may not live here: a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.chaos.verdict.fault_coverage import LARGE_RUN_KILLS
from bench.chaos.verdict.final_state import unix_seconds
from bench.figures import percentile

P50_MOST_SECONDS: Final = 5.0
P99_MOST_SECONDS: Final = 60.0
AFTER_HEAL_MOST_SECONDS: Final = 60.0
_DOUBTS_LEAST: Final = 100
"""With fewer the p99 is the worst one."""
ALL: Final = "all"
UNDISTURBED: Final = "PSP not down meanwhile"


def recovery_of(
    doubts: Mapping[str, float],
    operations: Sequence[Mapping[str, Any]],
    *,
    outages: Sequence[tuple[float, float]],
    healed_at: float,
) -> dict[str, Any]:
    """Spreads over all doubts, and over those that met no outage; the last one after the faults.

    `doubts` by reference and `healed_at` in Unix seconds. `after_heal_seconds` is of operations
    that began before; 0 if all of them had ended by then.
    """
    rows = {row["reference"]: row for row in operations}
    every: list[float] = []
    undisturbed: list[float] = []
    after_heal = 0.0
    for reference, since in doubts.items():
        row = rows.get(reference)
        if row is None or row["closed_at"] is None:
            continue
        end = unix_seconds(row["closed_at"])
        every.append(max(0.0, end - since))
        if not any(begin < end and since < over for begin, over in outages):
            undisturbed.append(every[-1])
        if unix_seconds(row["created_at"]) < healed_at:
            after_heal = max(after_heal, end - healed_at)
    return {
        ALL: _spread(every),
        UNDISTURBED: _spread(undisturbed),
        "after_heal_seconds": round(after_heal, 2),
    }


def too_slow(recovery: Mapping[str, Any], *, kills: int, patience: float) -> list[str]:
    """The targets that a run of full size on a quiet machine missed; of others nothing is asked."""
    if kills < LARGE_RUN_KILLS or patience > 1:
        return []
    found = recovery[UNDISTURBED]
    if found["count"] < _DOUBTS_LEAST:
        return [f"only {found['count']} doubts met no outage: too few to time recovery"]
    measured = {
        "the p50 of recovery": (found["p50_seconds"], P50_MOST_SECONDS),
        "the p99 of recovery": (found["p99_seconds"], P99_MOST_SECONDS),
        "the last doubt after heal": (recovery["after_heal_seconds"], AFTER_HEAL_MOST_SECONDS),
    }
    return [
        f"{name} is {seconds:.1f} s, at most {most:g} s are wanted"
        for name, (seconds, most) in measured.items()
        if seconds > most
    ]


def _spread(seconds: Sequence[float]) -> dict[str, Any]:
    if not seconds:
        return {"count": 0}
    return {
        "count": len(seconds),
        "p50_seconds": percentile(seconds, 50),
        "p99_seconds": percentile(seconds, 99),
        "longest_seconds": max(seconds),
    }
