"""Refunds of charged back payments: refused or flagged by the merchant's policy."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import IntegrityError, connections

from payments.exceptions import ChargeRefused, PaymentRefused
from payments.models import Case, Dispute, Operation, PaymentIntent
from payments.objects.charge import charge_object
from payments.services.callers.caller import Answer
from payments.services.verification.rebuild import differences
from payments.tests.outcomes.test_adoption import ask_in_euro
from payments.tests.outcomes.test_external_operations_on_duplicate_charges import (
    act,
    duplicate_charge,
    sync,
)
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.late_outcomes import balances, cases, falsely_closed, sweep_reversals
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of, open_shop
from paymentsite.tests.fixtures.matrix import examples
from psp_adapters.contract.operations import Outcome


@pytest.fixture
def desk(shop: Shop) -> Desk:
    return Desk(shop)


@pytest.fixture
def flagging(shop: Shop) -> Desk:
    """A merchant whose policy flags refunds of disputed payments instead of refusing them."""
    return Desk(open_shop(shop.psp, disputed_refund_policy="flag"))


@pytest.mark.parametrize("end", ["", "lose"])
def test_a_charged_back_payment_is_not_refunded(desk: Desk, end: str) -> None:
    intent_id = desk.pay()
    dispute = desk.opened()
    if end:
        desk.move(dispute.psp_dispute_id, end)
        desk.sync(dispute.psp_dispute_id)
    before = PaymentIntent.objects.values().get()
    with pytest.raises(ChargeRefused) as refused:
        desk.shop.refund(intent_id, 100)
    assert refused.value.code == "charge_disputed"
    assert PaymentIntent.objects.values().get() == before
    assert desk.shop.refunds(intent_id) == []
    assert desk.shop.effects("refund") == []
    assert Case.objects.count() == 0


@pytest.mark.parametrize("end", ["", "lose"])
def test_what_a_bank_did_not_charge_back_may_be_refunded(desk: Desk, end: str) -> None:
    intent_id = desk.pay(25_000)
    dispute = desk.opened(amount_minor=10_000)
    if end:
        desk.move(dispute.psp_dispute_id, end)
        desk.sync(dispute.psp_dispute_id)
    with pytest.raises(ChargeRefused, match=r"150\.00 USD may be refunded") as refused:
        desk.shop.refund(intent_id, 15_001)
    assert refused.value.code == "charge_disputed"
    assert desk.shop.refunds(intent_id) == []

    assert body_of(desk.shop.refund(intent_id, 5_000))["status"] == "succeeded"
    rest = body_of(desk.shop.refund(intent_id))
    assert (rest["status"], rest["amount"]) == ("succeeded", 10_000)
    with pytest.raises(ChargeRefused):
        desk.shop.refund(intent_id)
    row = PaymentIntent.objects.filter(pk=desk.shop.intent(intent_id).pk)
    with pytest.raises(IntegrityError, match="refund_of_disputed"):
        row.update(amount_refund_pending_minor=1)
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_the_flag_policy_needs_no_case_for_what_was_not_charged_back(flagging: Desk) -> None:
    intent_id = flagging.pay(25_000)
    flagging.opened(amount_minor=10_000)
    flagging.shop.refund(intent_id, 15_000)
    assert Case.objects.count() == 0
    flagging.shop.refund(intent_id, 1)
    assert Case.objects.get().kind == "disputed_and_refunded"


@pytest.mark.parametrize(
    ("inquiry", "move"), [(False, "win"), (False, "prevent"), (True, ""), (True, "close")]
)
def test_a_payment_with_an_inquiry_or_a_won_dispute_may_be_refunded(
    desk: Desk, inquiry: bool, move: str
) -> None:
    intent_id = desk.pay()
    dispute = desk.opened(inquiry=inquiry)
    assert dispute.is_charge_refundable == inquiry
    if move:
        desk.move(dispute.psp_dispute_id, move)
        desk.sync(dispute.psp_dispute_id)
    assert body_of(desk.shop.refund(intent_id))["status"] == "succeeded"
    assert Case.objects.count() == 0
    assert list(differences()) == []


def test_an_inquiry_that_escalates_after_the_refund_opens_a_case(desk: Desk) -> None:
    intent_id = desk.pay()
    dispute = desk.opened(inquiry=True)
    desk.shop.refund(intent_id)
    desk.move(dispute.psp_dispute_id, "escalate")
    desk.sync(dispute.psp_dispute_id)
    assert Case.objects.get().kind == "disputed_and_refunded"


def test_a_merchant_with_the_flag_policy_gets_the_refund_and_a_case(flagging: Desk) -> None:
    intent_id = flagging.pay(25_000)
    dispute = flagging.opened()
    assert body_of(flagging.shop.refund(intent_id, 5_000))["status"] == "succeeded"
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("disputed_and_refunded", dispute.public_id)
    flagging.shop.refund(intent_id, 5_000)
    assert Case.objects.count() == 1, "one open case says it all"
    assert list(differences()) == []


def beside_a_duplicate(desk: Desk) -> tuple[str, Operation, Operation]:
    """A payment, its own charge, and a duplicate charge."""
    intent_id, excess, _ = duplicate_charge(desk.shop)
    [own] = [o for o in desk.shop.operations(intent_id) if o.is_charge and o.id != excess.id]
    return intent_id, own, excess


def charge_back(desk: Desk, charge: Operation, *moves: str) -> Dispute:
    opened = desk.shop.psp.open_dispute(payment_id=charge.psp_payment_id)["id"]
    for move in moves:
        desk.move(opened, move)
    dispute = desk.sync(opened)
    charge.refresh_from_db()
    return dispute


@pytest.mark.parametrize("moves", [(), ("lose",)])
def test_a_chargeback_of_a_duplicate_charge_stops_no_refund_of_the_payments_own(
    desk: Desk, moves: tuple[str, ...]
) -> None:
    intent_id, own, excess = beside_a_duplicate(desk)
    dispute = charge_back(desk, excess, *moves)
    intent = desk.shop.intent(intent_id)
    assert intent.amount_disputed_minor == 10_000
    shown = charge_object(excess, intent)
    assert (shown["disputed"], shown["dispute"]) == (True, dispute.public_id)
    shown = charge_object(own, intent)
    assert (shown["disputed"], shown["dispute"]) == (False, None)

    assert body_of(desk.shop.refund(intent_id))["status"] == "succeeded"
    assert "disputed_and_refunded" not in cases()
    assert desk.shop.intent(intent_id).amount_refunded_minor == 10_000
    assert list(differences()) == []


def test_a_chargeback_of_a_duplicate_in_another_currency_is_booked_in_that(desk: Desk) -> None:
    intent_id, charge = falsely_closed(desk.shop, Outcome.DECLINED)
    ask_in_euro(desk.shop, intent_id)
    sync(charge)
    dispute = charge_back(desk, charge)
    assert (charge.status, str(dispute.amount)) == ("EXCESS", "100.00 USD")
    assert desk.shop.intent(intent_id).amount_disputed_minor == 0
    assert balances(intent_id)[2300] == -10_000
    assert list(differences()) == []
    sweep_reversals()
    assert desk.shop.refunds(intent_id) == []
    desk.move(dispute.psp_dispute_id, "win")
    desk.sync(dispute.psp_dispute_id)
    sweep_reversals()
    assert [each.status for each in desk.shop.refunds(intent_id)] == ["succeeded"]
    assert list(differences()) == []


def test_a_chargeback_of_the_payments_own_charge_stops_its_refund_despite_a_duplicate(
    desk: Desk,
) -> None:
    intent_id, own, excess = beside_a_duplicate(desk)
    dispute = charge_back(desk, own, "lose")
    charge_back(desk, excess, "lose")
    intent = desk.shop.intent(intent_id)
    assert charge_object(own, intent)["dispute"] == dispute.public_id
    with pytest.raises(ChargeRefused, match=r"100\.00 USD of") as refused:
        desk.shop.refund(intent_id, 100)
    assert refused.value.code == "charge_disputed"
    row = PaymentIntent.objects.filter(pk=intent.pk)
    with pytest.raises(IntegrityError, match="refund_of_disputed"):
        row.update(amount_refund_pending_minor=1)
    assert desk.shop.effects("refund") == []
    assert "disputed_too_much" not in cases(), "no dispute is about more than its charge captured"
    assert list(differences()) == []


def test_a_flagged_refund_names_the_dispute_of_the_charge_that_it_refunds(flagging: Desk) -> None:
    intent_id, own, excess = beside_a_duplicate(flagging)
    dispute = charge_back(flagging, own)
    charge_back(flagging, excess)
    flagging.shop.refund(intent_id, 100)
    case = Case.objects.get(kind="disputed_and_refunded")
    assert (case.subject, case.amount_minor) == (dispute.public_id, 10_000)


def test_an_external_refund_beside_a_disputed_duplicate_charge_opens_no_case(desk: Desk) -> None:
    _, own, excess = beside_a_duplicate(desk)
    charge_back(desk, excess, "lose")
    act(desk.shop, own, "refund", amount_minor=3_000)
    sync(own)
    assert "disputed_and_refunded" not in cases()
    charge_back(desk, own)
    act(desk.shop, own, "refund", amount_minor=3_000)
    sync(own)
    assert "disputed_and_refunded" in cases()
    assert list(differences()) == []


def test_more_disputed_than_captured_of_a_duplicate_charge_opens_a_case(desk: Desk) -> None:
    _, _, excess = beside_a_duplicate(desk)
    charge_back(desk, excess)
    assert "disputed_too_much" not in cases()
    charge_back(desk, excess)
    assert "disputed_too_much" in cases()


def test_postgresql_enforces_the_disputed_refund_policy(desk: Desk, flagging: Desk) -> None:
    for each, allowed in ((desk, False), (flagging, True)):
        intent_id = each.pay()
        each.opened()
        row = PaymentIntent.objects.filter(pk=each.shop.intent(intent_id).pk)
        if allowed:
            assert row.update(amount_refund_pending_minor=1) == 1
        else:
            with pytest.raises(IntegrityError, match="refund_of_disputed"):
                row.update(amount_refund_pending_minor=1)
            assert row.get().amount_refund_pending_minor == 0


def test_a_refund_of_unknown_outcome_counts_as_a_refund(desk: Desk, settings: Any) -> None:
    settings.PSP_BREAKERS = False
    intent_id = desk.pay()
    lose_the_answer(desk.shop, "refund")
    desk.shop.refund(intent_id)
    desk.opened(amount_minor=25_000)
    assert Case.objects.get().kind == "disputed_and_refunded"
    desk.shop.settle()
    assert desk.shop.refunds(intent_id)[0].status == "succeeded"
    assert list(differences()) == []


@pytest.mark.parametrize("policy", ["block", "flag"])
@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("attempt", range(examples(2, whole=4)))
def test_a_refund_and_a_concurrent_dispute_never_both_succeed_without_a_case(
    shop: Shop, policy: str, attempt: int
) -> None:
    desk = Desk(open_shop(shop.psp, disputed_refund_policy=policy))
    intent_id = desk.pay(25_000)
    psp_dispute_id = desk.open()
    barrier, results = threading.Barrier(8), []

    def run(number: int) -> None:
        try:
            barrier.wait()
            if number % 2:
                desk.sync(psp_dispute_id)
            else:
                results.append(desk.shop.refund(intent_id, 1_000))
        except PaymentRefused as refusal:
            results.append(refusal)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    refunds = [each for each in results if isinstance(each, Answer)]
    codes = {each.code for each in results if isinstance(each, PaymentRefused)}
    assert len(results) == 4
    assert codes <= ({"charge_disputed"} if policy == "block" else set())
    assert desk.dispute().status == "needs_response"
    cases = Case.objects.filter(kind="disputed_and_refunded").count()
    assert cases == (1 if refunds else 0)
    assert len(desk.shop.effects("refund")) == len(refunds)
    assert desk.shop.intent(intent_id).amount_disputed_minor == 25_000
    assert list(differences()) == []
