"""A late charge that is both due for reversal and charged back is returned only once."""

from __future__ import annotations

import pytest

from payments.models import Case, Operation
from payments.services.commands.operators.cases import close_case
from payments.services.psp_gateway import references
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.factories import staff
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    falsely_closed,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.shop import Shop
from psp_adapters.contract.operations import Outcome


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


def late_charge(desk: Desk, *, excess: bool) -> tuple[str, Operation]:
    """A late charge due for reversal; with `excess`, a duplicate of the payment's own charge."""
    intent_id, charge = falsely_closed(desk.shop, Outcome.DECLINED)
    if excess:
        desk.shop.confirm(intent_id, token="pm_card_mastercard")
    sync_as_notified(charge)
    charge.refresh_from_db()
    assert charge.reversal_due_at is not None
    return intent_id, charge


def charge_back(desk: Desk, charge: Operation) -> str:
    """The customer's bank charges it back. Returns the dispute's id at the PSP."""
    opened: str = desk.shop.psp.open_dispute(payment_id=charge.psp_payment_id)["id"]
    desk.sync(opened)
    return opened


@pytest.mark.parametrize("policy", ["block", "flag"])
@pytest.mark.parametrize("excess", [False, True])
def test_a_late_charge_is_not_reversed_while_it_is_charged_back(
    desk: Desk, excess: bool, policy: str
) -> None:
    desk.shop.merchant.disputed_refund_policy = policy
    desk.shop.merchant.save()
    intent_id, charge = late_charge(desk, excess=excess)
    dispute = charge_back(desk, charge)
    sweep_reversals()
    assert desk.shop.effects("refund") == []
    assert desk.shop.refunds(intent_id) == []

    desk.move(dispute, "win")
    desk.sync(dispute)
    sweep_reversals()
    sweep_reversals()
    assert [each["amount_minor"] for each in desk.shop.effects("refund")] == [10_000]
    assert not Operation.objects.filter(reversal_due_at__isnull=False).exists()
    assert_the_books_agree()


@pytest.mark.parametrize("excess", [False, True])
def test_a_late_charge_whose_chargeback_is_lost_is_never_reversed_and_opens_a_case(
    desk: Desk, excess: bool
) -> None:
    intent_id, charge = late_charge(desk, excess=excess)
    dispute = charge_back(desk, charge)
    desk.move(dispute, "lose")
    desk.sync(dispute)
    for case in Case.objects.filter(status="open"):
        close_case(case.id, author=staff("ada"), resolution="seen")
    sweep_reversals()
    assert desk.shop.refunds(intent_id) == []
    assert not Operation.objects.filter(reversal_due_at__isnull=False).exists()
    assert Case.objects.get(status="open").summary == (
        "The charge could not be given back: the bank has charged it back for good."
    )
    assert_the_books_agree()


def test_a_dispute_of_a_reversed_duplicate_charge_opens_a_case(desk: Desk) -> None:
    _, charge = late_charge(desk, excess=True)
    sweep_reversals()
    charge_back(desk, charge)
    assert "disputed_and_refunded" in cases()
    assert_the_books_agree()


def test_a_dispute_first_recorded_after_its_charge_was_reversed_is_booked(desk: Desk) -> None:
    intent_id = desk.pay(10_000)
    opened = desk.open()
    [charge] = desk.shop.operations(intent_id)
    desk.shop.psp.revise(references.reference_of(charge.id), "fail")
    sync_as_notified(charge)
    assert desk.shop.intent(intent_id).amount_captured_minor == 0

    assert desk.sync(opened).status == "needs_response"
    assert desk.shop.intent(intent_id).amount_disputed_minor == 10_000
    assert cases() == ["disputed_too_much", "outcome_reversed"]
    assert_the_books_agree()
