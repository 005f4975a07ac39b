"""Which charge of several holds a payment or its order, and what follows for the others.

A reversed charge may be reinstated as a duplicate, or no longer as one: its increments,
captures and refunds follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from payments.models import Operation, PaymentIntent
from payments.services.outcomes import bookings
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks, ChargeVector
from payments.services.psp_gateway import accounts
from payments.services.recovery.payment_sync import Inconclusive, sync_payment
from payments.tests.support.dashboard import held, sold
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
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspOperationKind


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


def test_an_incremented_charge_that_is_reinstated_as_a_duplicate_is_in_excess_once(
    shop: Shop,
) -> None:
    intent_id = held(shop)
    shop.increment(intent_id, 15_000)
    charge = shop.operations(intent_id)[0]
    revise(shop, charge, "fail")
    sold(shop)
    revise(shop, charge, "succeed")
    assert counters(shop, intent_id) == {"excess": 15_000}
    assert_all_follows(shop, charge, excess_minor=15_000)
    sweep_reversals()
    assert shop.intent(intent_id).amount_held_minor == 0
    assert balances(intent_id) == {}
    assert_the_books_agree()


LIVES = [
    (increments, captures, refunds)
    for increments in range(3)
    for captures in range(3)
    for refunds in range(2)
    if captures or not refunds
]


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize(("increments", "captures", "refunds"), LIVES)
def test_a_charge_takes_everything_along_into_another_role_and_back(
    shop: Shop, increments: int, captures: int, refunds: int
) -> None:
    """The second capture is made while the charge is reversed, and so stays made."""
    intent_id = held(shop)
    for number in range(1, increments + 1):
        shop.increment(intent_id, 10_000 + 2_500 * number)
    asked_minor = 10_000 + 2_500 * increments
    charge = shop.operations(intent_id)[0]
    if captures:
        shop.capture(intent_id, 3_000, final=False)
    if refunds:
        shop.refund(intent_id, 1_000)
    ours = [o for o in shop.operations(intent_id) if o.kind == "capture"]
    reverse_with_captures(shop, charge, ours)
    if captures == 2:
        force = {"amount_minor": 3_000, "final": False, "force": True}
        shop.psp.act("capture", payment_id=charge.psp_payment_id, **force)
        sync_as_notified(charge)
    other = body_of(shop.create(10_000))["id"]
    reinstate_with_captures(shop, charge, ours)
    assert charge.status == "EXCESS"
    assert_all_follows(shop, charge, excess_minor=shop.intent(intent_id).amount_excess_minor)
    assert shop.intent(intent_id).amount_excess_minor >= asked_minor
    if captures == 2:
        return  # The PSP undoes no authorization of which money is captured.
    reverse_with_captures(shop, charge, ours)
    shop.refund(other)
    reinstate_with_captures(shop, charge, ours)
    assert charge.status == "SUCCEEDED"
    assert_all_follows(shop, charge, excess_minor=0)


def revise(shop: Shop, operation: Operation, to: str) -> None:
    shop.psp.revise(reference(operation), to)
    sync_as_notified(operation)
    operation.refresh_from_db()


def reverse_with_captures(shop: Shop, charge: Operation, captures: list[Operation]) -> None:
    for each in [*captures, charge]:
        revise(shop, each, "fail")
    assert charge.status == "REVERSED"
    assert_the_books_agree()


def reinstate_with_captures(shop: Shop, charge: Operation, captures: list[Operation]) -> None:
    for each in [charge, *captures]:
        revise(shop, each, "succeed")
    confirm_late_outcomes()
    charge.refresh_from_db()


def assert_all_follows(shop: Shop, charge: Operation, *, excess_minor: int) -> None:
    """The books hold the charge in its present role alone, with what the PSP shows."""
    shown = accounts.adapter_of(shop.account).look_up_payment(
        charge.psp_payment_id, deadline_seconds=5
    )
    assert shown is not None
    sums = dict.fromkeys(PspOperationKind, 0)
    for each in shown.operations:
        if each.outcome is Outcome.SUCCEEDED:
            sums[each.kind] += each.amount.minor
    books = ChargeBooks(charge, Operation.objects.filter(intent_id=charge.intent_id))
    roles = [books.vector(bookings.OWN), books.vector(bookings.EXCESS)]
    is_duplicate = charge.status == "EXCESS"
    present, other = roles[is_duplicate], roles[not is_duplicate]
    assert other == ChargeVector()
    found = (present.held_minor, present.captured_minor, present.refunded_minor)
    assert found == (
        shown.held.minor,
        sums[PspOperationKind.CAPTURE],
        sums[PspOperationKind.REFUND],
    )
    left_minor = present.held_minor + present.captured_minor - present.refunded_minor
    charge.refresh_from_db()
    assert charge.excess_minor - charge.excess_returned_minor == (left_minor if is_duplicate else 0)
    intent = PaymentIntent.objects.get(pk=charge.intent_id)
    own = roles[0]
    assert (intent.amount_held_minor, intent.amount_captured_minor) == (
        own.held_minor,
        own.captured_minor,
    )
    in_excess_minor = present.authorized_minor if is_duplicate else 0
    assert intent.amount_excess_minor == in_excess_minor == excess_minor
    assert_the_books_agree()
