"""Arithmetic of the bench: percentiles, medians, paired ratios, shares. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` % of the values do not exceed."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Window:
    """What one side did in one measured window."""

    per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def window_of(latencies_ms: Sequence[float], seconds: float) -> Window:
    """The figures of one window that lasted `seconds`."""
    return Window(
        per_second=len(latencies_ms) / seconds,
        p50_ms=percentile(latencies_ms, 50),
        p95_ms=percentile(latencies_ms, 95),
        p99_ms=percentile(latencies_ms, 99),
    )


def p95_by_second(due_seconds: Sequence[float], latencies_ms: Sequence[float]) -> list[float]:
    """The 95th percentile of the requests that were due in each second; 0 where none was."""
    seconds: dict[int, list[float]] = {}
    for due, latency in zip(due_seconds, latencies_ms, strict=True):
        seconds.setdefault(int(due), []).append(latency)
    last = max(seconds, default=-1)
    return [percentile(seconds.get(second, [0.0]), 95) for second in range(last + 1)]


def median_window(windows: Sequence[Window]) -> Window:
    """Each figure's median over the windows."""
    return Window(
        per_second=median(each.per_second for each in windows),
        p50_ms=median(each.p50_ms for each in windows),
        p95_ms=median(each.p95_ms for each in windows),
        p99_ms=median(each.p99_ms for each in windows),
    )


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of the ratios of windows that stood next to each other.

    A machine that slows down for a while slows both sides of a pair, so pairs are compared and not
    medians of all.
    """
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def shares(seconds: Mapping[str, float]) -> dict[str, float]:
    """Each part's share of the sum; 0 for each if nothing was used."""
    total = sum(seconds.values())
    return {name: value / total if total else 0.0 for name, value in seconds.items()}


def without_wait(latencies_ms: Sequence[float], *, wait_ms: float) -> list[float]:
    """What is left of each time without the PSP's, which is the same for every request."""
    return [max(0.0, each - wait_ms) for each in latencies_ms]
