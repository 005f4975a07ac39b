"""Judges what arrived: lost, out of order, changed, late. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from payments import public_ids


@dataclass(frozen=True)
class Arrival:
    """One request at one endpoint."""

    path: str
    event_id: str
    aggregate: str
    seq: int
    at: float
    body: str
    """Its hash."""

    @property
    def lag_seconds(self) -> float:
        """Since the event was written; its id carries the time."""
        identifier = public_ids.decode(public_ids.EVENT, self.event_id)
        if identifier is None:
            raise ValueError(f"{self.event_id} is not the id of an event")
        return self.at - public_ids.created_ms_of(identifier) / 1000


@dataclass(frozen=True, kw_only=True)
class Rest:
    """For endpoints that accept nothing: every delivery is kept, only first ones were attempted."""

    expected: int
    kept: int
    """Pending or dead in the database."""
    attempted: int
    """Distinct events that arrived at endpoints which accept a connection."""
    too_early: int
    """Of these, events that are not their payment's first: no first one was delivered."""

    @property
    def holds(self) -> bool:
        return self.kept == self.expected and not self.too_early


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """For endpoints that answer: what was to arrive, and what did."""

    expected: int
    arrived: int
    lost: int
    repeated: int
    out_of_order: int
    changed: int
    """Repeats with other bytes."""
    lag_p50_seconds: float
    lag_p95_seconds: float
    lag_p99_seconds: float
    lag_most_seconds: float

    @property
    def holds(self) -> bool:
        """Nothing lost, out of order or changed, and p95 below two seconds."""
        wrong = self.lost or self.out_of_order or self.changed
        return not wrong and self.lag_p95_seconds < 2


def arrivals_of(lines: Iterable[str]) -> list[Arrival]:
    """The receiver's log; its last line may be half written."""
    found = []
    for line in lines:
        if line.endswith("\n"):
            found.append(Arrival(*json.loads(line)))
    return found


def judge(
    arrivals: Iterable[Arrival], *, healthy_paths: Iterable[str], events_by_payment: dict[str, int]
) -> Verdict:
    """Judge arrivals in their order. `events_by_payment`: events are numbered from 1."""
    paths = set(healthy_paths)
    first: dict[tuple[str, str], Arrival] = {}
    sequences: dict[tuple[str, str], list[int]] = defaultdict(list)
    repeated = changed = 0
    for each in arrivals:
        if each.path not in paths:
            continue
        known = first.setdefault((each.path, each.event_id), each)
        if known is not each:
            repeated += 1
            changed += known.body != each.body
        else:
            sequences[each.path, each.aggregate].append(each.seq)
    expected = len(paths) * sum(events_by_payment.values())
    lags = sorted(each.lag_seconds for each in first.values()) or [0.0]
    return Verdict(
        expected=expected,
        arrived=len(first),
        lost=expected - len(first),
        repeated=repeated,
        out_of_order=sum(_inversions(each) for each in sequences.values()),
        changed=changed,
        lag_p50_seconds=_share(lags, 0.50),
        lag_p95_seconds=_share(lags, 0.95),
        lag_p99_seconds=_share(lags, 0.99),
        lag_most_seconds=lags[-1],
    )


def _inversions(sequence: list[int]) -> int:
    """How many events did not follow their predecessor; a gap counts too."""
    return sum(seq != number for number, seq in enumerate(sequence, start=1))


def _share(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]


def judge_rest(
    arrivals: Iterable[Arrival],
    *,
    healthy_paths: Iterable[str],
    dead_endpoints: int,
    events_by_payment: dict[str, int],
    kept: int,
) -> Rest:
    """Judge the endpoints that accept nothing; `kept` as counted in the database."""
    healthy = set(healthy_paths)
    attempted = {(each.path, each.event_id): each for each in arrivals if each.path not in healthy}
    return Rest(
        expected=dead_endpoints * sum(events_by_payment.values()),
        kept=kept,
        attempted=len(attempted),
        too_early=sum(each.seq != 1 for each in attempted.values()),
    )
