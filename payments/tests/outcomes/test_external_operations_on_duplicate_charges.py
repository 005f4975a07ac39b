"""External operations on a duplicate charge: booked as excess, returned once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services.commands.operators.cases import close_case
from payments.services.recovery import payment_sync
from payments.services.recovery.payment_sync import sync_payment
from payments.services.verification.rebuild import differences
from payments.tests.outcomes.test_late_success import keep
from payments.tests.support import passing_time
from payments.tests.support.dashboard import external_operations
from payments.tests.support.factories import staff
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    counters,
    falsely_closed,
    reference,
    statuses,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import Hooks, lose_the_answer, only_notification
from payments.tests.support.shop import Shop, age_operations, body_of
from psp_adapters.contract.operations import Outcome

EXPIRES = "pm_card_authorizationExpiresNow"


def duplicate_charge(shop: Shop, *, manual: bool = False, token: str = "pm_card_visa") -> Any:
    """The payment, its duplicate charge, and the books that it would have without that charge."""
    keep(shop)
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED, manual=manual, token=token)
    shop.confirm(intent_id, token="pm_card_mastercard")
    own = net(intent_id)
    sync_as_notified(charge)
    charge.refresh_from_db()
    assert charge.status == "EXCESS"
    return intent_id, charge, own


def net(intent_id: str) -> dict[int, int]:
    """Per account, what is booked; unsettled refunds are netted with what the PSP owes us."""
    found = balances(intent_id)
    found[1100] = found.get(1100, 0) + found.pop(2200, 0)
    return {code: minor for code, minor in found.items() if minor}


def act(shop: Shop, charge: Operation, verb: str, **more: Any) -> None:
    shop.psp.act(verb, payment_id=charge.psp_payment_id, **more)


def sync(charge: Operation) -> None:
    sync_payment(charge.id, actor="test")
    charge.refresh_from_db()


def sweep_to_the_end() -> None:
    for _ in range(6):
        if not sweep_reversals():
            return
        assert_the_books_agree()
    raise AssertionError("the reversal does not end")


def assert_all_went_back(shop: Shop, intent_id: str, charge: Operation, own: Any) -> None:
    charge.refresh_from_db()
    assert (charge.status, charge.excess_returned_minor, charge.reversal_due_at) == (
        "EXCESS",
        10_000,
        None,
    )
    assert net(intent_id) == own
    assert counters(shop, intent_id)["excess"] == 10_000
    assert sweep_reversals() == 0
    assert_the_books_agree()


@pytest.mark.parametrize("manual", [False, True])
def test_an_external_reversal_of_a_duplicate_charge_is_booked_and_ends_ours(
    shop: Shop, hooks: Hooks, manual: bool
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=manual)
    before = shop.intent(intent_id)
    verb = "void" if manual else "refund"
    act(shop, charge, verb)
    hooks.take(*hooks.caught("payment.voided" if manual else "payment.refunded"))
    assert only_notification().status == "processed"
    [made] = external_operations(intent_id)
    assert (made.kind, made.status, made.charge_id) == (verb, "SUCCEEDED", charge.id)
    assert shop.intent(intent_id).status == before.status
    assert_all_went_back(shop, intent_id, charge, own)
    assert len(shop.effects(verb)) == 1


def test_an_external_refund_of_a_charge_whose_order_another_payment_holds_is_booked(
    shop: Shop,
) -> None:
    keep(shop)
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    other_id = body_of(shop.create(10_000))["id"]
    sync_as_notified(charge)
    charge.refresh_from_db()
    act(shop, charge, "refund")
    sync(charge)
    assert [shop.intent(each).status for each in (intent_id, other_id)] == ["FAILED", "CAPTURED"]
    assert_all_went_back(shop, intent_id, charge, {})


def test_a_partial_external_refund_leaves_the_rest_to_our_reversal(shop: Shop) -> None:
    intent_id, charge, own = duplicate_charge(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    sync(charge)
    assert (charge.excess_returned_minor, charge.reversal_due_at is not None) == (4_000, True)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert [e["amount_minor"] for e in shop.effects("refund")] == [4_000, 6_000]
    assert_all_went_back(shop, intent_id, charge, own)


def test_our_declined_reversal_has_the_external_refund_found(shop: Shop) -> None:
    """No notification of the dashboard's refund has arrived."""
    intent_id, charge, own = duplicate_charge(shop)
    act(shop, charge, "refund")
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    assert len(external_operations(intent_id)) == 1
    assert len(shop.effects("refund")) == 1
    assert_all_went_back(shop, intent_id, charge, own)


