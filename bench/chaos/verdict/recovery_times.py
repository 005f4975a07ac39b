"""Measures how fast unknown outcomes ended, and whether that is fast enough. Pure.

From the moment an outcome was seen to be unknown to its end, and from the end of all faults to the
last of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bench.chaos.verdict.fault_coverage import LARGE_RUN_KILLS
from bench.chaos.verdict.final_state import unix_seconds
from bench.figures import percentile

P50_MOST_SECONDS: Final = 5.0
P99_MOST_SECONDS: Final = 60.0
AFTER_FAULTS_MOST_SECONDS: Final = 60.0
_UNKNOWN_LEAST: Final = 100
"""With fewer the p99 is the worst one."""
ALL: Final = "all"
UNDISTURBED: Final = "PSP not down meanwhile"
SINCE_REACHABLE: Final = "since the PSP was reachable"
"""Per kind of operation: an outage that ends meanwhile begins its time anew."""


def recovery_of(
    unknown_since: Mapping[str, float],
    operations: Sequence[Mapping[str, Any]],
    *,
    outages: Sequence[tuple[float, float]],
    faults_ended_at: float,
) -> dict[str, Any]:
    """Spreads over all operations, and over those without an outage; the last one after the faults.

    `unknown_since` by reference; times in Unix seconds. `after_faults_seconds` is of operations
    that began before; 0 if all of them had ended by then.
    """
    rows = {row["reference"]: row for row in operations}
    replacements = {row["replaces_id"]: row for row in operations if row["replaces_id"]}
    every: list[float] = []
    undisturbed: list[float] = []
    by_kind: dict[str, list[float]] = defaultdict(list)
    after_faults = 0.0
    for reference, since in unknown_since.items():
        first = rows.get(reference)
        row = _last(first, replacements)
        if first is None or row is None or row["closed_at"] is None:
            continue
        end = unix_seconds(row["closed_at"])
        every.append(max(0.0, end - since))
        reachable = max([since, *(over for _, over in outages if since < over <= end)])
        by_kind[row["kind"]].append(max(0.0, end - reachable))
        if not any(begin < end and since < over for begin, over in outages):
            undisturbed.append(every[-1])
        if unix_seconds(first["created_at"]) < faults_ended_at:
            after_faults = max(after_faults, end - faults_ended_at)
    return {
        ALL: _spread(every),
        UNDISTURBED: _spread(undisturbed),
        SINCE_REACHABLE: {kind: _spread(seconds) for kind, seconds in sorted(by_kind.items())},
        "after_faults_seconds": round(after_faults, 2),
    }


def _last(
    row: Mapping[str, Any] | None, replacements: Mapping[Any, Mapping[str, Any]]
) -> Mapping[str, Any] | None:
    """The operation that carried it out in the end: its last replacement, or itself."""
    while row is not None and row["id"] in replacements:
        row = replacements[row["id"]]
    return row


def too_slow(recovery: Mapping[str, Any], *, kills: int, time_factor: float) -> list[str]:
    """The targets that a run of full size on a quiet machine missed; of others nothing is asked."""
    if kills < LARGE_RUN_KILLS or time_factor > 1:
        return []
    found = recovery[UNDISTURBED]
    if found["count"] < _UNKNOWN_LEAST:
        return [f"only {found['count']} unknown outcomes met no outage: too few to time recovery"]
    measured = {
        "the p50 of recovery": (found["p50_seconds"], P50_MOST_SECONDS),
        "the p99 of recovery": (found["p99_seconds"], P99_MOST_SECONDS),
        "the last unknown outcome after the faults": (
            recovery["after_faults_seconds"],
            AFTER_FAULTS_MOST_SECONDS,
        ),
    }
    measured |= {
        f"the p99 of recovery of a {kind} since the PSP was reachable": (
            spread["p99_seconds"],
            P99_MOST_SECONDS,
        )
        for kind, spread in recovery[SINCE_REACHABLE].items()
        if spread["count"] >= _UNKNOWN_LEAST
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
