"""What befell a charge too many at the PSP without us: booked as excess, given back once."""

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
from payments.services.cases.opening import close_case
from payments.services.recovery import operation_sync
from payments.services.recovery.operation_sync import Conflict
from payments.services.recovery.payment_sync import sync_payment
from payments.services.verification.rebuild import differences
from payments.tests.outcomes.test_late_success import keep
from payments.tests.support import passing_time
from payments.tests.support.dashboard import external_operations
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    counters,
    falsely_closed,
    look,
    reference,
    statuses,
    sweep_reversals,
)
from payments.tests.support.notices import Hooks, lose_the_answer, only_notification
from payments.tests.support.shop import Shop, age_operations, body_of
from psp_adapters.contract.operations import Outcome

EXPIRES = "pm_card_authorizationExpiresNow"


def too_many(shop: Shop, *, manual: bool = False, token: str = "pm_card_visa") -> Any:
    """The payment, its charge too many, and the books that it would have without it."""
    keep(shop)
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED, manual=manual, token=token)
    shop.confirm(intent_id, token="pm_card_mastercard")
    own = net(intent_id)
    look(charge)
    charge.refresh_from_db()
    assert charge.status == "EXCESS"
    return intent_id, charge, own


def net(intent_id: str) -> dict[int, int]:
    """What each account holds; refunds not settled yet against what the PSP owes us."""
    found = balances(intent_id)
    found[1100] = found.get(1100, 0) + found.pop(2200, 0)
    return {code: minor for code, minor in found.items() if minor}


def act(shop: Shop, charge: Operation, verb: str, **words: Any) -> None:
    shop.psp.act(verb, payment_id=charge.psp_payment_id, **words)


def see(charge: Operation) -> None:
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
def test_what_the_dashboard_gives_back_of_a_charge_too_many_is_booked_and_ends_its_reversal(
    shop: Shop, hooks: Hooks, manual: bool
) -> None:
    intent_id, charge, own = too_many(shop, manual=manual)
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


def test_what_is_given_back_of_a_charge_whose_order_another_payment_holds_is_booked(
    shop: Shop,
) -> None:
    keep(shop)
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    other_id = body_of(shop.create(10_000))["id"]
    look(charge)
    charge.refresh_from_db()
    act(shop, charge, "refund")
    see(charge)
    assert [shop.intent(each).status for each in (intent_id, other_id)] == ["FAILED", "CAPTURED"]
    assert_all_went_back(shop, intent_id, charge, {})


