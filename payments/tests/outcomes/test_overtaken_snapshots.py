"""Snapshots that are behind, and a PSP that goes back and forth: what is adopted, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.models import LedgerTransaction
from ledger.money import Money
from payments.clock import now_utc
from payments.models import Event
from payments.services.outcomes.late_and_external.adopt import SnapshotIncomplete
from payments.tests.support.dashboard import act, adopt, held, seen
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    confirm_late_outcomes,
    counters,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspOperationKind, PspPayment


def with_capture_as(view: PspPayment, outcome: Outcome, *, held_minor: int) -> PspPayment:
    """The same payment, as a PSP shows it whose captures ended otherwise."""
    operations = tuple(
        replace(each, outcome=outcome) if each.kind is PspOperationKind.CAPTURE else each
        for each in view.operations
    )
    return replace(view, operations=operations, held=Money(held_minor, "USD"))


def test_a_snapshot_from_before_a_capture_had_succeeded_is_discarded(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id)
    before = Event.objects.count(), LedgerTransaction.objects.count()
    behind = with_capture_as(seen(shop, intent_id), Outcome.PENDING, held_minor=10_000)
    with pytest.raises(SnapshotIncomplete, match="undecided"):
        adopt(shop.operations(intent_id)[0], behind)
    assert (Event.objects.count(), LedgerTransaction.objects.count()) == before
    assert shop.intent(intent_id).status == "CAPTURED"


def test_a_psp_that_goes_back_and_forth_is_asked_later_and_later(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 4_000, final=False)
    one = seen(shop, intent_id)
    other = with_capture_as(one, Outcome.DECLINED, held_minor=10_000)
    for view in (other, one, other, one, other):
        adopt(shop.operations(intent_id)[0], view)
        charge = shop.operations(intent_id)[0]
        assert charge.next_check_at is not None
        assert charge.next_check_at < now_utc() + timedelta(seconds=3)
    assert "contradiction" not in cases()
    for view in (one, other, one, other, one, other, one):
        adopt(shop.operations(intent_id)[0], view)
    charge = shop.operations(intent_id)[0]
    assert charge.next_check_at is not None
    assert charge.next_check_at > now_utc() + timedelta(seconds=3)
    assert "contradiction" in cases()
    confirm_late_outcomes()
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 4_000}
    assert_the_books_agree()


def test_a_charge_of_which_the_psp_holds_less_by_now_has_its_payment_looked_up(shop: Shop) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    act(shop, "capture", 4_000, final=False)
    shop.settle()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    shop.settle()
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 4_000}
    assert_the_books_agree()
