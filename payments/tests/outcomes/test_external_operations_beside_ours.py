"""External operations beside ours: in any order, concurrent, and with killed workers."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ledger.money import Money
from payments.models import Case, PspNotification
from payments.services.callers.caller import Answer
from payments.services.outcomes.late_and_external import adopt as adopting
from payments.services.outcomes.late_and_external import application
from payments.services.psp_gateway import accounts, sending
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.psp_notifications import processing
from payments.services.recovery import payment_sync
from payments.services.recovery.payment_sync import sync_operation
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.crashes import Where, crash_at
from payments.tests.support.dashboard import (
    act,
    adopt,
    amounts,
    assert_sound,
    end_leases,
    external_operations,
    held,
    seen,
    sold,
    sync,
)
from payments.tests.support.late_outcomes import close_as
from payments.tests.support.notices import (
    Hooks,
    books_of,
    lose_the_answer,
    make_due,
    only_notification,
    store_notice,
    story_of,
)
from payments.tests.support.passing_time import events_of, hold
from payments.tests.support.shop import Shop, age_operations, body_of
from paymentsite.tests.fixtures.matrix import orders
from psp_adapters.contract.operations import Outcome
from psp_adapters.contract.payments import PspOperation, PspOperationKind

# --- beside our own operations, in any order -------------------------------------------------


def test_an_external_refund_is_recorded_beside_our_unknown_refund(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop)
    shop.psp.script({"drop_before": True}, kind="refund")
    assert body_of(shop.refund(intent_id, 8_000))["status"] == "pending"
    act(shop, "refund", 5_000)
    [notice] = hooks.caught("payment.refunded")
    hooks.take(notice)
    assert only_notification().status == "processed"
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 5_000, 8_000, 3_000)

    for _ in range(4):
        shop.settle()
    age_operations(intent_id, seconds=30)  # Past the PSP's look-up lag.
    shop.settle()
    make_due()
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert amounts(intent) == (10_000, 10_000, 5_000, 0, 0)
    assert_sound(shop, intent_id)


def test_an_external_void_is_recorded_after_the_charge_whose_answer_was_lost(
    shop: Shop, hooks: Hooks
) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(manual=True))["id"]
    act(shop, "void")
    [notice] = hooks.caught("payment.voided")
    hooks.take(notice)
    assert only_notification().status == "failing"
    shop.settle()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    sync(shop, intent_id)
    assert shop.intent(intent_id).status == "CANCELED"
    assert_sound(shop, intent_id)


def test_our_final_capture_after_an_external_one_releases_nothing(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 6_000, final=False)
    shop.capture(intent_id, 4_000)
    assert shop.intent(intent_id).amount_captured_minor == 4_000
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (10_000, 10_000, 0, 0, 0))
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_an_external_increment_before_our_final_capture_is_released_with_the_rest(
    shop: Shop,
) -> None:
    intent_id = held(shop)
    act(shop, "increment", 2_000)
    shop.capture(intent_id)
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (12_000, 10_000, 0, 0, 0))
    assert intent.amount_minor == 12_000
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_notifications_of_refunds_in_any_order_end_in_the_same_state(
    shop: Shop, hooks: Hooks
) -> None:
    """Two refunds in the dashboard, and one of ours whose answer was lost."""
    stories = []
    for number, order in enumerate(orders(range(3))):
        shop.order_id = f"{shop.order_id}-{number}"
        intent_id = sold(shop)
        hooks.receiver.deliveries.clear()
        act(shop, "refund", 1_000)
        shop.psp.script({"drop_after": True}, kind="refund")
        shop.refund(intent_id, 2_000)
        act(shop, "refund", 3_000)
        hooks.receiver.wait_until(lambda all_: len(refunds_among(all_)) == 3)
        notices = refunds_among(hooks.receiver.deliveries)
        for position in order:
            assert hooks.deliver(notices[position]).status_code == 200
            process()
            assert hooks.deliver(notices[position]).status_code == 200
            process()
        story = story_of(shop, intent_id)
        assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 6_000, 0, 0), order
        assert_sound(shop, intent_id)
        stories.append(story)
    assert all(story == stories[0] for story in stories)


def test_notifications_of_a_capture_refund_and_void_in_any_order_end_in_the_same_state(
    shop: Shop, hooks: Hooks
) -> None:
    """In the dashboard, a part is captured, some of it refunded, and the rest voided."""
    types = ("payment.captured", "payment.refunded", "payment.voided")
    stories = []
    for number, order in enumerate(orders(types)):
        shop.order_id = f"{shop.order_id}-{number}"
        intent_id = held(shop)
        hooks.receiver.deliveries.clear()
        act(shop, "capture", 4_000, final=False)
        act(shop, "refund", 1_000)
        act(shop, "void")
        for notice in hooks.caught(*order):
            for _ in range(2):
                assert hooks.deliver(notice).status_code == 200
                process()
        assert shop.intent(intent_id).status == "PARTIALLY_REFUNDED"
        assert_sound(shop, intent_id)
        stories.append(story_of(shop, intent_id))
    assert all(story == stories[0] for story in stories)


def test_a_notification_by_another_account_about_our_payment_changes_nothing(
    shop: Shop, other_shop: Shop
) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 1_000)
    reference = shop.intent(intent_id).psp_reference
    assert reference
    for type_ in ("payment.refunded", "payment.expired"):
        store_notice(other_shop, type=type_, data={"payment_id": reference, "references": []})
    process()
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"failing"}
    assert external_operations(intent_id) == []
    assert shop.intent(intent_id).status == "CAPTURED"


def refunds_among(deliveries: Any) -> list[Any]:
    return [each for each in deliveries if each.type == "payment.refunded"]


def process() -> None:
    for _ in range(3):
        make_due()
        processing.process_due_notifications()


@pytest.mark.parametrize(
    "story",
    [
        (("capture", 4_000, False), ("void", None, True)),
        (("capture", 4_000, True), ("refund", 1_000, True), ("refund", 3_000, True)),
        (("increment", 2_000, True), ("capture", 12_000, True), ("refund", 12_000, True)),
    ],
)
def test_a_sync_after_each_external_operation_or_after_all_ends_in_the_same_state(
    shop: Shop, story: tuple[tuple[str, int | None, bool], ...]
) -> None:
    stories = []
    for at_each in (True, False):
        shop.order_id = f"{shop.order_id}-{at_each}"
        intent_id = held(shop)
        for verb, amount_minor, final in story:
            more: dict[str, Any] = {"final": final} if verb == "capture" else {}
            act(shop, verb, amount_minor, **more)
            if at_each:
                sync(shop, intent_id)
        sync(shop, intent_id)
        sync(shop, intent_id)
        assert_sound(shop, intent_id)
        stories.append(story_of(shop, intent_id))
        stories[-1]["events"] = sorted(set(stories[-1]["events"]))  # One for all, or one each.
    assert stories[0] == stories[1]


def test_an_expiry_and_earlier_external_operations_are_recorded_in_order(shop: Shop) -> None:
    intent_id = hold(shop)
    act(shop, "capture", 4_000, final=False)
    act(shop, "refund", 1_000)
    shop.psp.advance(3)
    sync(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == (
        "PARTIALLY_REFUNDED",
        (10_000, 4_000, 1_000, 0, 0),
    )
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


# --- concurrent, and killed ------------------------------------------------------------------


def test_eight_concurrent_syncs_record_an_external_refund_once(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)

    def run(_: int) -> Answer:
        with suppress(Inconclusive):  # Another worker has the lease.
            sync(shop, intent_id)
        return Answer(status=200, body="{}")

    at_once(8, run)
    assert len(external_operations(intent_id)) == 1
    assert shop.intent(intent_id).amount_refunded_minor == 4_000
    assert_sound(shop, intent_id)


def test_concurrent_refunds_of_ours_and_the_dashboard_agree_with_the_psp(shop: Shop) -> None:
    intent_id = sold(shop)

    def run(position: int) -> Answer:
        if position == 0:
            act(shop, "refund", 4_000)
        if position % 2:
            return shop.refund(intent_id, 3_000)
        try:
            sync(shop, intent_id)
        except Inconclusive:
            return Answer(status=200, body="{}")
        return Answer(status=200, body="{}")

    at_once(8, run)
    shop.settle()
    sync(shop, intent_id)
    assert len(external_operations(intent_id)) == 1
    assert_sound(shop, intent_id)


CRASHES: dict[str, Where] = {
    "before it is inserted": (application, "insert_external_operation", "before"),
    "inserted, not recorded": (application, "insert_external_operation", "after"),
    "recorded, not committed": (adopting, "put_change", "after"),
    "after the commit": (payment_sync, "adopt_payment", "after"),
}


@pytest.mark.parametrize("step", CRASHES)
def test_a_sync_killed_at_any_step_records_an_external_refund_once(shop: Shop, step: str) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)
    crash_at(CRASHES[step], lambda: sync(shop, intent_id))
    end_leases()
    sync(shop, intent_id)
    assert len(external_operations(intent_id)) == 1
    assert_sound(shop, intent_id)


def test_only_external_operations_that_succeeded_and_moved_money_are_recorded(shop: Shop) -> None:
    intent_id = held(shop)
    view = seen(shop, intent_id)
    [charge] = shop.operations(intent_id)
    template = PspOperation(
        kind=PspOperationKind.CAPTURE,
        psp_id="sop_x",
        reference="",
        amount=Money(100, "USD"),
        outcome=Outcome.PENDING,
        at=view.operations[0].at,
    )
    for outcome in (Outcome.PENDING, Outcome.DECLINED, Outcome.REQUIRES_ACTION):
        waiting = replace(view, operations=(*view.operations, replace(template, outcome=outcome)))
        assert adopt(charge, waiting) == 0
    nothing = replace(template, kind=PspOperationKind.VOID, amount=Money(0, "USD"))
    done = replace(nothing, outcome=Outcome.SUCCEEDED)
    shown = replace(view, operations=(*view.operations, done))
    assert adopt(charge, shown) == 0
    assert len(shop.operations(intent_id)) == 1


def test_an_external_void_is_not_recorded_before_our_open_charge(shop: Shop) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(manual=True))["id"]
    act(shop, "void")
    [charge] = shop.operations(intent_id)
    [effect] = shop.effects("void")
    adapter = accounts.adapter_of(shop.account)
    found = adapter.look_up(sending.lookup_of(charge), deadline_seconds=5)
    assert found is not None
    view = adapter.look_up_payment(found.psp_payment_id, deadline_seconds=5)
    assert view is not None
    with pytest.raises(adopting.SnapshotIncomplete):
        adopt(charge, view)
    assert external_operations(intent_id) == []
    assert books_of(intent_id) == []
    assert effect["amount_minor"] == 10_000


def test_our_void_after_an_external_capture_succeeds_and_the_capture_is_booked(
    shop: Shop,
) -> None:
    intent_id = held(shop)
    act(shop, "capture", 3000, final=False)
    # The void released 70.00 USD of the 100.00 in our books: the snapshot decides.
    assert body_of(shop.cancel(intent_id))["status"] == "processing"
    shop.settle()
    assert "payment_intent.canceled" not in events_of(intent_id)
    assert amounts(shop.intent(intent_id))[:2] == (10_000, 3000)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert not [o for o in shop.operations(intent_id) if o.is_open]
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_our_void_and_a_capture_that_succeeded_late_are_both_booked(shop: Shop) -> None:
    intent_id = held(shop)
    lose_the_answer(shop, "capture")
    shop.capture(intent_id, 3000, final=False)
    capture = shop.operations(intent_id)[-1]
    close_as(capture, Outcome.DECLINED)
    assert body_of(shop.cancel(intent_id))["status"] == "processing"
    shop.settle()
    sync_operation(capture.id, actor="test")
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_captured_minor) == ("CAPTURED", 3000)
    assert_sound(shop, intent_id)


def test_the_expiry_of_a_duplicate_hold_does_not_replace_the_payments_own(shop: Shop) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = hold_in_doubt(shop)
    [first] = shop.operations(intent_id)
    close_as(first, Outcome.DECLINED)
    shop.confirm(intent_id, token="pm_card_visa")
    sync_operation(first.id, actor="test")
    first.refresh_from_db()
    assert first.status == "EXCESS"
    before = shop.intent(intent_id).authorization_expires_at
    payment_sync.sync_payment(first.id, actor="test")
    assert shop.intent(intent_id).authorization_expires_at == before


def hold_in_doubt(shop: Shop) -> str:
    """A hold of two seconds whose answer was lost."""
    intent = body_of(shop.create(10_000, token="pm_card_authorizationExpiresNow", manual=True))
    assert intent["status"] == "processing"
    identifier: str = intent["id"]
    return identifier
