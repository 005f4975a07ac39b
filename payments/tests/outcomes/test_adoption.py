"""Lives with two or more late or external outcomes: the books become what the PSP shows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from payments.clock import now_utc
from payments.exceptions import UnexpectedState
from payments.models import Case, PaymentIntent
from payments.services import commands
from payments.services.callers.caller import CommandRequest
from payments.services.commands import IntentDetails
from payments.services.outcomes.late_and_external.adopt import Overtaken, adopt_payment, version_of
from payments.services.recovery import payment_sync
from payments.services.verification.rebuild import differences
from payments.tests.support.dashboard import act, end_leases, held, seen, sync
from payments.tests.support.late_outcomes import (
    balances,
    cases,
    confirm_late_outcomes,
    events,
    reference,
    sync_as_notified,
)
from payments.tests.support.shop import Shop, age_operations, body_of, render_intent, uuid_of


def assert_as_at_the_psp(
    shop: Shop, intent_id: str, status: str, *, held_minor: int, captured_minor: int
) -> PaymentIntent:
    """Books, counters and status say what the PSP holds and took; its order is guarded by that."""
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_held_minor, intent.amount_captured_minor) == (
        status,
        held_minor,
        captured_minor,
    )
    assert seen(shop, intent_id).held.minor == held_minor
    assert balances(intent_id).get(9100, 0) == held_minor
    [charge] = [o for o in shop.operations(intent_id) if o.is_charge]
    assert (charge.guard_order == shop.order_id) is bool(held_minor or captured_minor)
    assert list(differences()) == []
    return intent


def test_a_capture_that_failed_and_was_repeated_in_the_dashboard(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    act(shop, "capture", 10_000)
    sync(shop, intent_id)
    intent = assert_as_at_the_psp(shop, intent_id, "CAPTURED", held_minor=0, captured_minor=10_000)
    assert intent.published_status == "succeeded"


def test_a_capture_that_fails_after_a_void_of_the_rest_leaves_its_part_held(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 5_000, final=False)
    shop.cancel(intent_id)
    shop.psp.revise(reference(shop.operations(intent_id)[1]), "fail")
    sync(shop, intent_id)
    intent = assert_as_at_the_psp(shop, intent_id, "AUTHORIZED", held_minor=5_000, captured_minor=0)
    assert intent.capturable.minor == 5_000
    assert body_of(shop.capture(intent_id))["amount_received"] == 5_000


def test_our_capture_fails_beside_one_in_the_dashboard_that_we_did_not_know(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 4_000, final=False)
    act(shop, "capture", 3_000, final=False)
    shop.psp.revise(reference(shop.operations(intent_id)[1]), "fail")
    sync(shop, intent_id)
    assert_as_at_the_psp(shop, intent_id, "AUTHORIZED", held_minor=7_000, captured_minor=3_000)


def test_a_snapshot_older_than_a_final_capture_is_discarded(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 4_000, final=False)
    [charge, capture] = shop.operations(intent_id)
    shop.psp.revise(reference(capture), "fail")
    lease = payment_sync.lease_payment(charge.id)
    assert lease is not None
    version, older = version_of(charge.intent_id), payment_sync.look_up_payment(charge)
    shop.capture(intent_id, 6_000)
    shop.settle()
    with pytest.raises(Overtaken):
        adopt_payment(charge.id, older, lease=lease, version=version, actor="test")
    end_leases()
    shop.settle()
    sync(shop, intent_id)
    assert_as_at_the_psp(shop, intent_id, "CAPTURED", held_minor=0, captured_minor=6_000)


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_both_captures_of_a_hold_fail_in_any_order(shop: Shop, order: tuple[int, int]) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 7_000, final=False)
    shop.capture(intent_id, 3_000)
    for position in order:
        shop.psp.revise(reference(shop.operations(intent_id)[position]), "fail")
        sync_as_notified(shop.operations(intent_id)[position])
    confirm_late_outcomes()
    intent = assert_as_at_the_psp(
        shop, intent_id, "AUTHORIZED", held_minor=10_000, captured_minor=0
    )
    assert intent.capturable.minor == 10_000
    assert body_of(shop.capture(intent_id))["amount_received"] == 10_000
    assert list(differences()) == []


def test_a_void_of_a_hold_that_was_raised_in_the_dashboard_fails_and_is_repeated(
    shop: Shop,
) -> None:
    intent_id = held(shop)
    act(shop, "increment", 5_000)
    shop.cancel(intent_id)
    shop.settle()
    assert balances(intent_id) == {}
    void = next(o for o in shop.operations(intent_id) if o.kind == "void")
    shop.psp.revise(reference(void), "fail")
    sync_as_notified(void)
    assert_as_at_the_psp(shop, intent_id, "AUTHORIZED", held_minor=15_000, captured_minor=0)
    shop.cancel(intent_id)
    shop.settle()
    confirm_late_outcomes()
    assert_as_at_the_psp(shop, intent_id, "CANCELED", held_minor=0, captured_minor=0)


def test_a_capture_of_all_we_know_of_leaves_what_was_added_in_the_dashboard(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "increment", 3_000)
    shop.capture(intent_id, 10_000, final=False)
    shop.settle()
    assert_as_at_the_psp(shop, intent_id, "AUTHORIZED", held_minor=3_000, captured_minor=10_000)
    assert body_of(shop.capture(intent_id))["amount_received"] == 13_000


def test_a_void_that_released_less_publishes_nothing_before_the_snapshot(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 7_500, final=False)
    assert body_of(shop.cancel(intent_id))["status"] == "processing"
    assert "payment_intent.canceled" not in events(intent_id)
    shop.settle()
    assert_as_at_the_psp(shop, intent_id, "CAPTURED", held_minor=0, captured_minor=7_500)
    assert "payment_intent.canceled" not in events(intent_id)
    assert not Case.objects.exists()


def test_the_currency_stays_once_money_was_held(shop: Shop) -> None:
    intent_id = held(shop)
    [charge] = shop.operations(intent_id)
    shop.psp.revise(reference(charge), "fail")
    sync(shop, intent_id)
    assert (shop.intent(intent_id).status, shop.intent(intent_id).held.minor) == ("FAILED", 0)
    with pytest.raises(UnexpectedState, match="can no longer be changed"):
        ask_in_euro(shop, intent_id)
    shop.psp.revise(reference(charge), "succeed")
    sync(shop, intent_id)
    assert shop.intent(intent_id).currency == "USD"
    assert_as_at_the_psp(shop, intent_id, "AUTHORIZED", held_minor=10_000, captured_minor=0)


def test_a_late_charge_in_another_currency_is_booked_apart_and_verified(shop: Shop) -> None:
    declined = body_of(shop.create(10_000, token="pm_card_chargeDeclined"))
    intent_id = declined["payment_intent"]["id"]
    first = shop.operations(intent_id)[0]
    ask_in_euro(shop, intent_id)
    assert body_of(shop.confirm(intent_id, token="pm_card_visa"))["status"] == "succeeded"
    shop.psp.revise(reference(first), "succeed")
    sync_as_notified(first)
    first.refresh_from_db()
    assert (first.status, first.currency) == ("EXCESS", "USD")
    assert list(differences()) == []
    shop.psp.revise(reference(first), "fail")
    sync_as_notified(first)
    first.refresh_from_db()
    assert first.status == "REVERSED"
    assert list(differences()) == []


def test_a_refund_in_the_dashboard_that_failed_before_we_looked_is_recorded(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    act(shop, "refund", 4_000, reference="ticket 1")
    shop.psp.revise("ticket 1", "fail")
    sync(shop, intent_id)
    refund = shop.operations(intent_id)[-1]
    assert (refund.kind, refund.status, refund.amount_minor) == ("refund", "DECLINED", 4_000)
    assert [each.status for each in shop.refunds(intent_id)] == ["failed"]
    assert_as_at_the_psp(shop, intent_id, "CAPTURED", held_minor=0, captured_minor=10_000)
    assert cases() == []


def ask_in_euro(shop: Shop, intent_id: str) -> None:
    commands.update_intent(
        CommandRequest(shop.caller(), render=render_intent),
        intent_id=uuid_of(intent_id),
        details=IntentDetails(),
        currency="EUR",
    )


def test_a_list_that_lags_is_looked_up_by_the_usual_schedule(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    intent_id = held(shop)
    older = seen(shop, intent_id)
    act(shop, "increment", 5_000)
    assert body_of(shop.cancel(intent_id))["status"] == "processing"
    monkeypatch.setattr(payment_sync, "look_up_payment", lambda charge: older)
    for _ in range(4):
        shop.settle()
    void = shop.operations(intent_id)[-1]
    assert (void.kind, void.status) == ("void", "UNKNOWN")
    assert void.next_check_at is not None
    assert void.next_check_at > now_utc() + timedelta(seconds=2)
    monkeypatch.undo()
    shop.settle()
    assert_as_at_the_psp(shop, intent_id, "CANCELED", held_minor=0, captured_minor=0)


def test_a_hold_that_vanished_under_an_open_capture_cancels_the_payment(shop: Shop) -> None:
    intent_id = held(shop)
    shop.psp.script({"drop_before": True}, kind="capture")
    shop.capture(intent_id, 4_000)
    act(shop, "void")
    shop.settle()
    sync(shop, intent_id)
    for _ in range(5):
        shop.settle()
    age_operations(intent_id, seconds=30)  # Past the PSP's look-up lag.
    shop.settle()
    assert_as_at_the_psp(shop, intent_id, "CANCELED", held_minor=0, captured_minor=0)


def test_an_increment_of_an_earlier_charge_leaves_the_amount_of_the_payment(shop: Shop) -> None:
    intent_id = held(shop)
    decline = {"code": "card_declined", "decline_code": "generic_decline", "message": "no"}
    shop.psp.script({"decline": decline}, order_id=shop.order_id, kind="increment")
    shop.increment(intent_id, 15_000)
    earlier, increment = shop.operations(intent_id)
    shop.psp.revise(reference(earlier), "fail")
    sync(shop, intent_id)
    shop.confirm(intent_id, token="pm_card_visa")
    shop.psp.revise(reference(increment), "succeed")
    sync_as_notified(increment)
    assert "late_success" in cases()
    assert shop.intent(intent_id).amount_minor == 10_000
    shop.psp.revise(reference(increment), "fail")
    end_leases()
    sync_as_notified(increment)
    assert shop.intent(intent_id).amount_minor == 10_000
    assert list(differences()) == []


def test_increments_by_fractions_fail_after_their_hold_was_reversed(shop: Shop) -> None:
    """Merchants may ask for tens of fils only; what a PSP raised in its dashboard is booked."""
    intent_id = body_of(shop.create(10_000, currency="KWD", manual=True))["id"]
    for number, fraction_minor in enumerate((1_234, 1_111)):
        act(shop, "increment", fraction_minor, reference=f"{shop.order_id}-{number}")
    sync(shop, intent_id)
    shop.psp.revise(reference(shop.operations(intent_id)[0]), "fail")
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "FAILED"
    shop.psp.revise(f"{shop.order_id}-0", "fail")
    sync(shop, intent_id)
    assert shop.intent(intent_id).amount_minor == 11_111
    assert list(differences()) == []
