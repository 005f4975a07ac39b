"""Snapshots that contradict themselves: what can be booked is, and the rest is a case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.money import Money
from payments.models import Case, PaymentIntent
from payments.services.recovery import payment_sync
from payments.tests.outcomes.test_adoption import ask_in_euro
from payments.tests.support.dashboard import (
    act,
    adopt,
    amounts,
    external_operations,
    held,
    seen,
    sold,
    sync,
)
from payments.tests.support.late_outcomes import assert_the_books_agree, balances, cases, close_as
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspPayment


def listed_again(view: PspPayment, outcome: Outcome) -> PspPayment:
    """The same payment, with its last operation once more."""
    again = replace(view.operations[-1], outcome=outcome)
    return replace(view, operations=(*view.operations, again))


def test_a_dashboard_refund_that_is_listed_twice_counts_once(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 3_000)
    view = listed_again(seen(shop, intent_id), Outcome.SUCCEEDED)
    [charge] = shop.operations(intent_id)
    assert adopt(charge, view) == 1
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 3_000, 0, 0)
    assert [each.status for each in shop.refunds(intent_id)] == ["succeeded"]
    assert cases() == []
    assert_the_books_agree()


def test_a_late_refund_that_is_listed_twice_counts_once(shop: Shop) -> None:
    intent_id = sold(shop)
    lose_the_answer(shop, "refund")
    shop.refund(intent_id, 3_000)
    charge, refund = shop.operations(intent_id)
    close_as(refund, Outcome.DECLINED)
    assert adopt(charge, listed_again(seen(shop, intent_id), Outcome.SUCCEEDED)) == 1
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 3_000, 0, 0)
    assert_the_books_agree()


@pytest.mark.parametrize("other", [Outcome.DECLINED, Outcome.PENDING])
def test_an_operation_with_two_outcomes_waits_for_a_snapshot_with_one(
    shop: Shop, other: Outcome
) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 3_000)
    [charge] = shop.operations(intent_id)
    assert adopt(charge, listed_again(seen(shop, intent_id), other)) == 0
    assert shop.intent(intent_id).amount_refunded_minor == 0
    assert shop.refunds(intent_id) == []
    [case] = Case.objects.all()
    assert case.kind == "contradiction"
    assert "one refund as succeeded with 30.00 USD and as" in case.summary
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_refunded_minor == 3_000
    assert_the_books_agree()


def test_nothing_is_booked_beside_a_hold_in_another_currency(shop: Shop) -> None:
    intent_id = held(shop)
    [charge] = shop.operations(intent_id)
    act(shop, "capture", 4_000, final=False)
    adopt(charge, replace(seen(shop, intent_id), held=Money(500, "EUR")))
    intent = shop.intent(intent_id)
    assert (intent.amount_held_minor, intent.amount_captured_minor) == (10_000, 0)
    [case] = Case.objects.all()
    assert "holds 5.00 EUR" in case.summary
    assert_the_books_agree()
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.amount_held_minor, intent.amount_captured_minor) == (6_000, 4_000)
    assert_the_books_agree()


def test_a_psp_id_of_another_payment_is_a_case(shop: Shop) -> None:
    first = sold(shop)
    act(shop, "refund", 3_000)
    sync(shop, first)
    [known] = external_operations(first)
    shop.order_id += "-other"
    second = sold(shop)
    act(shop, "refund", 2_000)
    view = seen(shop, second)
    stolen = replace(view.operations[-1], psp_id=known.psp_id)
    [charge] = shop.operations(second)
    assert adopt(charge, replace(view, operations=(*view.operations[:-1], stolen))) == 0
    assert external_operations(second) == []
    [case] = Case.objects.all()
    assert f"refund of 20.00 USD, which is {known.public_id}" in case.summary
    sync(shop, second)
    assert shop.intent(second).amount_refunded_minor == 2_000
    assert_the_books_agree()


def test_two_kinds_of_operations_may_have_one_psp_id(shop: Shop) -> None:
    intent_id = held(shop)
    [charge] = shop.operations(intent_id)
    act(shop, "capture", 4_000, final=False)
    act(shop, "void")
    view = seen(shop, intent_id)
    named = [replace(each, psp_id=charge.psp_payment_id) for each in view.operations[1:]]
    adopt(charge, replace(view, operations=(view.operations[0], *named)))
    assert [o.kind for o in external_operations(intent_id)] == ["capture", "void"]
    assert balances(intent_id) == {1100: 4_000, 2100: -4_000}
    assert_the_books_agree()


def test_the_hold_of_a_charge_that_ended_before_its_success_was_heard(shop: Shop) -> None:
    shop.merchant.late_success_policy = "keep"
    shop.merchant.save(update_fields=["late_success_policy"])
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    [charge] = shop.operations(intent_id)
    close_as(charge, Outcome.DECLINED)
    act(shop, "void")
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("CANCELED", "canceled")
    assert_the_books_agree()


def test_a_hold_of_a_failed_charge_does_not_count_in_another_currency(shop: Shop) -> None:
    shop.create(10_000, token="pm_card_chargeDeclined", manual=True)
    [intent] = PaymentIntent.objects.all()
    [charge] = intent.operations.all()
    view = payment_sync.look_up_payment(charge)
    ask_in_euro(shop, intent.public_id)
    for _ in range(2):
        assert adopt(charge, replace(view, operations=(), held=Money(10_000, "USD"))) == 0
    intent.refresh_from_db()
    assert (intent.status, intent.amount_held_minor, intent.currency) == ("FAILED", 0, "EUR")
    assert balances(intent.public_id) == {}
    [case] = Case.objects.all()
    assert "holds 100.00 USD of a charge that is DECLINED here" in case.summary
    assert_the_books_agree()
