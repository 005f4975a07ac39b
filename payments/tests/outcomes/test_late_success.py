"""Late successes: the PSP's result wins, and the merchant's policy decides what follows."""

from __future__ import annotations

import pytest

from payments.models import Event, Operation
from payments.objects.charge import charge_object
from payments.services import callers, commands
from payments.services.callers.caller import CommandRequest
from payments.services.commands import IntentDetails
from payments.services.outcomes.recording import record_outcome
from payments.services.recovery import payment_sync
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    cases,
    close_as,
    confirm_late_outcomes,
    counters,
    events,
    falsely_closed,
    reference,
    statuses,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of, render_intent, uuid_of
from psp_adapters.contract.operations import Outcome, PspResult

FALSE_ENDS = [Outcome.DECLINED, Outcome.NOT_SENT]


def keep(shop: Shop) -> None:
    shop.merchant.late_success_policy = "keep"
    shop.merchant.save()


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_charge_is_kept_if_the_merchants_policy_says_so(
    shop: Shop, end: Outcome, manual: bool
) -> None:
    keep(shop)
    intent_id, charge = falsely_closed(shop, end, manual=manual)
    assert balances(intent_id) == {}
    sync_as_notified(charge)
    confirm_late_outcomes()

    intent = shop.intent(intent_id)
    if manual:
        assert (intent.status, balances(intent_id)) == ("AUTHORIZED", {9100: 10_000, 9200: -10_000})
        assert events(intent_id)[-2:] == [
            "charge.succeeded",
            "payment_intent.amount_capturable_updated",
        ]
    else:
        assert (intent.status, balances(intent_id)) == ("CAPTURED", {1100: 10_000, 2100: -10_000})
        assert events(intent_id)[-2:] == ["charge.succeeded", "payment_intent.succeeded"]
    [operation] = shop.operations(intent_id)
    assert (operation.status, operation.guard_order, operation.code) == (
        "SUCCEEDED",
        shop.order_id,
        "",
    )
    assert intent.last_payment_error is None
    assert cases() == ["late_success"]
    assert sweep_reversals() == 0
    assert_the_books_agree()


@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_charge_is_reversed_by_default(shop: Shop, end: Outcome, manual: bool) -> None:
    shop.merchant.platform_fee_basis_points = 100
    shop.merchant.save()
    intent_id, charge = falsely_closed(shop, end, manual=manual)
    sync_as_notified(charge)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert sweep_reversals() <= 1
    assert sweep_reversals() == 0

    assert [e["kind"] for e in shop.effects()] == (
        ["authorize", "void"] if manual else ["authorize", "capture", "refund"]
    )
    assert shop.intent(intent_id).status == ("CANCELED" if manual else "REFUNDED")
    assert balances(intent_id) == ({} if manual else {1100: 10_000, 2200: -10_000})
    reversal = shop.operations(intent_id)[-1]
    assert (reversal.actor, reversal.status) == ("job:late-success", "SUCCEEDED")
    assert "payment_intent.succeeded" not in events(intent_id)
    assert cases() == ["late_success"]
    confirm_late_outcomes()
    assert_the_books_agree()
    assert body_of(shop.create())["status"] == "succeeded", "the order is free again"


def test_a_challenge_that_was_paid_although_we_had_voided_it_is_booked(shop: Shop) -> None:
    keep(shop)
    intent_id = body_of(shop.create(token="pm_card_threeDSecure2Required"))["id"]
    shop.cancel(intent_id)
    charge = shop.operations(intent_id)[0]
    assert charge.status == "CANCELED"
    shop.psp.revise(reference(charge), "succeed")
    sync_as_notified(charge)

    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("CAPTURED", "canceled")
    assert balances(intent_id) == {1100: 10_000, 2100: -10_000}
    assert events(intent_id)[-1] == "charge.succeeded"
    last = Event.objects.order_by("-seq").first()
    assert last is not None
    assert last.payload["object"]["amount_captured"] == 10_000
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_declined_charge_that_the_psp_made_later_is_booked_and_refunded(shop: Shop) -> None:
    intent_id = body_of(shop.create(token="pm_card_declinedThenPaid"))["payment_intent"]["id"]
    shop.psp.advance(5)
    [charge] = shop.operations(intent_id)
    sync_as_notified(charge)
    assert shop.intent(intent_id).status == "CAPTURED"
    sweep_reversals()
    assert shop.intent(intent_id).status == "REFUNDED"
    assert_the_books_agree()


