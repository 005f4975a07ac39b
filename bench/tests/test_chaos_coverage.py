"""What happened in a run is counted by the catalogue's names, and too little of it is said."""

from __future__ import annotations

from typing import Any

from bench.chaos.coverage import NAMES, coverage_of, too_seldom
from bench.chaos.truth import Truth
from bench.tests.test_chaos_checker import answer, call, sound


def test_a_quiet_run_covers_nothing() -> None:
    assert coverage_of(sound(), {}) == dict.fromkeys(NAMES, 0)


def test_faults_of_psp_and_nemesis_are_counted_by_name() -> None:
    truth = sound()
    truth.calls += [call() | {"fault": fault} for fault in ("late", "drop_after", "down", "hang")]
    acts = {"postgres fast": 2, "postgres immediate": 1, "redis flush": 1, "stop beat": 3}
    covered = coverage_of(truth, acts)
    expected = {"C6": 1, "C7": 1, "D20": 1, "D14": 1, "D1": 2, "C24": 1, "D11": 1, "C20": 3}
    assert {name: count for name, count in covered.items() if count} == expected


def test_what_the_psp_did_and_does_not_find_is_a_lag() -> None:
    truth = sound()
    early: dict[str, Any] = call() | {"kind": "look_up", "status": 404, "executed": False}
    truth.calls = [early, call(), early]
    assert coverage_of(truth, {})["D19"] == 1


def test_repeats_by_others_changed_bodies_and_other_keys_are_counted() -> None:
    truth = Truth(told={"doubled": 4, "lost": 3, "delayed": 2, "forged": 1})
    for words in (
        {},
        {"client": "c1", "attempt": 2},
        {"client": "c1'"},
        {"key": "k-2"},
        {"verb": "changed"},
    ):
        truth.records.append(answer(type="invoke", status=0, seen={}, **words))
    covered = coverage_of(truth, {})
    assert [covered[name] for name in ("M1", "M2", "M3")] == [1, 1, 1]
    assert [covered[name] for name in ("M5", "M6", "M7", "M9")] == [4, 3, 2, 1]


def test_a_run_must_show_more_the_larger_it_is() -> None:
    once = dict.fromkeys(NAMES, 1)
    assert too_seldom(dict.fromkeys(NAMES, 0), kills=6) == []
    assert too_seldom(once, kills=40) == []
    assert len(too_seldom(once, kills=500)) == len(NAMES)
