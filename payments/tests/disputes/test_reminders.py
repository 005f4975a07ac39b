"""Merchants are reminded before the evidence deadline: once per reminder, by one worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from payments.clock import now_utc
from payments.models import Dispute, Event
from payments.services import callers
from payments.services.disputes import reminders as dispute_reminders
from payments.services.disputes.recording import record_dispute
from payments.services.disputes.reminders import remind_of_due_evidence
from payments.services.psp_gateway import dispute_calls
from payments.tests.support.crashes import crash_at
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop

HOURS = 3600


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def reminders() -> int:
    return Event.objects.filter(type="x.charge.dispute.evidence_due_soon").count()


def let_pass(dispute: Dispute, until_hours_before: float) -> None:
    """Move the deadline nearer, and the reminders with it."""
    row = Dispute.objects.get(pk=dispute.pk)
    assert row.evidence_due_by is not None
    due_by = now_utc() + timedelta(hours=until_hours_before)
    step = row.evidence_due_by - due_by
    moved = row.next_reminder_at - step if row.next_reminder_at else None
    Dispute.objects.filter(pk=row.pk).update(evidence_due_by=due_by, next_reminder_at=moved)


def hours_until(moment: datetime | None) -> float | None:
    return None if moment is None else round((moment - now_utc()).total_seconds() / HOURS)


def test_reminders_are_due_72_and_24_hours_before_the_deadline(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=100 * HOURS)
    assert hours_until(dispute.next_reminder_at) == 100 - 72
    assert remind_of_due_evidence() == 0

    let_pass(dispute, until_hours_before=71.9)
    assert (remind_of_due_evidence(), remind_of_due_evidence()) == (1, 0)
    let_pass(dispute, until_hours_before=24.1)
    assert remind_of_due_evidence() == 0
    let_pass(dispute, until_hours_before=23.9)
    assert (remind_of_due_evidence(), remind_of_due_evidence()) == (1, 0)
    assert desk.dispute().next_reminder_at is None
    assert reminders() == 2
    event = Event.objects.filter(type="x.charge.dispute.evidence_due_soon").latest("seq")
    assert event.payload["object"]["id"] == dispute.public_id
    assert event.payload["object"]["evidence_details"]["due_by"] is not None


@pytest.mark.parametrize(("due_in_hours", "first_in"), [(200, 128), (50, 26), (20, None)])
def test_a_reminder_already_past_when_the_dispute_opens_is_skipped(
    desk: Desk, due_in_hours: int, first_in: float | None
) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=due_in_hours * HOURS)
    assert hours_until(dispute.next_reminder_at) == first_in


def test_after_an_outage_the_sweep_sends_one_reminder_for_both(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=100 * HOURS)
    let_pass(dispute, until_hours_before=10)
    assert (remind_of_due_evidence(), remind_of_due_evidence()) == (1, 0)
    assert reminders() == 1


def test_a_merchant_who_answered_or_missed_the_deadline_is_not_reminded(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=100 * HOURS)
    desk.submit(dispute)
    assert desk.dispute().next_reminder_at is None
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)

    second = desk.opened(due_in_seconds=100 * HOURS)
    let_pass(second, until_hours_before=-1)
    assert remind_of_due_evidence() == 0
    desk.move(second.psp_dispute_id, "lose")
    assert desk.sync(second.psp_dispute_id).next_reminder_at is None
    assert reminders() == 0


def test_a_repeated_sync_does_not_remind_again(desk: Desk) -> None:
    desk.pay()
    dispute = desk.opened(due_in_seconds=71 * HOURS)
    Dispute.objects.update(next_reminder_at=now_utc())
    assert remind_of_due_evidence() == 1
    desk.sync(dispute.psp_dispute_id)
    assert remind_of_due_evidence() == 0
    assert hours_until(desk.dispute().next_reminder_at) == 71 - 24


def move_deadline(desk: Desk, hours_from_now: float | None) -> Dispute:
    """The PSP states another deadline for evidence, or none."""
    dispute = Dispute.objects.select_related("charge").get()
    statement = dispute_calls.ask(desk.shop.account, dispute.psp_dispute_id)
    assert statement is not None
    due_by = None if hours_from_now is None else now_utc() + timedelta(hours=hours_from_now)
    record_dispute(
        statement=replace(statement, evidence_due_by=due_by),
        charge=dispute.charge,
        caller=callers.for_operation(dispute.charge, "test"),
    )
    return desk.dispute()


@pytest.mark.parametrize(("due_in_hours", "next_in"), [(200, 128), (90, 18), (300, 228)])
def test_a_reminder_moves_with_the_deadline(desk: Desk, due_in_hours: int, next_in: int) -> None:
    desk.pay()
    desk.opened(due_in_seconds=100 * HOURS)
    assert hours_until(move_deadline(desk, due_in_hours).next_reminder_at) == next_in
    assert remind_of_due_evidence() == 0


def test_a_deadline_that_the_psp_states_later_gets_reminders(desk: Desk) -> None:
    desk.pay()
    desk.opened(due_in_seconds=100 * HOURS)
    dispute = move_deadline(desk, None)
    assert (dispute.evidence_due_by, dispute.next_reminder_at) == (None, None)
    assert hours_until(move_deadline(desk, 80).next_reminder_at) == 80 - 72
    assert remind_of_due_evidence() == 0


@pytest.mark.parametrize(("due_in_hours", "then_in"), [(50, 26), (20, None)])
def test_a_deadline_moved_before_its_reminder_is_reminded_of_at_once(
    desk: Desk, due_in_hours: int, then_in: int | None
) -> None:
    desk.pay()
    desk.opened(due_in_seconds=100 * HOURS)
    move_deadline(desk, due_in_hours)
    assert (remind_of_due_evidence(), remind_of_due_evidence()) == (1, 0)
    assert hours_until(desk.dispute().next_reminder_at) == then_in


def test_a_deadline_extended_after_its_last_reminder_is_reminded_of_again(
    desk: Desk,
) -> None:
    desk.pay()
    desk.opened(due_in_seconds=20 * HOURS)
    assert desk.dispute().next_reminder_at is None
    assert hours_until(move_deadline(desk, 60).next_reminder_at) == 60 - 24
    assert hours_until(move_deadline(desk, 100).next_reminder_at) == 100 - 72


def test_concurrent_sweeps_remind_once(desk: Desk, run_together: Callable[..., list[Any]]) -> None:
    desk.pay()
    desk.opened()
    Dispute.objects.update(next_reminder_at=now_utc())
    results = run_together(*[remind_of_due_evidence] * 6)
    assert sorted(results) == [0, 0, 0, 0, 0, 1]
    assert reminders() == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_reminding_reminds_once(desk: Desk, when: str) -> None:
    desk.pay()
    desk.opened()
    Dispute.objects.update(next_reminder_at=now_utc())
    crash_at((dispute_reminders, "events_of", when), remind_of_due_evidence)
    assert reminders() == 0
    assert remind_of_due_evidence() == 1
    assert reminders() == 1
