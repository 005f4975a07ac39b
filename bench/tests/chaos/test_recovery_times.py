"""Recovery is timed from the first unknown outcome; too slow a run of full size is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from bench.chaos.verdict.final_state import unix_seconds
from bench.chaos.verdict.recovery_times import (
    ALL,
    SINCE_REACHABLE,
    UNDISTURBED,
    recovery_of,
    too_slow,
)
from bench.tests.chaos.test_invariants import AT, operation

NOW = unix_seconds(AT)
"""When every operation here is closed."""


def timed(since: list[float], *, outages: list[tuple[float, float]], **content: Any) -> Any:
    rows = [operation(f"op_{number}", **content) for number in range(len(since))]
    unknown_since = {f"op_{number}": NOW - seconds for number, seconds in enumerate(since)}
    return recovery_of(unknown_since, rows, outages=outages, faults_ended_at=NOW - 7)


def test_unknown_outcomes_are_timed_to_their_end_with_and_without_outages() -> None:
    found = timed([2.0, 4.0, 30.0], outages=[(NOW - 25, NOW - 20)])
    assert found[ALL]["count"] == 3
    assert found[ALL]["longest_seconds"] == pytest.approx(30)
    assert found[UNDISTURBED]["count"] == 2
    assert found[UNDISTURBED]["longest_seconds"] == pytest.approx(4)
    assert timed([2.0], outages=[], closed_at=None)[ALL] == {"count": 0}


def test_an_outage_begins_the_time_of_an_unknown_outcome_anew() -> None:
    outages = [(NOW - 25, NOW - 20), (NOW - 60, NOW - 40)]
    found = timed([30.0], outages=outages, kind="refund")
    assert found[SINCE_REACHABLE]["refund"]["longest_seconds"] == pytest.approx(20)


def test_an_operation_that_was_replaced_is_timed_to_the_end_of_its_last_replacement() -> None:
    first = operation("op_1", kind="refund", closed_at="2023-11-14T22:13:00+00:00") | {"id": "a"}
    second = operation("op_2", kind="refund") | {"id": "b", "replaces_id": "a"}
    found = recovery_of({"op_1": NOW - 50}, [first, second], outages=[], faults_ended_at=NOW)
    assert found[ALL]["longest_seconds"] == pytest.approx(50)


def test_the_last_unknown_outcome_after_the_faults_is_of_the_main_phase() -> None:
    before = "2023-11-14T22:13:10+00:00"
    assert timed([2.0], outages=[], created_at=before)["after_faults_seconds"] == pytest.approx(7)
    assert timed([2.0], outages=[], created_at=AT)["after_faults_seconds"] == 0


def measured(
    *,
    count: int = 100,
    p50: float = 4.9,
    p99: float = 59.0,
    after_faults: float = 59.0,
    by_kind: dict[str, Any] | None = None,
) -> dict[str, Any]:
    spread = {"count": count, "p50_seconds": p50, "p99_seconds": p99, "longest_seconds": 90.0}
    return {
        ALL: spread,
        UNDISTURBED: spread,
        SINCE_REACHABLE: by_kind or {},
        "after_faults_seconds": after_faults,
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"p50": 5.1}, "the p50 of recovery is 5.1 s"),
        ({"p99": 61.0}, "the p99 of recovery is 61.0 s"),
        ({"after_faults": 60.5}, "the last unknown outcome after the faults is 60.5 s"),
        ({"count": 99}, "only 99 unknown outcomes"),
        (
            {"by_kind": {"refund": {"count": 100, "p99_seconds": 61.0}}},
            "the p99 of recovery of a refund since the PSP was reachable is 61.0 s",
        ),
    ],
)
def test_a_missed_target_is_said_of_a_run_of_full_size_only(
    content: dict[str, Any], said: str
) -> None:
    found = measured(**content)
    assert too_slow(measured(), kills=500, time_factor=1) == []
    (text,) = too_slow(found, kills=500, time_factor=1)
    assert text.startswith(said)
    assert too_slow(found, kills=499, time_factor=1) == []
    assert too_slow(found, kills=500, time_factor=5) == []
