"""What a later statement may change in a dispute, the events of it, and contradictions."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ledger.money import Money
from payments.models import Case, Dispute, Event
from payments.objects.dispute import dispute_object
from payments.services import callers
from payments.services.disputes.recording import RecordedDispute, record_dispute
from payments.services.psp_gateway import dispute_calls
from payments.services.verification.rebuild import differences
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop, open_shop, uuid_of


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def record(desk: Desk, psp_dispute_id: str, **changes: Any) -> RecordedDispute:
    """Record the PSP's present statement with these changes."""
    statement = dispute_calls.ask(desk.shop.account, psp_dispute_id)
    assert statement is not None
    [charge] = [o for o in desk.shop.operations(intent_of(desk)) if o.is_charge]
    caller = callers.for_operation(charge, "test")
    return record_dispute(statement=replace(statement, **changes), charge=charge, caller=caller)


def intent_of(desk: Desk) -> str:
    [intent] = desk.shop.merchant.paymentintent_set.all()
    return str(intent.public_id)


def payloads(intent_id: str, type_: str) -> list[dict[str, Any]]:
    rows = Event.objects.filter(aggregateid=uuid_of(intent_id), type=f"charge.dispute.{type_}")
    return [event.payload for event in rows.order_by("seq")]


def test_the_event_of_an_escalation_names_everything_that_it_changed(desk: Desk) -> None:
    intent_id = desk.pay()
    inquiry = desk.opened(inquiry=True, due_in_seconds=3600)
    before = dispute_object(inquiry)
    desk.move(inquiry.psp_dispute_id, "escalate")
    desk.sync(inquiry.psp_dispute_id)
    [event] = payloads(intent_id, "updated")
    assert event["previous_attributes"] == {
        "balance_transactions": [],
        "evidence_details": {"due_by": before["evidence_details"]["due_by"]},
        "is_charge_refundable": True,
        "status": "warning_needs_response",
    }
    assert len(event["object"]["balance_transactions"]) == 1


def test_the_event_of_a_moved_deadline_names_the_old_one(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    assert dispute.evidence_due_by is not None
    later = dispute.evidence_due_by + timedelta(days=3)
    for _ in range(2):  # One event.
        record(desk, dispute.psp_dispute_id, evidence_due_by=later)
    [event] = payloads(intent_id, "updated")
    due_by = int(dispute.evidence_due_by.timestamp())
    assert event["previous_attributes"] == {"evidence_details": {"due_by": due_by}}
    assert event["object"]["evidence_details"]["due_by"] == due_by + 3 * 86_400


def test_a_deadline_that_passes_emits_no_event(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    Dispute.objects.update(evidence_due_by=dispute.created_at)
    record(desk, dispute.psp_dispute_id, evidence_due_by=dispute.created_at)
    assert payloads(intent_id, "updated") == []


def test_the_event_of_a_closed_dispute_names_the_status_before(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    held = dispute_object(dispute)["balance_transactions"]
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)
    [event] = payloads(intent_id, "closed")
    previous = event["previous_attributes"]
    assert (previous["status"], previous["balance_transactions"]) == ("needs_response", held)
    assert payloads(intent_id, "updated") == []


def test_a_fee_returned_after_the_end_is_booked_with_an_event(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)
    record(desk, dispute.psp_dispute_id, fee_returned=Money(1_500, "USD"))
    [event] = payloads(intent_id, "updated")
    assert event["object"]["balance_transactions"][1]["fee"] == -1_500
    assert event["previous_attributes"]["balance_transactions"][1]["fee"] == 0
    assert list(differences()) == []


@pytest.mark.parametrize("then_minor", [1_500, 200])
def test_a_fee_returned_in_a_second_part_opens_a_case(desk: Desk, then_minor: int) -> None:
    """The rule is posted once a dispute, so a second part could not be booked."""
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    assert record(desk, dispute.psp_dispute_id, fee_returned=Money(500, "USD")).contradiction == ""
    second = record(desk, dispute.psp_dispute_id, fee_returned=Money(then_minor, "USD"))
    assert "of its fee 500 came back" in second.contradiction
    assert desk.dispute().fee_returned_minor == 500
    assert Case.objects.get().kind == "contradiction"
    assert list(differences()) == []


def test_an_outdated_statement_of_the_fee_changes_nothing(desk: Desk) -> None:
    """Some PSPs answer from a replica that is behind."""
    intent_id = desk.pay()
    dispute = desk.opened()
    zero = Money.zero("USD")
    assert record(desk, dispute.psp_dispute_id, fee=zero).contradiction == ""
    desk.move(dispute.psp_dispute_id, "win", return_fee=True)
    desk.sync(dispute.psp_dispute_id)
    before = Event.objects.count()
    assert record(desk, dispute.psp_dispute_id, fee_returned=zero).contradiction == ""
    assert (desk.dispute().fee_minor, desk.dispute().fee_returned_minor) == (1_500, 1_500)
    assert (Event.objects.count(), payloads(intent_id, "updated")) == (before, [])
    assert Case.objects.count() == 0
    assert list(differences()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"fee_returned": Money(1_501, "USD")},
        {"fee": Money.zero("USD"), "fee_returned": Money(1, "USD")},
        {"fee": Money(1_500, "EUR")},
    ],
)
def test_a_statement_with_an_impossible_fee_creates_no_dispute(
    desk: Desk, changes: dict[str, Any]
) -> None:
    desk.pay()
    recorded = record(desk, desk.open(), **changes)
    assert recorded.dispute is None
    assert recorded.contradiction
    assert Dispute.objects.count() == 0
    assert Case.objects.get().kind == "contradiction"


@pytest.mark.parametrize(("policy", "code"), [("merchant", 2100), ("platform", 5130)])
@pytest.mark.parametrize("column", ["fee_minor", "fee_returned_minor"])
def test_a_stored_fee_that_differs_from_the_books_is_found(
    shop: Shop, policy: str, code: int, column: str
) -> None:
    desk = Desk(open_shop(shop.psp, dispute_loss_policy=policy))
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, "win")
    record(desk, dispute.psp_dispute_id, fee_returned=Money(500, "USD"))
    assert list(differences()) == []
    Dispute.objects.update(**{column: getattr(desk.dispute(), column) + 7})
    found = list(differences())
    assert any(f"({code})" in each for each in found)
    assert all(dispute.public_id in each for each in found)


@pytest.mark.parametrize(("policy", "end"), [("platform", "lose"), ("platform", "win")])
def test_a_stored_loss_that_differs_from_the_books_is_found(
    shop: Shop, policy: str, end: str
) -> None:
    desk = Desk(open_shop(shop.psp, dispute_loss_policy=policy))
    desk.pay()
    dispute = desk.opened()
    desk.move(dispute.psp_dispute_id, end)
    desk.sync(dispute.psp_dispute_id)
    assert list(differences()) == []
    Dispute.objects.update(funds_withdrawn_at=None, funds_reinstated_at=None)
    found = [each for each in differences() if "(1110)" in each]
    assert len(found) == (end == "lose")
