"""The table of event types: the contract's names, and the only ones that can be written."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from payments import services
from payments.event_types import (
    EMITTED,
    EVENT_PATTERNS,
    EVENT_TYPES,
    NEVER_EMITTED,
    NOT_TOLD_YET,
    matches,
)
from payments.services.outbox.events import EventDraft

CONTRACT = """
payment_intent.{created, requires_action, processing, amount_capturable_updated, succeeded,
payment_failed, canceled, partially_funded}, charge.{succeeded, pending, failed, captured, updated,
expired, refunded}, charge.refund.{updated}, refund.{created, updated, failed},
checkout.session.{completed, expired, async_payment_succeeded, async_payment_failed},
charge.dispute.{created, updated, closed, funds_withdrawn, funds_reinstated},
payment_method.{attached, detached, updated, automatically_updated},
customer.{created, updated, deleted}, mandate.{updated}, setup_intent.{created, requires_action,
succeeded, canceled, setup_failed}, balance.{available}, payout.{created, updated, paid, failed,
canceled, reconciliation_completed}, review.{opened, closed},
radar.early_fraud_warning.{created, updated},
reporting.report_run.{succeeded, failed}
"""
"""The names as the reference of the merchant API writes them down (3.5)."""


def _names() -> set[str]:
    groups = (group.partition(".{") for group in CONTRACT.replace("\n", " ").split("}") if group)
    return {
        f"{prefix.strip(' ,')}.{name.strip()}"
        for prefix, _, names in groups
        if names
        for name in names.split(",")
    }


def test_every_name_of_the_contract_is_in_the_table() -> None:
    assert _names() - set(EVENT_TYPES) == set()
    assert len(_names()) == 54


def test_the_list_of_types_not_emitted_is_what_no_service_names() -> None:
    """A change that starts to emit a type removes it from the list, and vice versa."""
    named = {
        node.value
        for path in Path(services.__path__[0]).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    ours = {name for name in EVENT_TYPES if name.startswith("x.")}
    assert (named & set(EVENT_TYPES)) | ours == EMITTED
    assert set(EVENT_TYPES) - EMITTED == NOT_TOLD_YET


def test_every_type_of_stripes_may_be_subscribed_to_but_no_start_that_nothing_has() -> None:
    assert _names() <= EVENT_PATTERNS
    assert not NEVER_EMITTED & EMITTED
    for pattern in ("payout.*", "review.*", "radar.*", "reporting.*", "charge.suceeded"):
        assert pattern not in EVENT_PATTERNS
    assert {"payment_intent.*", "payment_method.*", "balance.*", *EMITTED} <= EVENT_PATTERNS


def test_an_event_of_an_undeclared_type_cannot_be_drafted() -> None:
    with pytest.raises(ValueError, match=r"payment_intent\.invented is not a type of event"):
        EventDraft("payment_intent.invented", {})


@pytest.mark.parametrize(
    ("pattern", "event_type", "expected"),
    [
        ("*", "charge.refunded", True),
        ("charge.*", "charge.refunded", True),
        ("charge.*", "charge.dispute.created", True),
        ("charge.dispute.*", "charge.refunded", False),
        ("charge.refunded", "charge.refunded", True),
        ("charge", "charge.refunded", False),
        ("charge.refund.*", "charge.refunded", False),
    ],
)
def test_a_pattern_names_what_it_says(pattern: str, event_type: str, expected: bool) -> None:
    assert matches(event_type, [pattern]) is expected
    assert matches(event_type, ["payout.paid", pattern]) is expected


def test_a_pattern_that_matches_no_type_is_not_offered() -> None:
    assert {"*", "refund.*", "x.*"} <= EVENT_PATTERNS
    assert not {"refunds.*", "", "refund"} & EVENT_PATTERNS


def test_names_that_are_not_in_the_contract_are_marked_as_ours() -> None:
    assert all(name.startswith("x.") for name in set(EVENT_TYPES) - _names())