def test_a_refund_in_part_leaves_the_rest_to_our_reversal(shop: Shop) -> None:
    intent_id, charge, own = too_many(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    see(charge)
    assert (charge.excess_returned_minor, charge.reversal_due_at is not None) == (4_000, True)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert [e["amount_minor"] for e in shop.effects("refund")] == [4_000, 6_000]
    assert_all_went_back(shop, intent_id, charge, own)


def test_our_reversal_that_is_refused_looks_who_else_gave_the_charge_back(shop: Shop) -> None:
    """No notice of the dashboard's refund has ever come."""
    intent_id, charge, own = too_many(shop)
    act(shop, charge, "refund")
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    assert len(external_operations(intent_id)) == 1
    assert len(shop.effects("refund")) == 1
    assert_all_went_back(shop, intent_id, charge, own)


def test_a_pending_refund_of_a_charge_too_many_is_followed_to_its_end(shop: Shop) -> None:
    intent_id, charge, own = too_many(shop, token="pm_card_pendingRefund")
    act(shop, charge, "refund")
    see(charge)
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


def test_a_refund_of_the_dashboard_that_fails_late_is_made_again_by_us(shop: Shop) -> None:
    intent_id, charge, own = too_many(shop, token="pm_card_refundFail")
    act(shop, charge, "refund")
    see(charge)
    assert charge.reversal_due_at is None
    shop.psp.advance(3)
    see(charge)
    assert (charge.excess_returned_minor, charge.reversal_due_at is not None) == (0, True)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert_all_went_back(shop, intent_id, charge, own)


def test_a_hold_too_many_that_expires_is_booked_as_let_go(shop: Shop, hooks: Hooks) -> None:
    intent_id, charge, own = too_many(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    hooks.take(*hooks.caught("payment.expired"))
    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "AUTHORIZED"
    see(charge)
    assert_all_went_back(shop, intent_id, charge, own)


def test_our_reversal_of_a_hold_too_many_that_expired_unheard_of_ends(shop: Shop) -> None:
    intent_id, charge, own = too_many(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    assert_all_went_back(shop, intent_id, charge, own)


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("amount_minor", [4_000, 10_000])
def test_what_the_dashboard_captures_of_a_hold_too_many_is_given_back(
    shop: Shop, amount_minor: int, final: bool
) -> None:
    intent_id, charge, own = too_many(shop, manual=True)
    act(shop, charge, "capture", amount_minor=amount_minor, final=final)
    see(charge)
    assert balances(intent_id)[1100] == amount_minor
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert_the_books_agree()
    sweep_to_the_end()
    assert [e["amount_minor"] for e in shop.effects("refund")] == [amount_minor]
    assert_all_went_back(shop, intent_id, charge, own)


@pytest.mark.parametrize("heals", [False, True])
def test_a_capture_of_a_hold_too_many_that_fails_late_ends_with_everything_given_back(
    shop: Shop, heals: bool
) -> None:
    intent_id, charge, own = too_many(shop, manual=True)
    desk = f"desk-{uuid.uuid4().hex}"
    act(shop, charge, "capture", amount_minor=4_000, reference=desk)
    see(charge)
    for to in ("fail", "succeed") if heals else ("fail",):
        shop.psp.revise(desk, to)
        see(charge)
        assert_the_books_agree()
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)


def test_more_than_a_charge_too_many_had_is_a_persons(shop: Shop) -> None:
    intent_id, charge, _ = too_many(shop)
    sweep_reversals()
    act(shop, charge, "refund", amount_minor=500, force=True)
    with pytest.raises(Conflict, match=r"the duplicate charge had 0\.00 USD"):
        see(charge)
    assert external_operations(intent_id) == []
    assert Case.objects.filter(kind="contradiction").exists()
    assert_the_books_agree()


STEPS: dict[str, Callable[[Operation], object]] = {
    "reverse": lambda charge: sweep_reversals(),
    "see": lambda charge: see(charge),
    "hear": lambda charge: hear(charge),
}


def hear(charge: Operation) -> None:
    """Notices of everything of ours that has happened so far."""
    for operation in Operation.objects.filter(intent_id=charge.intent_id).order_by("id"):
        with suppress(
            operation_sync.Inconclusive
        ):  # What was refused is not there to be looked at.
            operation_sync.sync_operation(operation.id, actor="psp:notification")


@pytest.mark.matrix(most=9)
@pytest.mark.parametrize("order", sorted(set(permutations(["reverse", "reverse", "see", "hear"]))))
@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("refund", {"amount_minor": 4_000}),
        ("capture", {"amount_minor": 4_000, "final": False}),
        ("capture", {"amount_minor": 4_000, "final": True}),
    ],
)
def test_in_every_order_with_our_reversal_and_its_notices_the_books_end_the_same(
    shop: Shop, verb: str, words: dict[str, Any], order: tuple[str, ...]
) -> None:
    manual = verb == "capture"
    intent_id, charge, own = too_many(shop, manual=manual)
    act(shop, charge, verb, **words)
    for step in order:
        STEPS[step](charge)
        assert list(differences()) == [], step
    sweep_to_the_end()
    see(charge)
    assert_all_went_back(shop, intent_id, charge, own)
    assert sum(e["amount_minor"] for e in shop.effects("refund")) == (4_000 if manual else 10_000)


