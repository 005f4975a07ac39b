"""What was accepted and never made is found; what may end unmade is not."""

from __future__ import annotations

from typing import Any

from bench.chaos.verdict.final_state import FinalState
from bench.chaos.verdict.invariants import violations_of
from bench.tests.chaos.test_invariants import (
    AT,
    operation,
    refund_given_up,
    refund_told_and_canceled,
    sound,
)


def void_given_up(truth: FinalState, **content: Any) -> None:
    given = {"kind": "void", "status": "NOT_SENT", "fenced_at": AT} | content
    truth.operations.append(operation("op_v", **given))


def test_what_was_sent_again_or_has_a_case_is_not_unmade() -> None:
    truth = sound()
    refund_given_up(truth)
    truth.operations.append(operation("op_s", kind="refund", replaces_id="op_r"))
    assert violations_of(truth)["I16"] == []
    truth = sound()
    refund_given_up(truth)
    refund_told_and_canceled(truth)
    truth.unmade_with_case = {"op_r"}  # type: ignore[arg-type]
    assert violations_of(truth)["I16"] == []


def test_a_void_is_unmade_only_if_something_is_held_in_the_end() -> None:
    truth = sound()
    void_given_up(truth)
    assert violations_of(truth)["I16"] == [], "all of it was captured"
    truth.effects = [each for each in truth.effects if each["kind"] != "capture"]
    assert violations_of(truth)["I16"]
    truth.operations[-1]["excess_minor"] = 100
    assert violations_of(truth)["I16"] == [], "a sweep gives a duplicate charge back"


def test_a_replacement_that_was_never_fenced_is_unmade_as_well() -> None:
    truth = sound()
    refund_given_up(truth)
    again = operation("op_s", kind="refund", status="NOT_SENT", replaces_id="op_r")
    truth.operations.append(again)
    assert len(violations_of(truth)["I16"]) == 1
