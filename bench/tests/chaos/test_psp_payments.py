"""The PSP's effects are summed as the PSP itself sums them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.chaos.platform.psp_payments import by_payment, lasting, moved_by


def effect(kind: str, amount_minor: int, *, released: int = 0, **more: Any) -> dict[str, Any]:
    given = {"kind": kind, "amount_minor": amount_minor, "released_minor": released}
    return given | {"payment_id": "spay_1"} | more


HOLD = effect("authorize", 100)


@pytest.mark.parametrize(
    ("effects", "held", "captured", "refunded", "live"),
    [
        ([HOLD], 100, 0, 0, True),
        ([HOLD, effect("increment", 20)], 120, 0, 0, True),
        ([HOLD, effect("void", 100)], 0, 0, 0, False),
        ([HOLD, effect("expire", 100)], 0, 0, 0, False),
        ([HOLD, effect("capture", 40)], 60, 40, 0, True),
        ([HOLD, effect("capture", 40, released=60)], 0, 40, 0, True),
        (
            [HOLD, effect("capture", 40, released=60), effect("capture_failed", 40, released=60)],
            *(100, 0, 0, True),
        ),
        ([HOLD, effect("capture", 100), effect("refund", 100)], 0, 100, 100, False),
        (
            [HOLD, effect("capture", 100), effect("refund", 30), effect("refund_failed", 30)],
            *(0, 100, 0, True),
        ),
        (
            [
                *(HOLD, effect("capture", 100)),
                *(effect("capture_failed", 100), effect("authorize_failed", 100)),
            ],
            *(0, 0, 0, False),
        ),
    ],
)
def test_each_life_ends_with_what_the_psp_holds(
    effects: list[dict[str, Any]], held: int, captured: int, refunded: int, live: bool
) -> None:
    moved = moved_by(effects)
    found = (moved.held_minor, moved.captured_minor, moved.refunded_minor, moved.is_live)
    assert found == (held, captured, refunded, live)


def test_a_late_failure_or_an_expiry_reverses_something() -> None:
    assert not moved_by([HOLD, effect("void", 100)]).was_reversed
    assert moved_by([HOLD, effect("expire", 100)]).was_reversed
    assert moved_by([HOLD, effect("capture", 9), effect("capture_failed", 9)]).was_reversed


def test_an_effect_that_was_reversed_does_not_last() -> None:
    captured, failed = effect("capture", 100), effect("capture_failed", 100)
    assert lasting([HOLD, captured]) == {"authorize": 1, "capture": 1}
    assert lasting([HOLD, captured, failed]) == {"authorize": 1}
    assert lasting([captured, failed, captured]) == {"capture": 1}
    assert lasting([captured, captured]) == {"capture": 2}


def test_effects_are_grouped_by_the_psps_payment_without_those_of_disputes() -> None:
    other = effect("authorize", 5, payment_id="spay_2")
    found = by_payment([HOLD, other, effect("dispute", 100), effect("capture", 100)])
    assert {name: [e["kind"] for e in each] for name, each in found.items()} == {
        "spay_1": ["authorize", "capture"],
        "spay_2": ["authorize"],
    }
