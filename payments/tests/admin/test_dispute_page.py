"""The dispute desk: the time left for evidence, or none where none can be submitted."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payments.admin.dispute import time_left
from payments.clock import now_utc
from payments.models import Deadline, Dispute, PaymentIntent
from payments.tests.admin.console import Console
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.passing_time import hold
from payments.tests.support.shop import Shop


@pytest.mark.parametrize(
    ("status", "hours", "answered", "left"),
    [
        ("needs_response", 150.5, "", "6 days"),
        ("needs_response", 71.5, "", "71 hours"),
        ("warning_needs_response", 0.5, "", "0 hours"),
        ("needs_response", -1, "", "past due"),
        ("needs_response", 71.5, "chargeback", "answered"),
        ("needs_response", 71.5, "inquiry", "71 hours"),
        ("under_review", 71.5, "", "answered"),
        ("won", 71.5, "", "over"),
        ("prevented", 71.5, "", "over"),
    ],
)
def test_the_time_left_is_days_hours_or_none(
    status: str, hours: float, answered: str, left: str
) -> None:
    due_by = now_utc() + timedelta(hours=hours)
    dispute = Dispute(status=status, evidence_due_by=due_by, answered_stage=answered)
    assert time_left(dispute) == left


def test_a_dispute_without_a_deadline_is_not_past_due() -> None:
    assert time_left(Dispute(status="needs_response", evidence_due_by=None)) == "no deadline"


def test_what_a_bank_charged_back_is_not_shown_as_refundable(
    shop: Shop, superuser: Console
) -> None:
    desk = Desk(shop)
    intent = shop.intent(desk.pay(25_000))
    assert "250.00 USD" in refundable_on(superuser, intent)
    desk.opened(amount_minor=20_010)
    assert "49.90 USD" in refundable_on(superuser, intent)


def test_a_payment_that_has_moved_on_is_not_among_the_deadlines(
    shop: Shop, superuser: Console
) -> None:
    waiting = shop.intent(hold(shop, token="pm_card_visa"))
    shop.order_id += "+"
    moved_on = shop.intent(hold(shop, token="pm_card_visa"))
    shop.capture(moved_on.public_id)
    listed = superuser.list(Deadline).content.decode()
    assert waiting.public_id in listed
    assert moved_on.public_id not in listed


def refundable_on(console: Console, intent: PaymentIntent) -> str:
    """What the page of a payment shows behind "refundable"."""
    intent.refresh_from_db()
    page = console.page(intent).content.decode()
    return page[page.index("Refundable") :][:1_000]


def test_a_dispute_is_shown_with_its_time_and_its_evidence(shop: Shop, superuser: Console) -> None:
    desk = Desk(shop)
    desk.pay(25_000)
    dispute = desk.opened()
    # By our clock: that of the simulator may have been put forward by another test.
    Dispute.objects.update(evidence_due_by=now_utc() + timedelta(hours=150))
    listed = superuser.list(Dispute).content.decode()
    assert "6 days" in listed
    assert "250.00 USD" in listed
    desk.submit(dispute, "<b>It was delivered.</b>")
    listed = superuser.list(Dispute).content.decode()
    assert ("6 days" in listed, "answered" in listed) == (False, True)
    page = superuser.page(dispute).content.decode()
    assert "&lt;b&gt;It was delivered.&lt;/b&gt;" in page
    assert "15.00 USD" in page
    story = superuser.page(shop.intent(dispute.intent.public_id)).content.decode()
    assert dispute.public_id in story