@pytest.mark.parametrize("manual", [False, True])
def test_a_late_second_charge_of_a_payment_is_a_duplicate_and_is_reversed(
    shop: Shop, manual: bool
) -> None:
    keep(shop)
    intent_id, first = falsely_closed(shop, Outcome.DECLINED, manual=manual)
    shop.confirm(intent_id, token="pm_card_mastercard")
    before = shop.intent(intent_id)
    sync_as_notified(first)

    intent = shop.intent(intent_id)
    assert (intent.status, intent.latest_charge_id) == (before.status, before.latest_charge_id)
    assert intent.psp_reference == before.psp_reference
    assert counters(shop, intent_id) == {
        "authorized": 10_000,
        **({} if manual else {"captured": 10_000}),
        "excess": 10_000,
    }
    assert statuses(shop, intent_id) == [("authorize", "EXCESS"), ("authorize", "SUCCEEDED")]
    assert cases() == ["late_success"]
    first.refresh_from_db()
    shown = charge_object(first, intent)
    assert (shown["status"], shown["captured"], shown["refunded"]) == (
        "succeeded",
        not manual,
        False,
    )
    assert (shown["amount"], shown["amount_captured"]) == (10_000, 0 if manual else 10_000)
    assert_the_books_agree()
    sync_as_notified(first)
    confirm_late_outcomes()

    assert sweep_reversals() == 1
    first.refresh_from_db()
    assert (first.status, first.excess_returned_minor, first.reversal_due_at) == (
        "EXCESS",
        10_000,
        None,
    )
    assert charge_object(first, intent)["refunded"] is True
    assert sweep_reversals() == 0
    assert shop.intent(intent_id).status == before.status
    assert counters(shop, intent_id)["excess"] == 10_000
    assert len(shop.effects("void" if manual else "refund")) == 1
    assert "charge.refunded" in events(intent_id)
    assert_the_books_agree()
    shop.capture(intent_id) if manual else shop.refund(intent_id)
    assert_the_books_agree()


def test_a_late_charge_of_an_order_that_another_payment_holds_is_reversed(shop: Shop) -> None:
    keep(shop)
    late_id, late = falsely_closed(shop, Outcome.NOT_SENT)
    other_id = body_of(shop.create(10_000))["id"]
    sync_as_notified(late)

    late.refresh_from_db()
    assert (late.status, late.guard_order) == ("EXCESS", None)
    assert shop.intent(late_id).status == "FAILED"
    assert shop.operations(other_id)[0].guard_order == shop.order_id
    sweep_reversals()
    assert [e["kind"] for e in shop.effects()].count("refund") == 1
    assert shop.intent(other_id).status == "CAPTURED"
    assert_the_books_agree()


def test_a_late_charge_of_an_amount_that_has_changed_since_is_reversed(shop: Shop) -> None:
    keep(shop)
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    commands.update_intent(
        CommandRequest(shop.caller(), render=render_intent),
        intent_id=uuid_of(intent_id),
        details=IntentDetails(),
        amount_minor=7_000,
    )
    sync_as_notified(charge)
    charge.refresh_from_db()
    assert charge.status == "EXCESS"
    sweep_reversals()
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture", "refund"]
    assert_the_books_agree()


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_capture_is_booked(shop: Shop, end: Outcome) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    lose_the_answer(shop, "capture")
    shop.capture(intent_id, 6_000)
    capture = shop.operations(intent_id)[-1]
    close_as(capture, end)
    assert shop.intent(intent_id).status == "AUTHORIZED"
    sync_as_notified(capture)
    confirm_late_outcomes()

    assert shop.intent(intent_id).status == "CAPTURED"
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 6_000}
    assert balances(intent_id) == {1100: 6_000, 2100: -6_000}
    assert "charge.captured" in events(intent_id)
    assert cases() == ["late_success"]
    assert_the_books_agree()


def test_a_late_capture_beyond_the_hold_is_booked_with_its_excess(shop: Shop) -> None:
    """We closed one capture as declined and made another; the PSP made both."""
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.psp.script({"decline": {"code": "processing_error"}}, kind="capture")
    shop.capture(intent_id, 6_000)
    shop.capture(intent_id, 8_000)
    first = shop.operations(intent_id)[1]
    shop.psp.revise(reference(first), "succeed")
    sync_as_notified(first)
    confirm_late_outcomes()

    assert shop.intent(intent_id).status == "CAPTURED"
    assert counters(shop, intent_id) == {
        "authorized": 14_000,
        "captured": 14_000,
        "excess": 4_000,
    }
    assert balances(intent_id) == {1100: 14_000, 2100: -14_000}
    assert_the_books_agree()
    shop.refund(intent_id, 14_000)
    assert_the_books_agree()


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_void_cancels_the_payment(shop: Shop, end: Outcome) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    lose_the_answer(shop, "void")
    shop.cancel(intent_id)
    void = shop.operations(intent_id)[-1]
    close_as(void, end)
    assert shop.intent(intent_id).status == "AUTHORIZED"
    sync_as_notified(void)
    confirm_late_outcomes()
    assert (shop.intent(intent_id).status, balances(intent_id)) == ("CANCELED", {})
    assert shop.operations(intent_id)[0].guard_order is None
    assert events(intent_id)[-1] == "payment_intent.canceled"
    assert_the_books_agree()


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_increment_raises_the_authorized_amount(shop: Shop, end: Outcome) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    lose_the_answer(shop, "increment")
    shop.increment(intent_id, 12_500)
    increment = shop.operations(intent_id)[-1]
    close_as(increment, end)
    sync_as_notified(increment)
    confirm_late_outcomes()
    intent = shop.intent(intent_id)
    assert (intent.amount_minor, intent.capturable.minor) == (12_500, 12_500)
    assert cases() == ["late_success"]
    assert_the_books_agree()