def test_a_pending_external_refund_of_a_duplicate_charge_is_followed_to_its_end(shop: Shop) -> None:
    intent_id, charge, own = duplicate_charge(shop, token="pm_card_pendingRefund")
    act(shop, charge, "refund")
    sync(charge)
    [made] = external_operations(intent_id)
    assert (made.status, charge.excess_returned_minor) == ("PENDING", 0)
    assert_the_books_agree()
    sweep_reversals()
    assert len(external_operations(intent_id)) == 1
    assert [o.kind for o in shop.operations(intent_id)].count("refund") == 1, "none beside it"
    shop.psp.advance(3)
    shop.settle()
    assert [r.status for r in shop.refunds(intent_id)] == ["succeeded"]
    assert_all_went_back(shop, intent_id, charge, own)


def test_an_external_refund_that_fails_later_is_made_again_by_us(shop: Shop) -> None:
    intent_id, charge, own = duplicate_charge(shop, token="pm_card_refundFail")
    act(shop, charge, "refund")
    sync(charge)
    assert charge.reversal_due_at is None
    shop.psp.advance(3)
    sync(charge)
    assert (charge.excess_returned_minor, charge.reversal_due_at is not None) == (0, True)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert_all_went_back(shop, intent_id, charge, own)


def test_a_duplicate_hold_that_expires_is_booked_as_released(shop: Shop, hooks: Hooks) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    hooks.take(*hooks.caught("payment.expired"))
    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "AUTHORIZED"
    sync(charge)
    assert_all_went_back(shop, intent_id, charge, own)


def test_our_reversal_of_a_duplicate_hold_that_expired_without_notification_ends(
    shop: Shop,
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    assert_all_went_back(shop, intent_id, charge, own)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("amount_minor", [4_000, 10_000])
def test_an_external_capture_of_a_duplicate_hold_is_refunded(
    shop: Shop, amount_minor: int, final: bool
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True)
    act(shop, charge, "capture", amount_minor=amount_minor, final=final)
    sync(charge)
    assert balances(intent_id)[1100] == amount_minor
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert_the_books_agree()
    sweep_to_the_end()
    assert [e["amount_minor"] for e in shop.effects("refund")] == [amount_minor]
    assert_all_went_back(shop, intent_id, charge, own)


@pytest.mark.parametrize("reinstated", [False, True])
def test_an_external_capture_of_a_duplicate_hold_that_fails_later_ends_fully_returned(
    shop: Shop, reinstated: bool
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True)
    desk = f"desk-{uuid.uuid4().hex}"
    act(shop, charge, "capture", amount_minor=4_000, reference=desk)
    sync(charge)
    for to in ("fail", "succeed") if reinstated else ("fail",):
        shop.psp.revise(desk, to)
        sync(charge)
        assert_the_books_agree()
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)


def test_an_external_increment_of_a_duplicate_charge_is_counted_apart_and_goes_back(
    shop: Shop,
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True)
    amount_minor = shop.intent(intent_id).amount_minor
    act(shop, charge, "increment", amount_minor=2_000)
    sync(charge)
    assert counters(shop, intent_id)["excess"] == 12_000
    assert shop.intent(intent_id).amount_minor == amount_minor
    assert_the_books_agree()
    sweep_to_the_end()
    charge.refresh_from_db()
    assert charge.excess_returned_minor == 12_000
    assert net(intent_id) == own


def test_an_external_refund_beyond_a_duplicate_charge_opens_a_case(shop: Shop) -> None:
    intent_id, charge, _ = duplicate_charge(shop)
    sweep_reversals()
    act(shop, charge, "refund", amount_minor=500, force=True)
    sync(charge)
    assert len(external_operations(intent_id)) == 1
    case = Case.objects.get(kind="external_operation")
    assert (case.amount_minor, "5.00 USD more than there was" in case.summary) == (500, True)
    assert_the_books_agree()


STEPS: dict[str, Callable[[Operation], object]] = {
    "reverse": lambda charge: sweep_reversals(),
    "sync": lambda charge: sync(charge),
    "notifications": lambda charge: sync_each_operation(charge),
}


def sync_each_operation(charge: Operation) -> None:
    """Look up every operation of the payment, as notifications of the PSP would cause."""
    for operation in Operation.objects.filter(intent_id=charge.intent_id).order_by("id"):
        with suppress(payment_sync.Inconclusive):  # The PSP does not store what it declined.
            payment_sync.sync_operation(operation.id, actor="psp:notification")


