"""Holds that expire at the PSP: however we learn of it, the expiry is recorded once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from ledger.money import Money
from payments.clock import now_utc
from payments.exceptions import ChargeRefused, UnexpectedState
from payments.models import Case, Deadline, Event
from payments.services.automatic_actions import expiring_authorizations
from payments.services.automatic_actions.sweep import act_on_due_deadlines
from payments.services.callers.caller import Answer
from payments.services.outcomes.late_and_external import adopt as adopting
from payments.services.psp_gateway import accounts
from payments.services.recovery import payment_sync, resolution
from payments.services.recovery.payment_sync import sync_payment
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.crashes import Where, crash_at
from payments.tests.support.dashboard import adopt, end_leases
from payments.tests.support.notices import Hooks, books_of, make_due, only_notification, story_of
from payments.tests.support.passing_time import (
    deadline_of,
    end_hold,
    events_of,
    hold,
    last_event,
    run_out,
    sweep,
)
from payments.tests.support.shop import Shop, age_operations, body_of
from psp_adapters.contract.payments import PspPayment

EXPIRED_EVENTS = [
    "payment_intent.created",
    "charge.succeeded",
    "payment_intent.amount_capturable_updated",
    "charge.expired",
    "payment_intent.canceled",
]


def assert_expired(shop: Shop, intent_id: str, cases: Sequence[str] = ()) -> None:
    """The payment is canceled as expired, here and at the PSP, and its order is free again."""
    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CANCELED", "expired")
    assert intent.canceled_at is not None
    types = events_of(intent_id)
    assert types.count("charge.expired") == types.count("payment_intent.canceled") == 1
    assert [e["kind"] for e in shop.effects()] == ["authorize", "expire"]
    assert list(Case.objects.values_list("kind", flat=True)) == list(cases)
    [released] = [row for row in books_of(intent_id) if row[0] == 9100 and row[4] == "release"]
    assert released[3] == 10_000
    assert [o.guard_order for o in shop.operations(intent_id) if o.is_charge] == [None]
    assert list(differences()) == []


def seen(shop: Shop, intent_id: str) -> PspPayment:
    adapter = accounts.adapter_of(shop.account)
    payment = adapter.look_up_payment(shop.intent(intent_id).psp_reference, deadline_seconds=5)
    assert payment is not None
    return payment


def test_a_notification_of_the_expiry_releases_the_hold_and_frees_the_order(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = hold(shop)
    shop.psp.advance(3)
    [notice] = hooks.caught("payment.expired")
    hooks.take(notice, notice)

    assert_expired(shop, intent_id)
    assert events_of(intent_id) == EXPIRED_EVENTS
    assert only_notification().status == "processed"
    charge = last_event(intent_id, "charge.expired")
    assert (charge["captured"], charge["refunded"], charge["amount_refunded"]) == (
        False,
        True,
        10_000,
    )
    canceled = last_event(intent_id, "payment_intent.canceled")
    assert (canceled["status"], canceled["cancellation_reason"]) == ("canceled", "expired")
    assert Event.objects.filter(type="charge.expired").get().actor == "psp:expiry"
    assert body_of(shop.create())["status"] == "succeeded", "the order can be paid again"


def test_the_sweep_finds_an_expiry_whose_notification_was_lost(shop: Shop) -> None:
    intent_id = hold(shop)
    sweep()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    run_out(shop, intent_id)
    assert sweep() == 1
    assert_expired(shop, intent_id)
    assert sweep() == 1
    assert not Deadline.objects.exists()
    assert sweep() == 0


def test_an_expiry_notification_a_day_after_the_sweep_changes_nothing(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = hold(shop)
    run_out(shop, intent_id)
    [notice] = hooks.caught("payment.expired")
    sweep()
    before = story_of(shop, intent_id)
    shop.psp.advance(24 * 3600)
    hooks.take(notice)
    assert story_of(shop, intent_id) == before
    assert_expired(shop, intent_id)


def test_the_psp_decides_when_a_hold_is_over(shop: Shop) -> None:
    intent_id = hold(shop, token="pm_card_visa")
    end_hold(intent_id, at=now_utc() - timedelta(hours=1))
    sweep()
    intent = shop.intent(intent_id)
    assert intent.status == "AUTHORIZED"
    assert intent.authorization_expires_at is not None
    assert intent.authorization_expires_at > now_utc() + timedelta(days=6), "as the PSP said"
    assert "charge.expired" not in events_of(intent_id)
    assert list(differences()) == []


def test_without_an_expiry_from_the_psp_a_hold_ends_after_the_days_set_for_the_account(
    shop: Shop,
) -> None:
    intent_id = hold(shop)
    intent, [charge] = shop.intent(intent_id), shop.operations(intent_id)
    intent.authorization_expires_at = None
    plan = expiring_authorizations.times_of(intent, charge, shop.merchant)
    assert plan.expires_at == charge.created_at + timedelta(days=7)


def test_a_look_up_of_an_expired_hold_is_retried_while_the_psp_is_down(shop: Shop) -> None:
    intent_id = hold(shop)
    run_out(shop, intent_id)
    shop.psp.set_behavior(down=1)
    sweep()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    again_at = deadline_of(intent_id).next_action_at
    assert timedelta(0) < again_at - now_utc() <= timedelta(seconds=91)
    shop.psp.heal()
    sweep()
    assert_expired(shop, intent_id)


def test_only_the_uncaptured_rest_of_a_hold_expires(shop: Shop) -> None:
    intent_id = hold(shop)
    shop.capture(intent_id, 3_000, final=False)
    run_out(shop, intent_id)
    sweep()

    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CAPTURED", "")
    assert intent.amount_captured_minor == 3_000
    assert events_of(intent_id)[-2:] == ["charge.updated", "payment_intent.succeeded"]
    assert last_event(intent_id, "payment_intent.succeeded")["status"] == "succeeded"
    [charge, _] = shop.operations(intent_id)
    assert charge.guard_order == shop.order_id, "an order that was paid stays paid"
    assert list(differences()) == []
    assert body_of(shop.refund(intent_id))["amount"] == 3_000


def test_a_refund_of_the_captured_part_shows_once_the_rest_has_expired(shop: Shop) -> None:
    intent_id = hold(shop)
    shop.capture(intent_id, 3_000, final=False)
    shop.refund(intent_id, 3_000)
    run_out(shop, intent_id)
    sweep()
    assert shop.intent(intent_id).status == "REFUNDED"
    assert list(differences()) == []


def test_a_capture_after_the_expiry_is_declined_and_the_payment_ends_as_expired(shop: Shop) -> None:
    intent_id = hold(shop)
    sweep()
    shop.psp.advance(3)
    answer = shop.capture(intent_id)
    assert body_of(answer)["error"]["code"] == "charge_expired_for_capture"
    assert [o.status for o in shop.operations(intent_id)] == ["SUCCEEDED", "DECLINED"]

    sweep()
    assert_expired(shop, intent_id)
    with pytest.raises(ChargeRefused) as refusal:
        shop.capture(intent_id)
    assert refusal.value.code == "charge_expired_for_capture"
    assert len(shop.operations(intent_id)) == 2
    with pytest.raises(UnexpectedState):
        shop.cancel(intent_id)


def test_a_void_after_the_expiry_is_declined_and_the_payment_ends_as_expired(shop: Shop) -> None:
    intent_id = hold(shop)
    shop.psp.advance(3)
    answer = shop.cancel(intent_id)
    assert body_of(answer)["error"]["code"] == "charge_expired_for_capture"
    sweep()
    assert_expired(shop, intent_id)


@pytest.mark.parametrize("verb", ["capture", "void"])
def test_an_expiry_is_booked_beside_an_operation_that_is_still_open(
    shop: Shop, hooks: Hooks, verb: str
) -> None:
    intent_id = hold(shop)
    shop.psp.script({"drop_before": True}, kind=verb)
    command = shop.capture if verb == "capture" else shop.cancel
    assert body_of(command(intent_id))["status"] == "processing"
    shop.psp.advance(3)
    [notice] = hooks.caught("payment.expired")
    hooks.take(notice)
    assert only_notification().status == "processed"
    assert (shop.intent(intent_id).status, shop.intent(intent_id).held.minor) == ("PROCESSING", 0)
    assert list(differences()) == []

    for _ in range(resolution.CHECKS_BEFORE_FENCE + 1):  # The repeat is refused, then it is fenced.
        shop.settle()
    age_operations(intent_id, seconds=30)  # Past the PSP's look-up lag.
    shop.settle()
    assert [o.status for o in shop.operations(intent_id)] == ["SUCCEEDED", "NOT_SENT"]
    # A void reached its aim; a merchant that was told of a capture may have shipped.
    assert_expired(shop, intent_id, cases=["not_carried_out"] if verb == "capture" else [])


def test_a_capture_made_before_the_expiry_is_booked(shop: Shop, hooks: Hooks) -> None:
    intent_id = hold(shop)
    shop.psp.script({"drop_after": True}, kind="capture")
    assert body_of(shop.capture(intent_id, 4_000, final=False))["status"] == "processing"
    shop.psp.advance(3)
    [notice] = hooks.caught("payment.expired")
    hooks.take(notice)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_captured_minor) == ("CAPTURED", 4_000)
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture", "expire"]
    assert list(differences()) == []


def test_an_expiry_seen_before_we_know_of_the_hold_is_recorded_after_it(
    shop: Shop, hooks: Hooks
) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(10_000, token="pm_card_authorizationExpiresNow", manual=True))[
        "id"
    ]
    shop.psp.advance(3)
    [notice] = hooks.caught("payment.expired")
    hooks.take(notice)
    make_due()
    hooks.take(notice)
    assert_expired(shop, intent_id)


@pytest.mark.parametrize("verb", ["capture", "cancel"])
def test_an_operation_racing_the_expiry_ends_as_at_the_psp(shop: Shop, verb: str) -> None:
    """Half of the threads change the payment, half sync it, while the hold expires."""
    intent_id = hold(shop)
    end_hold(intent_id, at=now_utc() - timedelta(seconds=1))
    [charge] = shop.operations(intent_id)

    def work(position: int) -> Answer:
        if position == 3:
            shop.psp.advance(3)
        if position % 2:
            return getattr(shop, verb)(intent_id)
        try:
            sync_payment(charge.id, actor="test")
        except payment_sync.Inconclusive:
            return Answer(status=200, body="{}")
        return Answer(status=200, body="{}")

    at_once(8, work)
    shop.settle()
    sweep()
    kinds = [e["kind"] for e in shop.effects()]
    intent = shop.intent(intent_id)
    assert (kinds, intent.status, intent.cancellation_reason) in [
        (["authorize", "expire"], "CANCELED", "expired"),
        (["authorize", "capture"], "CAPTURED", ""),
        (["authorize", "void"], "CANCELED", ""),
    ]
    assert events_of(intent_id).count("charge.expired") == kinds.count("expire")
    assert list(differences()) == []


def test_eight_concurrent_syncs_record_one_expiry(shop: Shop) -> None:
    intent_id = hold(shop)
    shop.psp.advance(3)
    [charge] = shop.operations(intent_id)

    def look(_: int) -> Answer:
        with suppress(payment_sync.Inconclusive):  # Another worker has the lease.
            sync_payment(charge.id, actor="test")
        return Answer(status=200, body="{}")

    at_once(8, look)
    assert_expired(shop, intent_id)


def test_concurrent_sweeps_record_each_expiry_once(shop: Shop) -> None:
    ids = []
    for number in range(6):
        shop.order_id = f"{shop.order_id}-{number}"
        ids.append(hold(shop))
    shop.psp.advance(3)
    for intent_id in ids:
        end_hold(intent_id, at=now_utc() - timedelta(seconds=1))
    Deadline.objects.update(next_action_at=now_utc() - timedelta(seconds=1))

    def run(_: int) -> Answer:
        return Answer(status=200, body=str(act_on_due_deadlines()))

    counts = [int(a.body) for a in at_once(4, run) if isinstance(a, Answer)]
    assert sum(counts) == 6
    for intent_id in ids:
        assert shop.intent(intent_id).status == "CANCELED"
        assert events_of(intent_id).count("charge.expired") == 1
    assert list(differences()) == []


CRASHES: dict[str, Where] = {
    "before the look-up": (expiring_authorizations, "sync_payment", "before"),
    "before it is written": (adopting, "put_change", "before"),
    "written, not committed": (adopting, "put_change", "after"),
    "after the commit": (payment_sync, "adopt_payment", "after"),
}


@pytest.mark.parametrize("step", CRASHES)
def test_a_sweep_killed_anywhere_is_finished_by_the_next(shop: Shop, step: str) -> None:
    intent_id = hold(shop)
    run_out(shop, intent_id)
    crash_at(CRASHES[step], sweep)
    assert act_on_due_deadlines() == 0, "the killed worker's lease has not ended"
    end_leases()
    sweep()
    assert_expired(shop, intent_id)


def test_an_expiry_releases_all_that_we_hold_whatever_amount_the_psp_names(
    shop: Shop,
) -> None:
    intent_id = hold(shop)
    shop.psp.advance(3)
    view = seen(shop, intent_id)
    *others, expiry = view.operations
    odd = replace(view, operations=(*others, replace(expiry, amount=Money(9_000, "USD"))))
    [charge] = shop.operations(intent_id)
    assert adopt(charge, odd) == 1
    assert adopt(charge, odd) == 0
    assert shop.intent(intent_id).status == "CANCELED"
    assert not Case.objects.exists(), "the provider holds nothing: the snapshot explains all"
    assert list(differences()) == []


def test_no_expiry_is_recorded_while_an_operation_of_ours_is_open(shop: Shop) -> None:
    intent_id = hold(shop)
    shop.psp.script({"drop_before": True}, kind="capture")
    shop.capture(intent_id)
    shop.psp.advance(3)
    [charge, _] = shop.operations(intent_id)
    assert adopt(charge, seen(shop, intent_id)) == 1
    intent = shop.intent(intent_id)
    assert (intent.status, intent.held.minor) == ("PROCESSING", 0)
    assert list(differences()) == []


def test_the_charge_of_an_open_hold_shows_its_capture_deadline(shop: Shop) -> None:
    intent_id = hold(shop, token="pm_card_visa")
    charge = last_event(intent_id, "charge.succeeded")
    until = shop.intent(intent_id).authorization_expires_at
    assert until is not None
    assert charge["payment_method_details"]["card"]["capture_before"] == int(until.timestamp())
    shop.capture(intent_id)
    captured = last_event(intent_id, "charge.captured")
    assert "capture_before" not in captured["payment_method_details"]["card"]
