"""Notifications in any order, doubled, before the answer, or around a crash: one effect."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from django.db import connections

from ledger.models import LedgerEntry
from payments import states
from payments.models import Event, Operation, PspNotification
from payments.services.jobs import wakeups
from payments.services.psp_gateway import references
from payments.services.psp_notifications import processing, receiving
from payments.services.recovery import payment_sync
from payments.services.verification.rebuild import differences
from payments.tests.support.crashes import crash_at
from payments.tests.support.notices import (
    Hooks,
    books_of,
    lose_the_answer,
    make_due,
    only_notification,
    story_of,
)
from payments.tests.support.shop import Shop, body_of
from paymentsite.tests.fixtures.matrix import orders
from psp_adapters.tests.support.receiver import Delivery


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
    by_operation = {d.notice["data"]["operation"]["id"]: d for d in hooks.receiver.deliveries}
    assert len(by_operation) == 4
    return intent_id, list(by_operation.values())


def test_notifications_in_any_order_end_in_the_same_state(
    shop: Shop, hooks: Hooks, settings: Any
) -> None:
    """Each processed before the next, all of them together, or each looked at alone."""
    settings.PSP_BREAKERS = False  # two of three answers are lost, although the PSP works
    stories = []
    for number, order in enumerate(orders(range(4))):
        shop.order_id = f"order-{''.join(map(str, order))}-{shop.merchant.id}"
        intent_id, notices = a_life(shop, hooks)
        in_order = [notices[position] for position in order]
        if number % 3 == 0:
            hooks.take(*in_order)
        else:
            for notice in in_order:
                hooks.deliver(notice)
            if number % 3 == 2:
                PspNotification.objects.filter(status="stored").update(attempts=1)
            assert processing.process_due_notifications() == len(in_order)
        stories.append(story_of(shop, intent_id))
    assert len(stories) >= 5
    assert stories[0]["status"] == "PARTIALLY_REFUNDED"
    assert stories[0]["amounts"] == (10_000, 9_000, 1_000, 0)
    assert all(story == stories[0] for story in stories)
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert list(differences()) == []


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_doubled_notifications_in_any_order_change_nothing(
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


def test_a_hundred_copies_of_a_notification_and_four_workers_have_one_effect(
    shop: Shop, hooks: Hooks, run_together: Callable[..., list[Any]]
) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    notices = hooks.caught("payment.authorized", "payment.captured")

    def deliver() -> None:
        for notice in notices * 10:
            assert hooks.deliver(notice).status_code == 200

    def work() -> None:
        for _ in range(10):
            processing.process_due_notifications()

    results = run_together(*[deliver] * 10, *[work] * 4)

    assert [r for r in results if isinstance(r, BaseException)] == []
    processing.process_due_notifications()
    assert PspNotification.objects.count() == 2
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert shop.intent(intent_id).status == "CAPTURED"
    assert len(books_of(intent_id)) == len(set(books_of(intent_id)))
    assert Event.objects.filter(type="payment_intent.succeeded").count() == 1
    assert list(differences()) == []


def test_a_notification_that_overtakes_the_answer_gives_one_posting(
    shop: Shop, hooks: Hooks
) -> None:
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


def test_a_sync_never_fences_or_repeats_an_operation_that_is_being_sent(
    shop: Shop, hooks: Hooks
) -> None:
    """A signed notification arrives while the PSP has the request but has not executed it."""
    shop.psp.script({"hold_before": True}, order_id=shop.order_id, kind="authorize")
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
        reference = references.reference_of(operation.id)
        hooks.take(hooks.notice(data={"references": [reference], "payment_id": "spay_x"}))
        assert only_notification().status == "failing"
        operation.refresh_from_db()
        assert operation.status == "SENDING"
    finally:
        shop.psp.release()
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
    raise AssertionError("no operation was written")


STORING = {
    "before the commit": (receiving, "_insert_new", "before"),
    "after the commit": (wakeups.process_wakeups, "send", "before"),
}
PROCESSING = {
    "after the lease": (processing, "_attempt", "before"),
    "after the look-up": (payment_sync, "record_outcome", "before"),
    "after recording": (payment_sync, "record_outcome", "after"),
    "before the attempt is recorded": (processing, "record_attempts", "before"),
    "after the attempt is recorded": (processing, "record_attempts", "after"),
}


@pytest.mark.parametrize("step", [*STORING, *PROCESSING])
def test_a_crash_at_any_step_loses_no_notification(shop: Shop, hooks: Hooks, step: str) -> None:
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
        crash_at(PROCESSING[step], processing.process_due_notifications)
        if step != "after the attempt is recorded":
            assert only_notification().status == "stored"
            assert processing.process_due_notifications() == 0, (
                "the killed worker's lease has not ended"
            )
            make_due()
    processing.process_due_notifications()

    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"
    assert Event.objects.filter(type="charge.succeeded").count() == 1
    assert list(differences()) == []


def test_a_worker_whose_lease_has_ended_records_no_attempt(shop: Shop, hooks: Hooks) -> None:
    hooks.deliver(hooks.notice(type="payment.teleported"))
    [slow] = processing.QUEUE.take(most=10)
    assert processing.QUEUE.take(most=10) == []
    make_due()
    [quick] = processing.QUEUE.take(most=10)
    failed, done = states.NotificationStatus.FAILING, states.NotificationStatus.PROCESSED
    processing.record_attempts([processing.Attempt(slow, failed, "too slow")])
    assert (only_notification().status, only_notification().last_error) == ("stored", "")
    processing.record_attempts([processing.Attempt(quick, done)])
    assert only_notification().status == "processed"
    processing.record_attempts([processing.Attempt(quick, failed, "twice")])
    assert only_notification().status == "processed"
