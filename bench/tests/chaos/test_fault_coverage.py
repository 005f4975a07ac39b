"""What happened in a run is counted by the catalogue's names, and too little of it is said."""

from __future__ import annotations

from typing import Any

from bench.chaos.platform.stops import Suspension
from bench.chaos.verdict.fault_coverage import NAMES, coverage_of, overtaken, too_seldom
from bench.chaos.verdict.final_state import FinalState, unix_seconds
from bench.tests.chaos.test_invariants import AT, answer, call, effect, sound


def test_a_quiet_run_covers_nothing() -> None:
    assert coverage_of(sound(), {}) == dict.fromkeys(NAMES, 0)


def test_faults_of_psp_and_nemesis_are_counted_by_name() -> None:
    truth = sound()
    truth.calls += [call() | {"fault": fault} for fault in ("late", "drop_after", "down", "hang")]
    acts = {"postgres fast": 2, "postgres immediate": 1, "redis flush": 1, "stop beat": 3}
    covered = coverage_of(truth, acts)
    expected = {"C6": 1, "C7": 1, "D20": 1, "D14": 1, "D1": 2, "C24": 1, "D11": 1, "stop": 3}
    assert {name: count for name, count in covered.items() if count} == expected


def test_what_staff_and_banks_did_at_the_psp_is_counted() -> None:
    truth = sound()
    truth.effects += [effect(kind, "") for kind in ("refund", "capture", "void", "increment")]
    truth.effects += [effect("capture_failed"), effect("refund_failed", "op_r")]
    covered = coverage_of(truth, {})
    assert {name: count for name, count in covered.items() if count} == {
        "X1": 1,
        "X2": 1,
        "X3": 2,
        "X4": 1,
        "X5": 1,
    }


def test_what_the_psp_did_and_does_not_find_is_a_lag() -> None:
    truth = sound()
    early: dict[str, Any] = call() | {"kind": "look_up", "status": 404, "executed": False}
    truth.calls = [early, call(), early]
    assert coverage_of(truth, {})["D19"] == 1


def test_repeats_by_others_changed_bodies_and_other_keys_are_counted() -> None:
    truth = FinalState(notice_counts={"doubled": 4, "lost": 3, "delayed": 2, "forged": 1})
    for content in (
        {},
        {"client": "c1", "attempt": 2},
        {"client": "c1'"},
        {"key": "k-2"},
        {"verb": "changed"},
    ):
        truth.records.append(answer(type="invoke", status=0, seen={}, **content))
    covered = coverage_of(truth, {})
    assert [covered[name] for name in ("M1", "M2", "M3")] == [1, 1, 1]
    assert [covered[name] for name in ("M5", "M6", "M7", "M9")] == [4, 3, 2, 1]


def suspension(**content: Any) -> Suspension:
    """Of the process that sent op_1, begun before the operation was closed."""
    began_at = unix_seconds(AT) - 32
    given: dict[str, Any] = {"name": "api-0", "began_at": began_at, "continued_at": began_at + 40}
    return Suspension(**given | {"references": ["op_1"]} | content)


def test_only_a_stop_longer_than_a_lease_with_an_operation_taken_over_is_c20() -> None:
    truth = sound()
    closed_at = unix_seconds(AT)
    suspensions = [
        suspension(),
        suspension(taken_over=True, references=["op_unknown"]),
        suspension(references=[]),
        suspension(references=["op_without_row"]),
        suspension(continued_at=None),
        suspension(continued_at=closed_at - 1),
        suspension(began_at=closed_at + 1, continued_at=closed_at + 50),
        suspension(began_at=closed_at - 20, continued_at=closed_at + 5),
    ]
    assert overtaken(suspensions, truth.operations) == suspensions[:2]
    covered = coverage_of(truth, {"long stop api worker": 8, "stop beat": 2}, suspensions)
    assert (covered["C20"], covered["stop"]) == (2, 8)


def test_an_open_operation_was_not_taken_over() -> None:
    truth = sound()
    truth.operations[0]["closed_at"] = None
    assert overtaken([suspension()], truth.operations) == []


def test_a_run_must_show_more_the_larger_it_is() -> None:
    once = dict.fromkeys(NAMES, 1)
    assert too_seldom(dict.fromkeys(NAMES, 0), kills=6) == []
    assert too_seldom(once, kills=40) == []
    assert too_seldom(once | {"C20": 0}, kills=40) == []
    assert len(too_seldom(once | {"C20": 0}, kills=130)) == len(NAMES)
    assert len(too_seldom(once, kills=500)) == len(NAMES)
