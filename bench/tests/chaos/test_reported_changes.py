"""Every change is reported by an event of its own: one event cannot report two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bench.chaos.verdict.reported_changes import unreported_changes

HELD = ("payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated")
VOIDED = ("charge.updated", "payment_intent.canceled")


def operation(kind: str, status: str = "SUCCEEDED", *, at: int = 0) -> dict[str, Any]:
    return {
        "reference": f"op_{kind}_{at}",
        "intent": "pi_1",
        "kind": kind,
        "status": status,
        "actor": "api_key",
        "created_at": at,
        "closed_at": at + 1,
    }


def unreported(operations: Sequence[dict[str, Any]], *types: str) -> list[str]:
    events = [
        {"id": f"evt_{number}", "intent": "pi_1", "type": each, "actor": "api_key"}
        for number, each in enumerate(types)
    ]
    return [text for _, text in unreported_changes(operations, events)]


def test_a_hold_that_was_voided_cannot_lose_that_it_succeeded() -> None:
    operations = [operation("authorize"), operation("void", at=5)]
    assert unreported(operations, *HELD, *VOIDED) == []
    lost = [each for each in (*HELD, *VOIDED) if each != "charge.succeeded"]
    [found] = unreported(operations, *lost)
    assert found.startswith("authorize succeeded (op_authorize_0), and no charge.succeeded")
    [found] = unreported(operations, *HELD)
    assert found.startswith("void succeeded")


def test_a_charge_that_was_open_when_it_was_voided_ends_with_the_payment() -> None:
    reported = ("payment_intent.created", "charge.pending", "payment_intent.processing", *VOIDED)
    charge = operation("authorize") | {"closed_at": 6}
    assert unreported([charge, operation("void", at=5)], *reported) == []
    assert unreported([charge | {"status": "CANCELED"}, operation("void", at=5)], *reported) == []
    assert len(unreported([charge, operation("void", at=5)], *reported[:-1])) == 1
    assert len(unreported([charge, operation("void", at=5)], *reported[:-2])) == 2


@pytest.mark.parametrize(
    ("kind", "status", "reported"),
    [
        ("authorize", "SUCCEEDED", ["charge.succeeded"]),
        ("authorize", "EXCESS", ["charge.succeeded"]),
        ("authorize", "DECLINED", ["charge.failed"]),
        ("authorize", "REVERSED", ["charge.succeeded", "charge.failed"]),
        ("authorize", "CANCELED", ["payment_intent.canceled"]),
        ("capture", "SUCCEEDED", ["charge.captured"]),
        ("capture", "REVERSED", ["charge.captured", "charge.updated"]),
        ("increment", "SUCCEEDED", ["charge.updated"]),
        ("refund", "SUCCEEDED", ["charge.refunded"]),
        ("refund", "DECLINED", ["refund.failed"]),
        ("refund", "REVERSED", ["charge.refunded", "refund.failed"]),
        ("void", "SUCCEEDED", ["charge.refunded"]),
        ("void", "REVERSED", ["payment_intent.succeeded", "charge.updated"]),
    ],
)
def test_each_end_has_its_event_and_misses_it(kind: str, status: str, reported: list[str]) -> None:
    made = "payment_intent.created"
    assert unreported([operation(kind, status)], made, *reported) == []
    for missing in reported:
        rest = [each for each in reported if each != missing]
        assert len(unreported([operation(kind, status)], made, *rest)) == 1
    twice = [operation(kind, status), operation(kind, status, at=9)]
    assert len(unreported(twice, made, *reported)) == len(reported)
    assert unreported(twice, made, *reported, *reported) == []


def test_events_are_assigned_so_that_they_report_as_many_changes_as_possible() -> None:
    """The void takes whichever the increment does not need."""
    operations = [operation("increment"), operation("void", at=5)]
    made = "payment_intent.created"
    assert unreported(operations, made, "charge.updated", "payment_intent.succeeded") == []
    both = ("charge.updated", "payment_intent.amount_capturable_updated")
    assert unreported(operations, made, *both) == []
    assert len(unreported(operations, made, "charge.updated")) == 1


def test_a_change_that_was_never_visible_needs_no_event() -> None:
    assert unreported([operation("authorize", "NOT_SENT")], "payment_intent.created") == []
    assert unreported([operation("capture", "DECLINED")], "payment_intent.created") == []