@pytest.mark.matrix(most=9)
@pytest.mark.parametrize(
    "order", sorted(set(permutations(["reverse", "reverse", "sync", "notifications"])))
)
@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("refund", {"amount_minor": 4_000}),
        ("capture", {"amount_minor": 4_000, "final": False}),
        ("capture", {"amount_minor": 4_000, "final": True}),
    ],
)
def test_external_operations_our_reversals_and_syncs_in_any_order_end_with_the_same_books(
    shop: Shop, verb: str, more: dict[str, Any], order: tuple[str, ...]
) -> None:
    manual = verb == "capture"
    intent_id, charge, own = duplicate_charge(shop, manual=manual)
    act(shop, charge, verb, **more)
    for step in order:
        STEPS[step](charge)
        assert list(differences()) == [], step
    sweep_to_the_end()
    sync(charge)
    assert_all_went_back(shop, intent_id, charge, own)
    assert sum(e["amount_minor"] for e in shop.effects("refund")) == (4_000 if manual else 10_000)


@pytest.mark.parametrize("lost", [False, True])
def test_an_external_refund_is_recorded_after_our_unknown_reversal_is_resolved(
    shop: Shop, lost: bool
) -> None:
    intent_id, charge, own = duplicate_charge(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    if lost:
        lose_the_answer(shop, "refund")
    else:
        shop.psp.script({"drop_before": True}, kind="refund")
    sweep_reversals()
    payment_sync.sync_payment(charge.id, actor="test")
    assert len(external_operations(intent_id)) == 1
    for _ in range(4):
        shop.settle()
    age_operations(intent_id, seconds=30)  # Past the PSP's look-up lag.
    shop.settle()
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)


# --- reversed --------------------------------------------------------------------------------


@pytest.mark.parametrize("synced_before", [False, True])
def test_an_external_refund_of_a_reversed_charge_is_booked(shop: Shop, synced_before: bool) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    [charge] = shop.operations(intent_id)
    act(shop, charge, "refund", amount_minor=4_000)
    if synced_before:
        sync(charge)
    shop.psp.revise(reference(charge), "fail")
    sync(charge)
    sync(charge)
    assert charge.status == "REVERSED"
    assert shop.intent(intent_id).status == "FAILED"
    assert counters(shop, intent_id) == {"refunded": 4_000, "over_refunded": 4_000, "excess": 4_000}
    assert balances(intent_id) == {2100: 4_000, 2200: -4_000}
    assert Case.objects.filter(status="open").exists()
    assert len(external_operations(intent_id)) == 1
    assert_the_books_agree()


@pytest.mark.parametrize("synced_before", [False, True])
def test_an_external_refund_of_a_reversed_duplicate_charge_is_booked(
    shop: Shop, synced_before: bool
) -> None:
    intent_id, charge, own = duplicate_charge(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    if synced_before:
        sync(charge)
    shop.psp.revise(reference(charge), "fail")
    sync(charge)
    sync(charge)
    assert (charge.status, charge.excess_returned_minor) == ("REVERSED", 4_000)
    assert net(intent_id) == {1100: own[1100] - 4_000, 2100: own[2100] + 4_000}
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 10_000}
    assert statuses(shop, intent_id)[-1] == ("refund", "SUCCEEDED")
    assert shop.intent(intent_id).status == "CAPTURED"
    assert_the_books_agree()


# --- verification ----------------------------------------------------------------------------


def test_a_duplicate_charge_without_reversal_or_case_is_a_difference(shop: Shop) -> None:
    _, charge, _ = duplicate_charge(shop)
    Operation.objects.filter(pk=charge.pk).update(reversal_due_at=None)
    assert list(differences()) == [], "a case is open"
    for case in Case.objects.filter(status="open"):
        close_case(case.id, author=staff("ada"), resolution="seen")
    [found] = differences()
    assert found == (
        f"{charge.public_id}: 100.00 USD in excess is neither given back nor in a case"
    )


def test_a_void_of_a_duplicate_hold_declined_as_expired_does_not_affect_the_payments_own_hold(
    shop: Shop,
) -> None:
    intent_id, charge, own = duplicate_charge(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    sweep_reversals()
    assert shop.operations(intent_id)[-1].code == "charge_expired_for_capture"
    assert passing_time.sweep() == 1
    left = passing_time.deadline_of(intent_id).next_action_at - now_utc()
    assert left > timedelta(hours=1), "no look-up of the payment's own hold is due"
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)
