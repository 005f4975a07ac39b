"""A bug is found only by what it breaks."""

from __future__ import annotations

import pytest

from bench.chaos.selftest import Finding
from bench.chaos.verdict.report import FAIL, PASS, UNKNOWN


@pytest.mark.parametrize(
    ("bug", "verdict", "violated", "is_right"),
    [
        ("no_order_guard", FAIL, {"I1": 2}, True),
        ("no_order_guard", FAIL, {"I15": 1, "I1": 2}, True),
        ("no_order_guard", FAIL, {"I15": 1}, False),
        ("no_order_guard", PASS, {}, False),
        ("no_order_guard", "none", {}, False),
        ("not_found_is_final", FAIL, {"I5": 1}, True),
        ("", PASS, {}, True),
        ("", FAIL, {"I1": 1}, False),
        ("", UNKNOWN, {}, False),
    ],
)
def test_a_finding_counts_if_an_invariant_of_the_bug_is_violated(
    bug: str, verdict: str, violated: dict[str, int], is_right: bool
) -> None:
    assert Finding(bug, 1, verdict, violated, 1.0).is_right is is_right
