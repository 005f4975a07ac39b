"""A PSP's statement about a dispute may be wrong once, so a change needs it twice."""

from __future__ import annotations

import pytest

from ledger.models import LedgerTransaction
from ledger.money import Money
from payments.models import Case, Dispute
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery.payment_sync import Conflict
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.shop import Shop


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def lie(desk: Desk, psp_dispute_id: str, *, times: int | None = 1) -> None:
    """Let the PSP's next statements name a wrong amount."""
    path = f"/v1/disputes/{psp_dispute_id}"
    desk.shop.psp.script({"contradict": 1}, times=times, kind="look_up", path=path)


def test_a_dispute_is_opened_by_a_statement_that_the_psp_repeats(desk: Desk) -> None:
    desk.pay(25_000)
    psp_dispute_id = desk.open()
    lie(desk, psp_dispute_id)
    with pytest.raises(Inconclusive, match="says two things of the dispute"):
        desk.sync(psp_dispute_id)
    assert Dispute.objects.count() == 0
    assert LedgerTransaction.objects.filter(source_type="dispute").count() == 0
    assert Case.objects.count() == 0
    assert desk.sync(psp_dispute_id).amount == Money(25_000, "USD")


def test_a_statement_that_is_wrong_once_is_no_contradiction(desk: Desk) -> None:
    desk.pay(25_000)
    dispute = desk.opened()
    lie(desk, dispute.psp_dispute_id)
    with pytest.raises(Inconclusive, match="says two things of the dispute"):
        desk.sync(dispute.psp_dispute_id)
    assert Case.objects.count() == 0
    lie(desk, dispute.psp_dispute_id, times=None)
    with pytest.raises(Conflict, match=r"about 250\.00 USD, now it is about 250\.01 USD"):
        desk.sync(dispute.psp_dispute_id)
    assert [case.kind for case in Case.objects.all()] == ["contradiction"]


def test_a_statement_that_changes_nothing_needs_one_look_up(desk: Desk) -> None:
    desk.pay(25_000)
    dispute = desk.opened()
    asked = len(desk.shop.psp.calls(order_id=desk.shop.order_id, kind="look_up"))
    desk.sync(dispute.psp_dispute_id)
    assert len(desk.shop.psp.calls(order_id=desk.shop.order_id, kind="look_up")) == asked + 1
