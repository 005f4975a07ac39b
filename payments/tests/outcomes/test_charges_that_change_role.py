"""Which charge of several holds a payment or its order, and what follows for the others.

A reversed charge may be reinstated as a duplicate, or no longer as one: its refunds follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from payments.services.recovery.payment_sync import Inconclusive, sync_payment
from payments.tests.support.dashboard import sold
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    confirm_late_outcomes,
    counters,
    falsely_closed,
    reference,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.shop import Shop
from psp_adapters.contract.operations import Outcome


def test_a_refund_follows_its_charge_when_that_is_reinstated_as_a_duplicate(shop: Shop) -> None:
    intent_id = sold(shop)
    shop.refund(intent_id, 2_000)
    [charge, refund] = shop.operations(intent_id)
    shop.psp.revise(reference(charge), "fail")
    sync_as_notified(charge)
    sold(shop)
    shop.psp.revise(reference(charge), "succeed")
    sync_as_notified(charge)
    confirm_late_outcomes()
    charge.refresh_from_db()
    assert (charge.status, charge.excess_minor, charge.excess_returned_minor) == (
        "EXCESS",
        10_000,
        2_000,
    )
    assert counters(shop, intent_id) == {"excess": 10_000}
    assert_the_books_agree()
    sweep_reversals()
    assert [o.amount_minor for o in shop.operations(intent_id)[2:]] == [8_000]
    shop.psp.revise(reference(refund), "fail")
    sync_as_notified(refund)
    assert_the_books_agree()
    sweep_reversals()
    assert balances(intent_id) == {1100: 10_000, 2200: -10_000}
    assert_the_books_agree()


def test_a_refund_follows_its_charge_when_that_is_no_longer_a_duplicate(shop: Shop) -> None:
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    other = sold(shop)
    sync_as_notified(charge)
    sweep_reversals()
    assert shop.refunds(intent_id)[0].status == "succeeded"
    shop.psp.revise(reference(charge), "fail")
    sync_as_notified(charge)
    shop.refund(other)
    shop.psp.revise(reference(charge), "succeed")
    sync_as_notified(charge)
    intent = shop.intent(intent_id)
    assert (intent.status, counters(shop, intent_id)) == (
        "REFUNDED",
        {"authorized": 10_000, "captured": 10_000, "refunded": 10_000},
    )
    assert balances(intent_id) == {1100: 10_000, 2200: -10_000}
    assert_the_books_agree()


def test_two_late_charges_of_one_order_that_are_recorded_at_once(
    shop: Shop, run_together: Callable[..., list[Any]]
) -> None:
    charges = [falsely_closed(shop, Outcome.DECLINED)[1] for _ in range(2)]
    results = run_together(*[partial(sync_payment, each.id, actor="test") for each in charges])
    assert all(each is None or isinstance(each, Inconclusive) for each in results), results
    for each in charges:
        sync_as_notified(each)
        each.refresh_from_db()
    assert sorted(each.status for each in charges) == ["EXCESS", "SUCCEEDED"]
    assert_the_books_agree()
