"""A notification is a reason to look: whatever comes, how often, when and in what order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from django.db import connections

from ledger.models import LedgerEntry
from payments import states
from payments.models import Event, Operation, PaymentIntent, PspNotification
from payments.services import looks, notifications, psp, recovery
from payments.services.outcomes import record_outcome
from payments.services.verification import differences
from payments.tests.crashes import crash_at
from payments.tests.notices import Hooks, make_due, only_notification
from payments.tests.shop import Shop, body_of, uuid_of
from psp_adapters.contract import Outcome, PspResult
from psp_adapters.tests.receiver import Delivery


def books_of(intent_id: str) -> list[tuple[Any, ...]]:
    """Every entry of a payment, in no particular order and without its own ids."""
    rows = LedgerEntry.objects.filter(payment_id=uuid_of(intent_id))
    names = ("account__code", "account__currency", "direction", "amount_minor", "entry_type")
    return sorted(rows.values_list(*names))


def story_of(shop: Shop, intent_id: str) -> dict[str, Any]:
    """Everything that must not depend on the order of notices."""
    intent = shop.intent(intent_id)
    events = Event.objects.filter(aggregateid=intent.id).values_list("type", flat=True)
    return {
        "status": intent.status,
        "amounts": (
            intent.amount_authorized_minor,
            intent.amount_captured_minor,
            intent.amount_refunded_minor,
            intent.amount_refund_pending_minor,
        ),
        "operations": sorted((o.kind, o.status) for o in shop.operations(intent_id)),
        "books": books_of(intent_id),
        "events": sorted(events),
    }


def lose_the_answer(shop: Shop, kind: str) -> None:
    shop.psp.script({"drop_after": 1}, order_id=shop.order_id, kind=kind)


def a_life(shop: Shop, hooks: Hooks) -> tuple[str, list[Delivery]]:
    """Authorize, capture a part, refund some of it, capture the rest: the intent and its notices.

    The last two answers did not arrive.
    """
    hooks.receiver.deliveries.clear()
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 4_000, final=False)
    for kind, command in (
        ("refund", lambda: shop.refund(intent_id, 1_000)),
        ("capture", lambda: shop.capture(intent_id, 5_000)),
    ):
        lose_the_answer(shop, kind)
        command()
    hooks.receiver.wait_for(4)
    by_operation = {d.words["data"]["operation"]["id"]: d for d in hooks.receiver.deliveries}
    assert len(by_operation) == 4
    return intent_id, list(by_operation.values())


def test_every_order_of_notices_ends_in_the_same_story(
    shop: Shop, hooks: Hooks, settings: Any
) -> None:
    settings.PSP_BREAKERS = False  # two answers of three are lost, by a PSP that is well
    stories = []
    for order in permutations(range(4)):
        shop.order_id = f"order-{''.join(map(str, order))}-{shop.merchant.id}"
        intent_id, notices = a_life(shop, hooks)
        hooks.take(*(notices[position] for position in order))
        stories.append(story_of(shop, intent_id))
    assert len(stories) == 24
    assert stories[0]["status"] == "PARTIALLY_REFUNDED"
    assert stories[0]["amounts"] == (10_000, 9_000, 1_000, 0)
    assert all(story == stories[0] for story in stories)
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert list(differences()) == []


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_authorize_capture_and_refund_in_any_order_change_nothing_twice(
    shop: Shop, hooks: Hooks, order: tuple[int, ...]
) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id)
    shop.refund(intent_id)
    notices = hooks.caught("payment.authorized", "payment.captured", "payment.refunded")
    before, events = story_of(shop, intent_id), list(Event.objects.order_by("id").values())

    for position in order:
        hooks.take(notices[position], notices[position])

    assert story_of(shop, intent_id) == before
    assert list(Event.objects.order_by("id").values()) == events
    assert PspNotification.objects.filter(status="processed").count() == 3


def test_a_notice_settles_a_lost_answer_before_its_next_check(shop: Shop, hooks: Hooks) -> None:
    lose_the_answer(shop, "authorize")
    intent = body_of(shop.create(10_000))
    assert intent["status"] == "processing"
    hooks.take(*hooks.caught("payment.authorized"))

    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert only_notification().processed_at is not None
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]
    assert list(differences()) == []


def test_a_hundred_copies_and_four_workers_at_once_have_one_effect(
    shop: Shop, hooks: Hooks, run_together: Callable[..., list[Any]]
) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    notices = hooks.caught("payment.authorized", "payment.captured")

    def deliver() -> int:
        return [hooks.deliver(notice).status_code for notice in notices].count(200)

    workers = [notifications.process_due_notifications] * 4
    results = run_together(*[deliver] * 20, *workers)
    for _ in range(4):
        results += run_together(*[deliver] * 20, *workers)

    assert [r for r in results if isinstance(r, BaseException)] == []
    notifications.process_due_notifications()
    assert PspNotification.objects.count() == 2
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert shop.intent(intent_id).status == "CAPTURED"
    assert len(books_of(intent_id)) == len(set(books_of(intent_id)))
    assert Event.objects.filter(type="payment_intent.succeeded").count() == 1
    assert list(differences()) == []


def test_a_notice_that_overtakes_the_answer_gives_one_posting(shop: Shop, hooks: Hooks) -> None:
    shop.psp.script({"hold": 1}, order_id=shop.order_id, kind="authorize")
    answers: list[Any] = []

    def pay() -> None:
        try:
            answers.append(shop.create(10_000, caller=shop.caller(key="the key")))
        finally:
            connections.close_all()

    paying = threading.Thread(target=pay)
    paying.start()
    try:
        hooks.take(*hooks.caught("payment.authorized"))
        operation = Operation.objects.get()
        assert (operation.status, answers) == ("SUCCEEDED", [])
        entries = LedgerEntry.objects.count()
    finally:
        shop.psp.release()
        paying.join(20)

    [answer] = answers
    assert (answer.status, body_of(answer)["status"]) == (200, "succeeded")
    assert LedgerEntry.objects.count() == entries
    assert Event.objects.filter(type="charge.succeeded").count() == 1
    assert shop.create(10_000, caller=shop.caller(key="the key")).body == answer.body
    assert list(differences()) == []


def test_looking_never_fences_or_repeats_what_is_being_sent(shop: Shop, hooks: Hooks) -> None:
    """The PSP has the request but has not executed it; somebody who may sign says that it has."""
    shop.psp.script({"latency_ms": 1500}, order_id=shop.order_id, kind="authorize")
    answers: list[Any] = []

    def pay() -> None:
        try:
            answers.append(shop.create(10_000))
        finally:
            connections.close_all()

    paying = threading.Thread(target=pay)
    paying.start()
    try:
        operation = _wait_for_operation()
        reference = psp.reference_of(operation.id)
        hooks.take(hooks.notice(data={"references": [reference], "payment_id": "spay_x"}))
        assert only_notification().status == "failing"
        operation.refresh_from_db()
        assert operation.status == "SENDING"
    finally:
        paying.join(20)

    assert body_of(answers[0])["status"] == "succeeded"
    kinds = [c["kind"] for c in shop.psp.calls(reference=reference)]
    assert sorted(kinds) == ["authorize", "look_up"]


def _wait_for_operation() -> Operation:
    for _ in range(500):
        found = Operation.objects.first()
        if found is not None:
            return found
        threading.Event().wait(0.01)
    raise AssertionError("nothing was written down")


def test_a_lost_notice_is_made_good_by_asking(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(webhooks={"lose": 1})
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert (hooks.receiver.deliveries, PspNotification.objects.count()) == ([], 0)


def test_an_old_notice_after_a_cancel_changes_nothing(shop: Shop, hooks: Hooks) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    [late] = hooks.caught("payment.authorized")
    shop.cancel(intent_id)
    before = story_of(shop, intent_id)
    hooks.take(late)
    assert story_of(shop, intent_id) == before
    assert only_notification().status == "processed"


def test_a_notice_of_an_unknown_object_is_tried_for_a_day_then_buried(hooks: Hooks) -> None:
    hooks.take(hooks.notice(data={"references": ["op_ABCDEFGHIJKLMNOPQRSTUV"]}))
    row = only_notification()
    assert (row.status, row.attempts) == ("failing", 1)
    assert "no operation of ours" in row.last_error
    assert row.next_try_at is not None
    assert 0.5 < (row.next_try_at - row.received_at).total_seconds() < 5

    make_due()
    PspNotification.objects.update(give_up_at="2000-01-01T00:00:00Z")
    assert notifications.process_due_notifications() == 1
    row = only_notification()
    assert (row.status, row.next_try_at) == ("dead", None)
    make_due()
    assert notifications.process_due_notifications() == 0


def test_tries_come_later_and_later(hooks: Hooks) -> None:
    hooks.take(hooks.notice())
    row = only_notification()
    begun = row.give_up_at - notifications.GIVE_UP_AFTER
    seconds = [0, 60, 3600, 6 * 3600]
    waits = []
    for passed in seconds:
        now = begun + notifications.timedelta(seconds=passed)
        waits.append((notifications._next_try(row, now) - now).total_seconds())
    assert 1 <= waits[0] <= 3
    assert 15 <= waits[1] <= 45
    assert all(900 <= wait <= 5400 for wait in waits[2:])


def test_a_notice_naming_another_accounts_operation_is_never_applied(
    shop: Shop, hooks: Hooks, other_shop: Shop
) -> None:
    lose_the_answer(other_shop, "authorize")
    intent_id = body_of(other_shop.create(10_000))["id"]
    [reference] = other_shop.operations_references()
    hooks.take(hooks.notice(data={"references": [reference]}))
    assert only_notification().status == "failing"
    assert other_shop.intent(intent_id).status == "PROCESSING"
    assert [c["kind"] for c in shop.psp.calls(reference=reference)] == ["authorize"]


def test_a_notice_naming_another_payment_of_the_psp_is_not_applied(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = body_of(shop.create(10_000, token="pm_sepaDebit_success"))["id"]
    [reference] = shop.operations_references()
    shop.psp.advance(5)
    hooks.take(hooks.notice(data={"references": [reference], "payment_id": "spay_other"}))
    row = only_notification()
    assert row.status == "dead"
    assert "another payment" in row.last_error
    assert shop.intent(intent_id).status == "PROCESSING"


def test_a_pending_payment_is_finished_by_its_notice(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    good = body_of(shop.create(10_000, token="pm_sepaDebit_success"))["id"]
    [settled] = hooks.caught("payment.settled")
    shop.order_id += "-2"
    bad = body_of(shop.create(10_000, token="pm_sepaDebit_fail"))["id"]
    [declined] = hooks.caught("payment.declined")
    hooks.take(declined, settled)
    assert (shop.intent(good).status, shop.intent(bad).status) == ("CAPTURED", "FAILED")


def test_a_challenge_is_finished_by_its_notice(shop: Shop, hooks: Hooks) -> None:
    intent = body_of(shop.create(10_000, token="pm_card_threeDSecureRequired"))
    [required] = hooks.caught("challenge.required")
    checks = shop.operations(intent["id"])[0].checks
    hooks.take(required)
    assert shop.intent(intent["id"]).status == "REQUIRES_ACTION"
    assert shop.operations(intent["id"])[0].checks == checks, "nothing new: nothing put off"

    shop.psp.complete_challenge(shop.operations(intent["id"])[0].redirect_url)
    hooks.take(*hooks.caught("challenge.completed"))
    assert shop.intent(intent["id"]).status == "CAPTURED"


def test_another_amount_at_the_psp_is_not_applied(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    intent_id = body_of(shop.create(10_000, token="pm_sepaDebit_success"))["id"]
    [settled] = hooks.caught("payment.settled")
    shop.psp.script({"contradict": 1}, kind="look_up", times=1)
    hooks.take(settled)
    row = only_notification()
    assert row.status == "dead"
    assert "the answer says" in row.last_error
    assert shop.intent(intent_id).status == "PROCESSING"
    assert books_of(intent_id) == []


def test_a_contradiction_of_a_closed_operation_goes_to_a_person(
    shop: Shop, hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer said "declined", and yet the PSP took the money."""
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [operation] = shop.operations(intent_id)
    record_outcome(
        operation=operation,
        result=PspResult(outcome=Outcome.DECLINED, code="card_declined"),
        caller=recovery.caller_of(operation, "test"),
    )
    hooks.take(*hooks.caught("payment.authorized"))
    row = only_notification()
    assert row.status == "dead"
    assert row.last_error == f"{operation.public_id} is DECLINED, the provider says succeeded"
    assert any(message.startswith("alert: notification") for message in caplog.messages)