@pytest.mark.parametrize("lost", [False, True])
def test_a_refund_beside_our_reversal_in_doubt_waits_for_its_end(shop: Shop, lost: bool) -> None:
    intent_id, charge, own = too_many(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    if lost:
        lose_the_answer(shop, "refund")
    else:
        shop.psp.script({"drop_before": True}, kind="refund")
    sweep_reversals()
    with pytest.raises(operation_sync.Inconclusive, match="UNKNOWN"):
        look_at_payment_only_once(charge)
    assert external_operations(intent_id) == []
    for _ in range(4):
        shop.settle()
    age_operations(intent_id, seconds=30)  # By now it cannot be there unseen either.
    shop.settle()
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)


def look_at_payment_only_once(charge: Operation) -> None:
    """Without what a look does first: bring our own operations up."""
    from payments.services.outcomes.external.recording import (
        OperationStillOpen,
        record_external_operations,
    )
    from payments.services.recovery.payment_sync import look_up_payment

    try:
        record_external_operations(charge.id, look_up_payment(charge))
    except OperationStillOpen as reason:
        raise operation_sync.Inconclusive(str(reason)) from reason


# --- taken back ------------------------------------------------------------------------------


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_refund_of_the_dashboard_of_a_charge_that_was_taken_back_is_booked(
    shop: Shop, seen_before: bool
) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    [charge] = shop.operations(intent_id)
    act(shop, charge, "refund", amount_minor=4_000)
    if seen_before:
        see(charge)
    shop.psp.revise(reference(charge), "fail")
    see(charge)
    see(charge)
    assert charge.status == "REVERSED"
    assert shop.intent(intent_id).status == "FAILED"
    assert counters(shop, intent_id) == {"refunded": 4_000, "over_refunded": 4_000, "excess": 4_000}
    assert balances(intent_id) == {2100: 4_000, 2200: -4_000}
    assert Case.objects.filter(status="open").exists()
    assert len(external_operations(intent_id)) == 1
    assert_the_books_agree()


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_refund_of_a_charge_too_many_that_was_taken_back_is_booked_apart(
    shop: Shop, seen_before: bool
) -> None:
    intent_id, charge, own = too_many(shop)
    act(shop, charge, "refund", amount_minor=4_000)
    if seen_before:
        see(charge)
    shop.psp.revise(reference(charge), "fail")
    see(charge)
    see(charge)
    assert (charge.status, charge.excess_returned_minor) == ("REVERSED", 4_000)
    assert net(intent_id) == {1100: own[1100] - 4_000, 2100: own[2100] + 4_000}
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 10_000}
    assert statuses(shop, intent_id)[-1] == ("refund", "SUCCEEDED")
    assert shop.intent(intent_id).status == "CAPTURED"
    assert_the_books_agree()


# --- verification ----------------------------------------------------------------------------


def test_a_charge_too_many_that_nobody_attends_to_is_a_difference(shop: Shop) -> None:
    _, charge, _ = too_many(shop)
    Operation.objects.filter(pk=charge.pk).update(reversal_due_at=None)
    assert list(differences()) == [], "a case is open"
    for case in Case.objects.filter(status="open"):
        close_case(case.id, actor="staff:ada", resolution="seen")
    [found] = differences()
    assert found == (
        f"{charge.public_id}: 100.00 USD in excess is neither given back nor in a case"
    )


def test_a_void_refused_as_expired_says_nothing_of_the_payments_own_hold(shop: Shop) -> None:
    intent_id, charge, own = too_many(shop, manual=True, token=EXPIRES)
    shop.psp.advance(3)
    sweep_reversals()
    assert shop.operations(intent_id)[-1].code == "charge_expired_for_capture"
    assert passing_time.sweep() == 1
    left = passing_time.deadline_of(intent_id).next_action_at - now_utc()
    assert left > timedelta(hours=1), "nobody asks whether the own hold is over"
    sweep_to_the_end()
    assert_all_went_back(shop, intent_id, charge, own)
