"""Successes that the PSP reverses and perhaps reinstates: status, counters, books, events."""

from __future__ import annotations

import pytest

from payments.exceptions import PaymentRefused, UnexpectedState
from payments.models import Case, Operation
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    cases,
    confirm_late_outcomes,
    counters,
    events,
    reference,
    statuses,
    sync_as_notified,
)
from payments.tests.support.shop import Shop, body_of


def captured(shop: Shop, amount_minor: int = 10_000, *, fee: bool = True) -> tuple[str, Operation]:
    """A hold of 100.00 with a final capture of that amount."""
    shop.merchant.platform_fee_basis_points = 100 if fee else 0
    shop.merchant.save()
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, amount_minor)
    return intent_id, shop.operations(intent_id)[-1]


def revise(shop: Shop, operation: Operation, to: str, *, keep_hold: bool = True) -> None:
    """Change the operation's outcome at the PSP, and record it."""
    shop.psp.revise(reference(operation), to, keep_hold=keep_hold)
    sync_as_notified(operation)


@pytest.mark.parametrize("amount_minor", [10_000, 6_000])
def test_a_reversed_capture_reopens_the_hold(shop: Shop, amount_minor: int) -> None:
    intent_id, capture = captured(shop, amount_minor)
    revise(shop, capture, "fail")
    confirm_late_outcomes()

    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("AUTHORIZED", "succeeded")
    assert statuses(shop, intent_id)[-1] == ("capture", "REVERSED")
    assert counters(shop, intent_id) == {"authorized": 10_000}
    assert intent.capturable.minor == 10_000
    assert balances(intent_id) == {9100: 10_000, 9200: -10_000}
    assert events(intent_id)[-1] == "charge.updated"
    assert cases() == ["outcome_reversed"]
    assert_the_books_agree()

    assert body_of(shop.capture(intent_id, 10_000))["status"] == "succeeded"
    assert_the_books_agree()


def test_a_capture_reversed_after_its_hold_ended_fails_the_payment(shop: Shop) -> None:
    intent_id, capture = captured(shop, 6_000)
    revise(shop, capture, "fail", keep_hold=False)
    confirm_late_outcomes()

    assert shop.intent(intent_id).status == "FAILED"
    assert counters(shop, intent_id) == {"authorized": 10_000}
    assert balances(intent_id) == {}
    assert shop.operations(intent_id)[0].guard_order is None
    assert_the_books_agree()
    for attempt in (shop.confirm, shop.cancel, shop.capture, shop.refund):
        with pytest.raises(PaymentRefused):
            attempt(intent_id)
    assert shop.intent(intent_id).published_status == "succeeded"
    shop.create(10_000)
    assert_the_books_agree()


@pytest.mark.parametrize("keep_hold", [True, False])
@pytest.mark.parametrize("amount_minor", [10_000, 6_000])
def test_a_reinstated_capture_restores_status_and_books(
    shop: Shop, amount_minor: int, keep_hold: bool
) -> None:
    intent_id, capture = captured(shop, amount_minor)
    before = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
    for _ in range(2):
        revise(shop, capture, "fail", keep_hold=keep_hold)
        assert_the_books_agree()
        revise(shop, capture, "succeed")
        after = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
        assert after == before
        assert_the_books_agree()
    confirm_late_outcomes()
    assert statuses(shop, intent_id)[-1] == ("capture", "SUCCEEDED")
    assert events(intent_id)[-1] == "charge.captured"
    assert events(intent_id).count("payment_intent.succeeded") == 1
    assert shop.operations(intent_id)[0].guard_order == shop.order_id


def test_one_of_two_captures_is_reversed(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 4_000, final=False)
    shop.capture(intent_id, 6_000)
    first = shop.operations(intent_id)[1]
    revise(shop, first, "fail")
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 6_000}
    assert_the_books_agree()
    revise(shop, first, "succeed")
    assert shop.intent(intent_id).status == "CAPTURED"
    revise(shop, first, "fail", keep_hold=False)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 6_000}
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_capture_reversed_after_a_partial_refund_leaves_an_over_refund(shop: Shop) -> None:
    intent_id, capture = captured(shop)
    shop.refund(intent_id, 3_000)
    revise(shop, capture, "fail", keep_hold=False)
    assert shop.intent(intent_id).status == "FAILED"
    assert counters(shop, intent_id) == {
        "authorized": 10_000,
        "refunded": 3_000,
        "over_refunded": 3_000,
        "excess": 3_000,
    }
    assert_the_books_agree()
    revise(shop, capture, "succeed")
    assert shop.intent(intent_id).status == "PARTIALLY_REFUNDED"
    assert counters(shop, intent_id) == {
        "authorized": 10_000,
        "captured": 10_000,
        "refunded": 3_000,
    }
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_capture_reinstated_beside_another_of_the_same_hold_is_excess(shop: Shop) -> None:
    intent_id, capture = captured(shop)
    revise(shop, capture, "fail")
    shop.capture(intent_id, 10_000)
    revise(shop, capture, "succeed")
    confirm_late_outcomes()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert counters(shop, intent_id) == {
        "authorized": 20_000,
        "captured": 20_000,
        "excess": 10_000,
    }
    assert_the_books_agree()
    assert statuses(shop, intent_id)[1:] == [("capture", "SUCCEEDED")] * 2