def test_a_psp_that_cannot_be_asked_is_asked_again(shop: Shop, hooks: Hooks) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [notice] = hooks.caught("payment.authorized")
    shop.psp.set_behavior(down=1)
    hooks.take(notice)
    assert only_notification().status == "failing"
    assert shop.intent(intent_id).status == "PROCESSING"
    shop.psp.heal()
    make_due()
    notifications.process_due_notifications()
    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"


def test_an_unknown_type_is_processed_without_asking(shop: Shop, hooks: Hooks) -> None:
    before = len(shop.psp.calls())
    hooks.take(hooks.notice(type="payment.teleported"))
    row = only_notification()
    assert (row.status, row.known) == ("processed", False)
    assert len(shop.psp.calls()) == before


def test_another_body_for_a_known_event_has_the_psp_asked_again(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    intent_id = body_of(shop.create(10_000, token="pm_sepaDebit_success"))["id"]
    [pending] = hooks.caught("payment.pending")
    hooks.take(pending)
    assert shop.intent(intent_id).status == "PROCESSING"
    hooks.caught("payment.settled")
    hooks.take(pending.body.replace(b"10000", b"99999"))
    assert (only_notification().conflicting_body, only_notification().status) == (True, "processed")
    assert shop.intent(intent_id).status == "CAPTURED"
    assert shop.intent(intent_id).amount_captured_minor == 10_000


STORING = {
    "before the commit": (notifications, "_insert_once", "after"),
    "after the commit": (notifications.doorbell._bell, "ring", "before"),
}
PROCESSING = {
    "after the lease": (notifications, "_verdict_on", "before"),
    "after asking": (looks, "record_outcome", "before"),
    "after recording": (looks, "record_outcome", "after"),
    "before concluding": (notifications, "_conclude", "before"),
    "after concluding": (notifications, "_conclude", "after"),
}


@pytest.mark.parametrize("step", [*STORING, *PROCESSING])
def test_a_crash_at_any_step_loses_nothing(shop: Shop, hooks: Hooks, step: str) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [notice] = hooks.caught("payment.authorized")

    if step in STORING:
        crash_at(STORING[step], lambda: hooks.deliver(notice))
        stored = PspNotification.objects.count()
        assert stored == (0 if step == "before the commit" else 1)
        assert hooks.deliver(notice).status_code == 200, "no 2xx: the PSP sends it again"
    else:
        hooks.deliver(notice)
        crash_at(PROCESSING[step], notifications.process_due_notifications)
        if step != "after concluding":
            assert only_notification().status == "stored"
            assert notifications.process_due_notifications() == 0, "the lease of the dead one lives"
            make_due()
    notifications.process_due_notifications()

    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"
    assert Event.objects.filter(type="charge.succeeded").count() == 1
    assert list(differences()) == []


def test_a_worker_whose_lease_has_passed_does_not_conclude(shop: Shop, hooks: Hooks) -> None:
    hooks.deliver(hooks.notice(type="payment.teleported"))
    [slow] = notifications._lease(10)
    assert notifications._lease(10) == []
    make_due()
    [quick] = notifications._lease(10)
    failed, done = states.NotificationStatus.FAILING, states.NotificationStatus.PROCESSED
    notifications._conclude([notifications._Try(slow, failed, "too slow")])
    assert (only_notification().status, only_notification().last_error) == ("stored", "")
    notifications._conclude([notifications._Try(quick, done, "")])
    assert only_notification().status == "processed"
    notifications._conclude([notifications._Try(quick, failed, "twice")])
    assert only_notification().status == "processed"


def test_what_we_know_already_is_not_asked_again(shop: Shop, hooks: Hooks) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.cancel(intent_id)
    asked = len(shop.psp.calls(kind="look_up"))
    hooks.take(*hooks.caught("payment.authorized", "payment.voided"))
    assert len(shop.psp.calls(kind="look_up")) == asked

    shop.order_id += "-2"
    shop.create(10_000, token="pm_card_refundFail")
    [refund_failed] = _refund_that_fails(shop, hooks)
    hooks.take(refund_failed)
    assert len(shop.psp.calls(kind="look_up")) == asked + 1, "news is asked for"


def _refund_that_fails(shop: Shop, hooks: Hooks) -> list[Delivery]:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    shop.refund(str(PaymentIntent.objects.get(order_id=shop.order_id).public_id), 100)
    return hooks.caught("refund.failed")


def test_one_that_fails_badly_does_not_hold_up_the_others(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = notifications._operations_of

    def break_for_one(row: PspNotification) -> list[Operation]:
        if row.event_id == "sev_bad":
            raise RuntimeError("something is broken")
        return original(row)

    monkeypatch.setattr(notifications, "_operations_of", break_for_one)
    shop.create(10_000, manual=True)
    [good] = hooks.caught("payment.authorized")
    hooks.deliver(hooks.notice(id="sev_bad"))
    hooks.deliver(good)
    assert notifications.process_due_notifications() == 2
    by_event = dict(PspNotification.objects.values_list("event_id", "status"))
    assert by_event == {"sev_bad": "failing", good.words["id"]: "processed"}


def test_a_sweep_is_bounded(hooks: Hooks) -> None:
    for _ in range(5):
        hooks.deliver(hooks.notice(type="payment.teleported"))
    assert notifications.process_due_notifications(limit=3) == 3
    assert notifications.process_due_notifications() == 2
