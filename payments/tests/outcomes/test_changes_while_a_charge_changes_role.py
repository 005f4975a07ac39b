"""A capture, void, increment or refund is under way while its charge ceases to count.

Another charge may hold the payment when the result arrives: what is booked and shown then is of
that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from payments.models import Operation, PaymentIntent
from payments.services.outcomes.late_and_external.charge_books import ChargeBooks
from payments.services.psp_gateway import accounts, sending
from payments.services.recovery import payment_sync
from payments.tests.support.dashboard import end_leases, sold
from payments.tests.support.dispute_desk import Desk
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    counters,
    falsely_closed,
    reference,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, age_operations
from psp_adapters.contract.operations import Outcome, PspResult

CHANGES: dict[str, Callable[[Shop, str], Any]] = {
    "capture": lambda shop, intent_id: shop.capture(intent_id, 6_000),
    "void": lambda shop, intent_id: shop.cancel(intent_id),
    "increment": lambda shop, intent_id: shop.increment(intent_id, 12_000),
}


def two_charges(shop: Shop) -> tuple[str, Operation, Operation]:
    """One that was closed as declined, although the PSP holds it, and one that counts."""
    intent_id, late = falsely_closed(shop, Outcome.DECLINED, manual=True)
    shop.confirm(intent_id, token="pm_card_visa")
    return intent_id, late, shop.operations(intent_id)[-1]


@contextmanager
def before_it_is_sent(action: Callable[[], None]) -> Iterator[None]:
    """Do this once a change is stored, and before the PSP gets it."""
    real = sending.send

    def send(operation: Operation, **how: Any) -> PspResult:
        action()
        return real(operation, **how)

    sending.send = send
    try:
        yield
    finally:
        sending.send = real


def sync_all(*charges: Operation) -> None:
    for each in charges:
        payment_sync.sync_payment(each.id, actor="psp:notification")


def settle(shop: Shop) -> None:
    for _ in range(2):
        end_leases()
        shop.settle()
        assert_the_books_agree()


def assert_held_as_at_the_psp(shop: Shop, intent_id: str) -> None:
    operations = shop.operations(intent_id)
    for charge in operations:
        if charge.is_charge:
            seen = accounts.adapter_of(shop.account).look_up_payment(
                charge.psp_payment_id, deadline_seconds=5
            )
            assert seen is not None
            books = ChargeBooks(charge, operations).vector()
            assert books.held_minor == seen.held.minor, charge.status


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("becomes", ["reversed", "duplicate", "duplicate, answer lost"])
def test_a_change_of_a_charge_that_counts_no_longer_leaves_the_other_one_alone(
    shop: Shop, kind: str, becomes: str
) -> None:
    intent_id, late, charge = two_charges(shop)
    if "lost" in becomes:
        lose_the_answer(shop, kind)

    def lose_its_role() -> None:
        shop.psp.revise(reference(charge), "fail")
        sync_all(charge, late)
        if becomes != "reversed":
            shop.psp.revise(reference(charge), "succeed")
            sync_all(charge)

    with before_it_is_sent(lose_its_role):
        CHANGES[kind](shop, intent_id)
    settle(shop)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_held_minor) == ("AUTHORIZED", 10_000)
    assert intent.latest_charge_id == late.id
    late.refresh_from_db()
    assert late.guard_order == shop.order_id
    assert_held_as_at_the_psp(shop, intent_id)
    sweep_reversals()
    sweep_reversals()
    assert_the_books_agree()
    assert_held_as_at_the_psp(shop, intent_id)


def test_a_refund_of_a_reversed_charge_counts_for_the_order_of_the_next_one(shop: Shop) -> None:
    intent_id, late = falsely_closed(shop, Outcome.DECLINED)
    shop.confirm(intent_id, token="pm_card_pendingRefund")
    charge = shop.operations(intent_id)[-1]
    shop.refund(intent_id)
    shop.psp.revise(reference(charge), "fail")
    sync_all(charge, late)
    late.refresh_from_db()
    assert late.guard_order == shop.order_id
    shop.psp.advance(60)
    settle(shop)
    assert shop.intent(intent_id).status == "REFUNDED"
    late.refresh_from_db()
    assert (late.status, late.guard_order) == ("SUCCEEDED", None)


def test_a_late_charge_of_a_payment_canceled_at_a_challenge_may_be_reversed(shop: Shop) -> None:
    intent_id, late = falsely_closed(shop, Outcome.DECLINED)
    shop.confirm(intent_id, token="pm_card_authenticationRequired")
    shop.cancel(intent_id)
    sync_as_notified(late)
    assert shop.intent(intent_id).status == "CAPTURED"
    shop.psp.revise(reference(late), "fail")
    sync_as_notified(late)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("FAILED", "canceled")
    assert counters(shop, intent_id) == {}
    assert_the_books_agree()


def test_a_capture_of_a_reversed_duplicate_is_taken_and_not_held(shop: Shop) -> None:
    _, late, _ = two_charges(shop)
    sync_as_notified(late)
    late.refresh_from_db()
    shop.psp.revise(reference(late), "fail")
    sync_as_notified(late)
    force = {"amount_minor": 3_000, "final": False, "force": True}
    shop.psp.act("capture", payment_id=late.psp_payment_id, **force)
    sync_as_notified(late)
    late.refresh_from_db()
    assert (late.status, late.excess_minor, late.excess_returned_minor) == ("REVERSED", 3_000, 0)
    assert_the_books_agree()
    assert "external_operation" in cases()


def test_a_disputed_duplicate_may_count_while_its_refund_is_under_way(shop: Shop) -> None:
    intent_id, late = falsely_closed(shop, Outcome.DECLINED, token="pm_card_pendingRefund")
    other = sold(shop)
    sync_as_notified(late)
    late.refresh_from_db()
    sweep_reversals()
    opened = shop.psp.open_dispute(payment_id=late.psp_payment_id, amount_minor=10_000)
    Desk(shop).sync(opened["id"])
    shop.psp.revise(reference(late), "fail")
    sync_as_notified(late)
    shop.refund(other)
    shop.psp.revise(reference(late), "succeed")
    sync_as_notified(late)
    expected = {"authorized": 10_000, "captured": 10_000, "refund_pending": 10_000}
    assert counters(shop, intent_id) == expected
    refund = shop.operations(intent_id)[-1]
    assert (refund.kind, refund.failure_balance_transaction_id) == ("refund", None)
    assert_the_books_agree()


def test_a_duplicate_is_not_given_back_once_it_counts(shop: Shop) -> None:
    """The refund that was to give it back never reached the PSP: it is not sent again."""
    intent_id, late = falsely_closed(shop, Outcome.DECLINED)
    other = sold(shop)
    sync_as_notified(late)
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id, kind="refund")
    sweep_reversals()
    shop.psp.revise(reference(late), "fail")
    sync_as_notified(late)
    shop.refund(other)
    shop.psp.revise(reference(late), "succeed")
    sync_as_notified(late)
    age_operations(intent_id, seconds=90)
    settle(shop)
    assert [refund.status for refund in shop.refunds(intent_id)] == ["canceled"]
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 10_000}
    assert "not_carried_out" in cases()
    assert [e["amount_minor"] for e in shop.effects("refund")] == [10_000], "of the other charge"


def become_a_duplicate(charge: Operation) -> None:
    for status in ("REVERSED", "EXCESS"):
        Operation.objects.filter(pk=charge.pk).update(status=status)


def fail_with_other_counters(charge: Operation) -> None:
    Operation.objects.filter(pk=charge.pk).update(status="REVERSED")
    PaymentIntent.objects.filter(pk=charge.intent_id).update(amount_authorized_minor=12_000)


def count_unnamed(charge: Operation) -> None:
    for status in ("REVERSED", "SUCCEEDED"):
        Operation.objects.filter(pk=charge.pk).update(status=status)
    PaymentIntent.objects.filter(pk=charge.intent_id).update(latest_charge_id=None)


@pytest.mark.parametrize(
    ("move", "refusal"),
    [
        (become_a_duplicate, "is booked in two roles"),
        (fail_with_other_counters, "captured 10000 by the books"),
        (count_unnamed, "charge_counts_unnamed"),
    ],
)
def test_postgresql_refuses_a_role_that_books_and_counters_do_not_follow(
    shop: Shop, move: Callable[[Operation], None], refusal: str
) -> None:
    intent_id = sold(shop)
    [charge] = shop.operations(intent_id)
    with pytest.raises(IntegrityError, match=refusal), transaction.atomic():
        move(charge)
    charge.refresh_from_db()
    assert charge.status == "SUCCEEDED"
    assert_the_books_agree()