def test_a_late_increment_of_a_fully_captured_hold_can_be_captured(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.psp.script({"decline": {"code": "card_declined"}}, kind="increment")
    shop.increment(intent_id, 12_500)
    increment = shop.operations(intent_id)[-1]
    shop.capture(intent_id)
    shop.psp.revise(reference(increment), "succeed")
    sync_as_notified(increment)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.published_status) == ("AUTHORIZED", "succeeded")
    assert intent.capturable.minor == 2_500
    assert counters(shop, intent_id) == {"authorized": 12_500, "captured": 10_000}
    assert balances(intent_id) == {1100: 10_000, 2100: -10_000, 9100: 2_500, 9200: -2_500}
    assert cases() == ["late_success"]
    assert_the_books_agree()
    shop.psp.revise(reference(increment), "fail")
    sync_as_notified(increment)
    assert balances(intent_id) == {1100: 10_000, 2100: -10_000}
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 10_000}
    confirm_late_outcomes()
    assert_the_books_agree()


@pytest.mark.parametrize("end", FALSE_ENDS)
def test_a_late_refund_is_booked(shop: Shop, end: Outcome) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    lose_the_answer(shop, "refund")
    shop.refund(intent_id, 4_000)
    refund = shop.operations(intent_id)[-1]
    close_as(refund, end)
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 10_000}
    sync_as_notified(refund)
    confirm_late_outcomes()
    assert shop.intent(intent_id).status == "PARTIALLY_REFUNDED"
    assert [r.status for r in shop.refunds(intent_id)] == ["succeeded"]
    assert counters(shop, intent_id)["refunded"] == 4_000
    assert events(intent_id)[-3:] == ["charge.refunded", "refund.updated", "charge.refund.updated"]
    assert_the_books_agree()


def test_a_late_refund_beyond_the_captured_amount_is_counted_and_opens_a_case(shop: Shop) -> None:
    """We closed a full refund as declined and made another; the PSP made both."""
    intent_id = body_of(shop.create(10_000))["id"]
    shop.psp.script({"decline": {"code": "processing_error"}}, kind="refund")
    shop.refund(intent_id, 10_000)
    shop.refund(intent_id, 7_000)
    first = shop.operations(intent_id)[1]
    shop.psp.revise(reference(first), "succeed")
    sync_as_notified(first)
    confirm_late_outcomes()
    assert counters(shop, intent_id) == {
        "authorized": 10_000,
        "captured": 10_000,
        "refunded": 17_000,
        "over_refunded": 7_000,
        "excess": 7_000,
    }
    assert shop.intent(intent_id).status == "REFUNDED"
    assert cases() == ["late_success"]
    assert_the_books_agree()


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_SENT, Outcome.PENDING])
def test_an_inconclusive_result_does_not_change_a_closed_operation(
    shop: Shop, outcome: Outcome
) -> None:
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    before = (Operation.objects.values().get(), events(intent_id), counters(shop, intent_id))
    recorded = record_outcome(
        operation=charge,
        result=PspResult(outcome=outcome),
        caller=callers.for_operation(charge, "test"),
    )
    assert not recorded.changed
    after = (Operation.objects.values().get(), events(intent_id), counters(shop, intent_id))
    assert after == before
    assert cases() == []


def test_a_differing_result_from_a_worker_without_the_lease_only_schedules_a_look_up(
    shop: Shop,
) -> None:
    """A late answer may be stale, so the PSP is looked up before the result is recorded."""
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    result = PspResult(outcome=Outcome.SUCCEEDED, amount=charge.amount)
    assert not record_outcome(
        operation=charge, result=result, caller=callers.for_operation(charge, "test")
    ).changed
    assert (shop.intent(intent_id).status, cases()) == ("FAILED", [])
    confirm = Operation.objects.get()
    assert confirm.next_check_at is not None
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert payment_sync.agrees(Operation.objects.get(), Outcome.SUCCEEDED)
