"""Results and external operations of a hold that has ended or was reopened."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from ledger.money import Money
from payments.models import Case, Operation
from payments.services import callers
from payments.services.outcomes.late_and_external.adopt import Overtaken, adopt_payment, version_of
from payments.services.outcomes.recording import Disposition, record_outcome
from payments.services.recovery import payment_sync
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.dashboard import (
    act,
    adopt,
    assert_sound,
    external_operations,
    held,
    seen,
    sync,
)
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    close_as,
    confirm_late_outcomes,
    counters,
    events,
    reference,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.passing_time import last_event
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.contract.payments import PspOperation, PspOperationKind


def authorized_at_the_psp(shop: Shop) -> int:
    sums: Counter[str] = Counter()
    for effect in shop.effects():
        sums[effect["kind"]] += effect["amount_minor"]
    return sums["authorize"] + sums["increment"] - sums["increment_failed"]


def falsely_declined(shop: Shop, intent_id: str, kind: str, amount_minor: int) -> Operation:
    """An operation that succeeded at the PSP and that we closed as declined."""
    lose_the_answer(shop, kind)
    if kind == "increment":
        shop.increment(intent_id, amount_minor)
    else:
        shop.capture(intent_id, amount_minor, final=False)
    change = shop.operations(intent_id)[-1]
    close_as(change, Outcome.DECLINED)
    return change


def test_a_late_increment_of_a_voided_hold_is_released_with_it(shop: Shop) -> None:
    intent_id = held(shop)
    increment = falsely_declined(shop, intent_id, "increment", 13_000)
    assert body_of(shop.cancel(intent_id))["status"] == "processing", "more was released"
    shop.settle()
    sync_as_notified(increment)
    confirm_late_outcomes()
    assert balances(intent_id) == {}, "the hold has ended"
    assert counters(shop, intent_id) == {"authorized": 13_000}
    assert authorized_at_the_psp(shop) == 13_000
    increment.refresh_from_db()
    assert increment.excess_minor == 0
    assert shop.intent(intent_id).status == "CANCELED"
    assert Case.objects.filter(kind="late_success").exists()
    assert_the_books_agree()

    shop.psp.revise(reference(increment), "fail")
    sync_as_notified(increment)
    confirm_late_outcomes()
    assert counters(shop, intent_id) == {"authorized": 10_000}
    assert shop.intent(intent_id).amount_minor == 10_000
    assert_the_books_agree()


@pytest.mark.parametrize("end", ["void", "expiry"])
def test_a_late_increment_of_a_captured_hold_is_released_when_the_hold_ends_at_the_psp(
    shop: Shop, end: str
) -> None:
    token = "pm_card_authorizationExpiresNow" if end == "expiry" else "pm_card_visa"
    intent_id = body_of(shop.create(10_000, manual=True, token=token))["id"]
    shop.psp.script({"decline": {"code": "card_declined"}}, kind="increment")
    shop.increment(intent_id, 12_500)
    increment = shop.operations(intent_id)[-1]
    shop.capture(intent_id)
    shop.psp.revise(reference(increment), "succeed")
    sync_as_notified(increment)
    assert shop.intent(intent_id).capturable.minor == 2_500
    if end == "void":
        act(shop, "void")
    else:
        shop.psp.advance(3)
    for _ in range(2):
        sync(shop, intent_id)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert balances(intent_id) == {1100: 10_000, 2100: -10_000}
    assert [o.closed_at is not None for o in external_operations(intent_id)] == [True] * (
        end == "void"
    )
    assert not Case.objects.filter(kind__in=["external_operation", "contradiction"]).exists()
    assert_sound(shop, intent_id)


def test_a_late_capture_made_before_our_void_does_not_raise_the_authorized_amount(
    shop: Shop,
) -> None:
    intent_id = held(shop)
    capture = falsely_declined(shop, intent_id, "capture", 3_000)
    assert body_of(shop.cancel(intent_id))["status"] == "processing", "less was released"
    shop.settle()
    sync_as_notified(capture)
    confirm_late_outcomes()
    assert counters(shop, intent_id) == {"authorized": 10_000, "captured": 3_000}
    assert authorized_at_the_psp(shop) == 10_000
    assert shop.intent(intent_id).status == "CAPTURED"
    assert [case.kind for case in Case.objects.all()] == ["late_success"]
    assert_sound(shop, intent_id)


def test_an_external_capture_before_our_void_of_a_challenge_books_the_full_authorization(
    shop: Shop,
) -> None:
    intent = body_of(shop.create(token="pm_card_authenticationRequired", manual=True))
    shop.psp.complete_challenge(intent["next_action"]["redirect_to_url"]["url"])
    act(shop, "capture", 3_000, final=False)
    assert body_of(shop.cancel(intent["id"]))["status"] == "processing"
    shop.settle()
    sync(shop, intent["id"])
    assert counters(shop, intent["id"]) == {"authorized": 10_000, "captured": 3_000}
    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert_sound(shop, intent["id"])


def test_an_old_expiry_does_not_end_a_reopened_hold(shop: Shop) -> None:
    intent_id = held(shop)
    view = seen(shop, intent_id)
    [charge] = shop.operations(intent_id)
    ended = PspOperation(
        kind=PspOperationKind.EXPIRE,
        psp_id="sop_old",
        reference="",
        amount=Money(10_000, "USD"),
        outcome=Outcome.SUCCEEDED,
        at=view.operations[-1].at,
    )
    assert view.held == Money(10_000, "USD")
    shown = replace(view, operations=(*view.operations, ended))
    assert adopt(charge, shown) == 0
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert_the_books_agree()


def test_the_end_of_a_hold_whose_capture_was_reversed_changes_nothing(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id)
    capture = shop.operations(intent_id)[-1]
    shop.psp.revise(reference(capture), "fail", keep_hold=False)
    sync_as_notified(capture)
    assert shop.intent(intent_id).status == "FAILED"
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "FAILED"
    assert_the_books_agree()


def test_a_snapshot_older_than_a_late_outcome_is_discarded(shop: Shop) -> None:
    """It must not end the look-up that the late outcome has scheduled."""
    intent_id = body_of(shop.create(10_000, token="pm_card_chargeDeclined"))["payment_intent"]["id"]
    [charge] = shop.operations(intent_id)
    lease = payment_sync.lease_payment(charge.id)
    assert lease is not None
    version, older = version_of(charge.intent_id), payment_sync.look_up_payment(charge)
    shop.psp.revise(reference(charge), "succeed")
    late = PspResult(outcome=Outcome.SUCCEEDED, amount=charge.amount)
    recorded = record_outcome(
        operation=charge, result=late, caller=callers.for_operation(charge, "test")
    )
    assert recorded.disposition is Disposition.DEFERRED
    with pytest.raises(Overtaken):
        adopt_payment(charge.id, older, lease=lease, version=version, actor="test")
    charge.refresh_from_db()
    assert charge.next_check_at is not None
    assert recovery_sweep.resolve_due_operations() == 1
    assert shop.intent(intent_id).status == "CAPTURED"
    assert_the_books_agree()


def test_a_charge_whose_rest_is_voided_is_shown_as_captured(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 4_000, final=False)
    shop.cancel(intent_id)
    assert last_event(intent_id, "charge.updated")["captured"] is True
    assert events(intent_id)[-2:] == ["charge.updated", "payment_intent.succeeded"]
