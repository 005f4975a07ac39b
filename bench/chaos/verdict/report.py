"""From a run to its verdict, its table and its JSON.

`unknown` is no pass: a run that saw too little, or could not read everything, shows nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.chaos.platform.stops import Suspension
from bench.chaos.verdict.accepted_changes import counts_of
from bench.chaos.verdict.fault_coverage import coverage_of, overtaken, too_seldom
from bench.chaos.verdict.final_state import FinalState, unix_seconds
from bench.chaos.verdict.invariants import INVARIANTS, Violation
from bench.chaos.verdict.recovery_times import (
    AFTER_FAULTS_MOST_SECONDS,
    ALL,
    P50_MOST_SECONDS,
    P99_MOST_SECONDS,
    SINCE_REACHABLE,
    UNDISTURBED,
    recovery_of,
    too_slow,
)
from bench.chaos.verdict.timeline import timeline_of

PASS: Final = "pass"
FAIL: Final = "fail"
UNKNOWN: Final = "unknown"
EXIT_CODES: Final = {PASS: 0, FAIL: 1, UNKNOWN: 3}

_ACTS_LEAST: Final = 0.95
_CHARGED_LEAST: Final = 0.5
_UNKNOWN_LEAST: Final = 0.01
_UNEXPLAINED_MOST: Final = 2
_TIMELINES_SHOWN: Final = 3
_VIOLATIONS_SHOWN: Final = 5


@dataclass(slots=True, kw_only=True)
class Run:
    """What happened, beside the truth."""

    seed: int
    fingerprint: str
    payments: int
    kills: int
    clients: int
    bug: str = ""
    time_factor: float = 1.0
    """Multiplies the usual time to converge."""
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase."""
    acts_done: dict[str, int] = field(default_factory=dict)
    acts_missed: list[str] = field(default_factory=list)
    restarts: int = 0
    explained_ends: list[str] = field(default_factory=list)
    """Processes that ended because of a fault, as their own logs say."""
    unexplained_ends: list[str] = field(default_factory=list)
    """Processes that ended soon after a fault and do not say why."""
    suspensions: list[Suspension] = field(default_factory=list)
    faults_ended_at: float = 0.0
    """When all faults were over and everything was up, in Unix seconds."""
    outages: list[tuple[float, float]] = field(default_factory=list)
    unknown_since: dict[str, float] = field(default_factory=dict)
    """When the outcome of an operation was first seen to be unknown, by reference."""
    not_shown: list[str] = field(default_factory=list)
    """Why this run proves nothing."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """The verdict and what it rests on."""

    verdict: str
    violations: dict[str, list[Violation]]
    not_shown: list[str]
    counts: dict[str, Any]
    recovery: dict[str, Any]
    coverage: dict[str, int]


def judge(run: Run, truth: FinalState, violations: dict[str, list[Violation]]) -> Judgment:
    """A violation is a fail whatever else is missing; else what is missing makes it unknown."""
    counts = _counts(truth)
    not_shown = [*run.not_shown, *(f"not read: {each}" for each in truth.missing)]
    not_shown += _too_little(run, counts)
    coverage = coverage_of(truth, run.acts_done, run.suspensions)
    not_shown += too_seldom(coverage, kills=run.kills)
    recovery = recovery_of(
        run.unknown_since,
        truth.operations,
        outages=run.outages,
        faults_ended_at=run.faults_ended_at,
    )
    not_shown += too_slow(recovery, kills=run.kills, time_factor=run.time_factor)
    verdict = FAIL if any(violations.values()) else UNKNOWN if not_shown else PASS
    return Judgment(verdict, violations, not_shown, counts, recovery, coverage)


def lines_of(run: Run, judged: Judgment) -> Iterator[str]:
    """The table."""
    yield f"  chaos seed {run.seed}, plan {run.fingerprint}"
    yield (
        f"  {run.payments} payments, {run.kills} kills, {run.clients} clients"
        + (f", bug {run.bug}" if run.bug else "")
        + (
            f", time factor {run.time_factor:g} (does not judge speed)"
            if run.time_factor > 1
            else ""
        )
    )
    phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in run.phases.items())
    yield f"  phases          {phases}"
    yield f"  faults          {_counted(run.acts_done)}; {run.restarts} restarts"
    for what, ends in (
        ("explained ends", run.explained_ends),
        ("unexplained", run.unexplained_ends),
    ):
        if ends:
            yield f"  {what:<15} {_counted(Counter(ends))}"
    for name, figure in judged.counts.items():
        content = _counted(figure) if isinstance(figure, Mapping) else str(figure)
        yield f"  {name:<15} {content}"
    yield f"  coverage        {_counted(judged.coverage)}"
    yield from _recovery_lines(judged.recovery)
    yield ""
    for name, (what, _) in INVARIANTS.items():
        count = len(judged.violations[name])
        yield f"  {'!!' if count else 'ok'} {name:<4} {what:<45} {count} violations"
    for reason in judged.not_shown[:10]:
        yield f"  ?? {reason}"
    yield ""
    yield f"  verdict: {judged.verdict.upper()}{_trials(judged)}"


def violation_lines(truth: FinalState, judged: Judgment) -> Iterator[str]:
    """Some of every kind of violation, and the whole timeline of the first few orders."""
    return _printed(truth, judged, violations=_VIOLATIONS_SHOWN, timelines=_TIMELINES_SHOWN)


def write_timelines(path: Path, truth: FinalState, judged: Judgment) -> None:
    """Every violation with the whole timeline of its order; no file if there is none."""
    path.unlink(missing_ok=True)
    if any(judged.violations.values()):
        with path.open("w") as file:
            file.writelines(f"{line}\n" for line in _printed(truth, judged))


def _printed(
    truth: FinalState,
    judged: Judgment,
    *,
    violations: int | None = None,
    timelines: int | None = None,
) -> Iterator[str]:
    """At most so many violations of each kind, and timelines in all; None: all of them."""
    printed: set[str] = set()
    for found in judged.violations.values():
        for violation in found[:violations]:
            yield f"  !! {violation.invariant} {violation.text}"
            subject = violation.order or violation.intent
            if not subject or subject in printed or len(printed) == timelines:
                continue
            printed.add(subject)
            yield f"     timeline of order {violation.order or '-'}, {violation.intent or '-'}:"
            yield from (f"       {line}" for line in timeline_of(truth, violation))


def write_json(path: Path, run: Run, truth: FinalState, judged: Judgment) -> None:
    """For programs."""
    content = {
        **asdict(run),
        "unknown": _unknown_operations(run, truth),
        "overtaken": [asdict(each) for each in overtaken(run.suspensions, truth.operations)],
        "verdict": judged.verdict,
        "not_shown": judged.not_shown,
        "coverage": judged.coverage,
        "counts": judged.counts,
        "recovery": judged.recovery,
        "violations": {
            name: [asdict(each) for each in found] for name, found in judged.violations.items()
        },
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def _unknown_operations(run: Run, truth: FinalState) -> list[dict[str, Any]]:
    """Each operation whose outcome was unknown, to explain recovery times."""
    rows = {row["reference"]: row for row in truth.operations}
    return [
        {
            "reference": reference,
            "since": since,
            "seconds": unix_seconds(row["closed_at"]) - since if row["closed_at"] else None,
            **{name: row[name] for name in ("kind", "status", "checks", "order_id", "detail")},
        }
        for reference, since in run.unknown_since.items()
        if (row := rows.get(reference)) is not None
    ]


def _counts(truth: FinalState) -> dict[str, Any]:
    ended = [record for record in truth.records if record.type != "invoke"]
    faulted = {record.order for record in ended if record.type == "info"}
    faulted |= {call["order_id"] for call in truth.calls if call["fault"] and call["order_id"]}
    return {
        "requests": dict(Counter(record.type for record in ended)),
        "answers": {
            str(status) if status else "none": count
            for status, count in sorted(Counter(record.status for record in ended).items())
        },
        "replays": sum(record.replayed for record in ended),
        "intents": len(truth.intents),
        "operations": dict(Counter(row["kind"] for row in truth.operations)),
        "PSP effects": dict(Counter(effect["kind"] for effect in truth.effects)),
        "PSP faults": dict(Counter(call["fault"] for call in truth.calls if call["fault"])),
        "notifications": dict(Counter(row["status"] for row in truth.notifications)),
        "sent again": counts_of(truth.operations),
        "faulted orders": len(faulted),
    }


def _too_little(run: Run, counts: dict[str, Any]) -> Iterator[str]:
    done, missed = sum(run.acts_done.values()), len(run.acts_missed)
    if done < _ACTS_LEAST * (done + missed):
        yield f"only {done} of {done + missed} faults could be made: {run.acts_missed}"
    kills = sum(count for name, count in run.acts_done.items() if name.startswith("kill"))
    if kills < _ACTS_LEAST * run.kills:
        yield f"only {kills} of {run.kills} kills happened"
    charged = counts["PSP effects"].get("authorize", 0)
    if charged < _CHARGED_LEAST * run.payments:
        yield f"only {charged} of {run.payments} payments reached the PSP"
    if len(run.unknown_since) < max(1, _UNKNOWN_LEAST * run.payments):
        yield f"only {len(run.unknown_since)} operations ever had an unknown outcome"
    if len(run.unexplained_ends) > _UNEXPLAINED_MOST:
        ends = run.unexplained_ends
        yield f"{len(ends)} processes ended for no known reason: {ends}"


def _recovery_lines(recovery: Mapping[str, Any]) -> Iterator[str]:
    for name in (ALL, UNDISTURBED):
        figures = recovery[name]
        if figures["count"]:
            yield (
                f"  recovery        {name}: {figures['count']} operations, "
                f"p50 {figures['p50_seconds']:.1f} s ({P50_MOST_SECONDS:g} wanted), "
                f"p99 {figures['p99_seconds']:.1f} s ({P99_MOST_SECONDS:g} wanted), "
                f"longest {figures['longest_seconds']:.1f} s"
            )
    for kind, figures in recovery[SINCE_REACHABLE].items():
        yield (
            f"  recovery        {kind}, {SINCE_REACHABLE}: {figures['count']}, "
            f"p50 {figures['p50_seconds']:.1f} s, p99 {figures['p99_seconds']:.1f} s "
            f"({P99_MOST_SECONDS:g} wanted), longest {figures['longest_seconds']:.1f} s"
        )
    yield (
        f"  recovery        the last unknown outcome of the main phase ended "
        f"{recovery['after_faults_seconds']:.1f} s after them "
        f"({AFTER_FAULTS_MOST_SECONDS:g} wanted)"
    )


def _counted(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in figures.items()) or "none"


def _trials(judged: Judgment) -> str:
    """No failure in n trials bounds the rate by 3/n at 95 %."""
    trials = judged.counts["faulted orders"]
    if judged.verdict != PASS or not trials:
        return ""
    return f" (0 of {trials} faulted orders: below {3 / trials:.1e} per order at 95 %)"
