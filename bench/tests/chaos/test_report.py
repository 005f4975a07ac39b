"""A run that could not check something is unknown; every finding is written in full."""

from __future__ import annotations

from pathlib import Path

from bench.chaos.verdict.final_state import FinalState
from bench.chaos.verdict.invariants import violations_of
from bench.chaos.verdict.report import (
    PASS,
    UNKNOWN,
    judge,
    lines_of,
    violation_lines,
    write_timelines,
)
from bench.tests.chaos.test_invariants import effect, event, operation, run_of, sound


def charged_often(truth: FinalState, orders: int) -> None:
    """So many orders, each charged twice."""
    for number in range(orders):
        for intent in (f"pi_{number}a", f"pi_{number}b"):
            content = {"order_id": f"o-{number}x"}
            truth.operations.append(operation(f"op_{intent}", intent=intent, **content))
            truth.events.append(event(1, "payment_intent.created", intent=intent))
            truth.events.append(event(2, "charge.succeeded", intent=intent))
            truth.effects.append(effect("authorize", f"op_{intent}") | content)


def test_a_few_ends_without_a_reason_are_shown_and_more_make_the_run_unknown() -> None:
    truth = sound()
    ends = ["relay-1 ended with code 0 soon after it was stopped"] * 3
    few = judge(run_of(unexplained_ends=ends[:2]), truth, violations_of(truth))
    many = judge(run_of(unexplained_ends=ends), truth, violations_of(truth))
    assert few.verdict == PASS
    assert any("unexplained" in line for line in lines_of(run_of(unexplained_ends=ends[:2]), few))
    assert many.verdict == UNKNOWN
    assert "3 processes ended for no known reason" in many.not_shown[0]


def test_three_timelines_are_shown_and_all_are_written(tmp_path: Path) -> None:
    truth = sound()
    charged_often(truth, 7)
    judged = judge(run_of(), truth, violations_of(truth))
    shown = "\n".join(violation_lines(truth, judged))
    assert shown.count("timeline of order") == 3
    path = tmp_path / "1-timelines.txt"
    write_timelines(path, truth, judged)
    written = path.read_text()
    assert written.count("timeline of order") == 7
    assert "EFFECT authorize op_pi_6b" in written


def test_no_timelines_are_left_of_a_run_without_violations(tmp_path: Path) -> None:
    truth = sound()
    path = tmp_path / "1-timelines.txt"
    path.write_text("of the last run with this seed")
    write_timelines(path, truth, judge(run_of(), truth, violations_of(truth)))
    assert not path.exists()