def sale(shop: Shop, token: str = "pm_card_visa") -> tuple[str, Operation]:
    shop.merchant.platform_fee_basis_points = 100
    shop.merchant.save()
    intent_id = body_of(shop.create(10_000, token=token))["id"]
    return intent_id, shop.operations(intent_id)[0]


def test_a_reversed_sale_leaves_nothing_booked_and_frees_the_order(shop: Shop) -> None:
    intent_id, charge = sale(shop)
    revise(shop, charge, "fail")
    confirm_late_outcomes()

    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("FAILED", "succeeded")
    assert (counters(shop, intent_id), balances(intent_id)) == ({}, {})
    charge.refresh_from_db()
    assert (charge.status, charge.guard_order) == ("REVERSED", None)
    assert events(intent_id)[-1] == "charge.failed"
    assert "payment_intent.payment_failed" not in events(intent_id)
    assert cases() == ["outcome_reversed"]
    assert_the_books_agree()
    with pytest.raises(UnexpectedState):
        shop.confirm(intent_id, token="pm_card_visa")
    assert body_of(shop.create(10_000))["status"] == "succeeded"


def test_a_reinstated_sale_restores_status_and_books(shop: Shop) -> None:
    intent_id, charge = sale(shop)
    before = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
    for _ in range(2):
        revise(shop, charge, "fail")
        revise(shop, charge, "succeed")
        after = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
        assert after == before
        assert_the_books_agree()
    charge.refresh_from_db()
    assert (charge.guard_order, charge.reversal_due_at) == (shop.order_id, None)
    assert events(intent_id)[-1] == "charge.succeeded"
    confirm_late_outcomes()


def test_a_sale_reinstated_after_its_order_was_paid_again_is_a_duplicate(shop: Shop) -> None:
    intent_id, charge = sale(shop)
    revise(shop, charge, "fail")
    other_id = body_of(shop.create(10_000))["id"]
    revise(shop, charge, "succeed")
    charge.refresh_from_db()
    assert charge.status == "EXCESS"
    assert_the_books_agree()
    revise(shop, charge, "fail")
    charge.refresh_from_db()
    assert (charge.status, charge.reversal_due_at) == ("REVERSED", None)
    assert balances(intent_id) == {}
    assert counters(shop, intent_id) == {}
    assert shop.intent(other_id).status == "CAPTURED"
    assert_the_books_agree()


def test_a_bank_debit_returned_after_a_partial_refund_leaves_an_over_refund(shop: Shop) -> None:
    shop.psp.set_behavior(settle_delay_seconds=86_400)
    intent_id, charge = sale(shop, "pm_usBankAccount_returned")
    shop.psp.advance(86_401)
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    shop.refund(intent_id, 2_000)
    shop.psp.advance(86_401)
    sync_as_notified(charge)
    assert shop.intent(intent_id).status == "FAILED"
    assert counters(shop, intent_id) == {
        "refunded": 2_000,
        "over_refunded": 2_000,
        "excess": 2_000,
    }
    assert_the_books_agree()


def test_a_hold_that_the_psp_reverses_fails_the_payment(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    [charge] = shop.operations(intent_id)
    revise(shop, charge, "fail")
    assert (shop.intent(intent_id).status, balances(intent_id)) == ("FAILED", {})
    assert events(intent_id)[-2:] == ["charge.failed", "payment_intent.payment_failed"]
    assert_the_books_agree()
    assert body_of(shop.confirm(intent_id, token="pm_card_visa"))["status"] == "requires_capture"
    assert_the_books_agree()


def test_a_reversed_void_reopens_the_hold_until_it_is_reinstated(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.cancel(intent_id)
    charge, void = shop.operations(intent_id)
    revise(shop, void, "fail")
    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("AUTHORIZED", "canceled")
    assert balances(intent_id) == {9100: 10_000, 9200: -10_000}
    charge.refresh_from_db()
    assert charge.guard_order == shop.order_id
    assert_the_books_agree()
    revise(shop, void, "succeed")
    assert (shop.intent(intent_id).status, balances(intent_id)) == ("CANCELED", {})
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_reversed_increment_lowers_the_hold_until_it_is_reinstated(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.increment(intent_id, 12_000)
    increment = shop.operations(intent_id)[-1]
    revise(shop, increment, "fail")
    assert shop.intent(intent_id).amount_minor == 10_000
    assert balances(intent_id) == {9100: 10_000, 9200: -10_000}
    revise(shop, increment, "succeed")
    assert shop.intent(intent_id).capturable.minor == 12_000
    confirm_late_outcomes()
    assert_the_books_agree()


def test_an_increment_reversed_after_its_capture_leaves_an_excess(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.increment(intent_id, 12_000)
    increment = shop.operations(intent_id)[-1]
    shop.capture(intent_id)
    revise(shop, increment, "fail")
    increment.refresh_from_db()
    assert (increment.status, cases()) == ("REVERSED", ["outcome_reversed"])
    assert "20.00 USD more than there was" in Case.objects.get().summary
    assert counters(shop, intent_id) == {
        "authorized": 12_000,
        "captured": 12_000,
        "excess": 2_000,
    }
    assert_the_books_agree()
    revise(shop, increment, "succeed")
    assert counters(shop, intent_id) == {"authorized": 12_000, "captured": 12_000}
    assert_the_books_agree()


@pytest.mark.parametrize("amount_minor", [10_000, 4_000])
def test_a_refund_that_succeeded_is_reversed_and_reinstated(shop: Shop, amount_minor: int) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    before = (counters(shop, intent_id), balances(intent_id))
    shop.refund(intent_id, amount_minor)
    assert (shop.operations(intent_id)[0].guard_order is None) is (amount_minor == 10_000)
    refund = shop.operations(intent_id)[-1]
    refunded = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
    revise(shop, refund, "fail")

    assert shop.intent(intent_id).status == "CAPTURED"
    assert (counters(shop, intent_id), balances(intent_id)) == before
    [row] = shop.refunds(intent_id)
    assert (row.status, row.failure_reason) == ("failed", "expired_or_canceled_card")
    assert shop.operations(intent_id)[0].guard_order == shop.order_id
    assert events(intent_id)[-4:] == [
        "refund.failed",
        "charge.updated",
        "refund.updated",
        "charge.refund.updated",
    ]
    assert cases() == ["outcome_reversed"]
    assert_the_books_agree()

    revise(shop, refund, "succeed")
    reinstated = (shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id))
    assert reinstated == refunded
    [row] = shop.refunds(intent_id)
    assert (row.status, row.failure_reason) == ("succeeded", "")
    confirm_late_outcomes()
    assert_the_books_agree()
    assert shop.refund(intent_id, 1_000) if amount_minor == 4_000 else True


def test_a_refund_that_was_pending_and_succeeded_is_reversed(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, token="pm_card_pendingRefund"))["id"]
    before = balances(intent_id)
    shop.refund(intent_id, 4_000)
    assert_the_books_agree()
    shop.psp.advance(60)
    shop.settle()
    assert shop.intent(intent_id).status == "PARTIALLY_REFUNDED"
    refund = shop.operations(intent_id)[-1]
    revise(shop, refund, "fail")
    assert (shop.intent(intent_id).status, balances(intent_id)) == ("CAPTURED", before)
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_refund_reversed_after_another_payment_took_its_order_opens_a_case(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id)
    other_id = body_of(shop.create(10_000))["id"]
    revise(shop, shop.operations(intent_id)[-1], "fail")
    assert shop.operations(intent_id)[0].guard_order is None
    assert shop.operations(other_id)[0].guard_order == shop.order_id
    assert other_id in Case.objects.get().summary
    assert_the_books_agree()


def test_a_reversal_is_recorded_beside_an_operation_that_is_still_open(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 4_000, final=False)
    first = shop.operations(intent_id)[1]
    shop.psp.script({"drop_after": 1}, kind="capture", order_id=shop.order_id)
    shop.capture(intent_id, 6_000)
    revise(shop, first, "fail")
    assert_the_books_agree()
    shop.settle()
    shop.settle()
    confirm_late_outcomes()
    assert statuses(shop, intent_id)[1:] == [("capture", "REVERSED"), ("capture", "SUCCEEDED")]
    assert_the_books_agree()


@pytest.mark.parametrize("kind", ["authorize", "capture", "void", "refund"])
def test_a_repeated_result_changes_nothing(shop: Shop, kind: str) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    if kind == "void":
        shop.cancel(intent_id)
    elif kind != "authorize":
        shop.capture(intent_id)
        shop.refund(intent_id, 1_000)
    [operation] = [o for o in shop.operations(intent_id) if o.kind == kind]
    before = (counters(shop, intent_id), balances(intent_id), events(intent_id))
    sync_as_notified(operation)
    sync_as_notified(operation)
    after = (counters(shop, intent_id), balances(intent_id), events(intent_id))
    assert after == before
    assert cases() == []
