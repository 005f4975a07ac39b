"""Late outcomes in any order, doubled, with or without a sync between: one end state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from itertools import chain, combinations
from typing import Any

import pytest

from payments.clock import now_utc
from payments.models import Case, Operation, PspNotification
from payments.services.outcomes.late_and_external.adopt import Overtaken, adopt_payment, version_of
from payments.services.psp_notifications import processing
from payments.services.recovery import payment_sync
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.crashes import crash_at
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    confirm_late_outcomes,
    counters,
    events,
    falsely_closed,
    reference,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import Hooks, make_due, story_of
from payments.tests.support.shop import Shop, body_of
from paymentsite.tests.fixtures.matrix import examples, orders, spread
from psp_adapters.contract.operations import Outcome
from psp_adapters.tests.support.receiver import Delivery

Life = Callable[[Shop], str]


def capture_fails(shop: Shop) -> str:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 6_000)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    return intent_id


def capture_fails_and_is_reinstated(shop: Shop) -> str:
    intent_id = capture_fails(shop)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "succeed")
    return intent_id


def sale_is_refunded_and_reversed(shop: Shop) -> str:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id, 2_000)
    shop.psp.revise(reference(shop.operations(intent_id)[0]), "fail")
    return intent_id


def refund_fails(shop: Shop) -> str:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id, 10_000)
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    return intent_id


def capture_and_its_refund_fail(shop: Shop) -> str:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 8_000)
    shop.refund(intent_id, 3_000)
    _, capture, refund = shop.operations(intent_id)
    shop.psp.revise(reference(refund), "fail")
    shop.psp.revise(reference(capture), "fail", keep_hold=False)
    return intent_id


def charge_succeeds_late(shop: Shop) -> str:
    return falsely_closed(shop, Outcome.DECLINED)[0]


def charge_succeeds_late_beside_another(shop: Shop) -> str:
    intent_id, _ = falsely_closed(shop, Outcome.NOT_SENT)
    shop.confirm(intent_id, token="pm_card_visa")
    return intent_id


def replaced_challenge_succeeds_late(shop: Shop) -> str:
    intent_id = str(body_of(shop.create(10_000, token="pm_card_authenticationRequired"))["id"])
    shop.confirm(intent_id, token="pm_card_visa")
    shop.psp.revise(reference(shop.operations(intent_id)[0]), "succeed")
    return intent_id


LIVES: list[tuple[Life, tuple[str, ...], str]] = [
    (capture_fails, ("payment.captured", "capture.failed"), "AUTHORIZED"),
    (
        capture_fails_and_is_reinstated,
        ("payment.authorized", "payment.captured", "capture.failed", "capture.reinstated"),
        "CAPTURED",
    ),
    (
        sale_is_refunded_and_reversed,
        ("payment.captured", "payment.refunded", "payment.failed"),
        "FAILED",
    ),
    (refund_fails, ("payment.captured", "payment.refunded", "refund.failed"), "CAPTURED"),
    (
        capture_and_its_refund_fail,
        ("payment.captured", "payment.refunded", "capture.failed", "refund.failed"),
        "FAILED",
    ),
    (charge_succeeds_late, ("payment.authorized", "payment.captured"), "CAPTURED"),
    (
        charge_succeeds_late_beside_another,
        ("payment.authorized", "payment.captured"),
        "CAPTURED",
    ),
    (
        replaced_challenge_succeeds_late,
        ("payment.succeeded_late", "payment.captured"),
        "CAPTURED",
    ),
]


def whole_story(shop: Shop, intent_id: str) -> dict[str, Any]:
    """Statuses, counters, events, cases, and the hash of the books."""
    story = story_of(shop, intent_id)
    books = json.dumps(story.pop("books")).encode()
    about = Case.objects.filter(intent_id=shop.intent(intent_id).id)
    return {
        **story,
        "counters": counters(shop, intent_id),
        "ledger": hashlib.sha256(books).hexdigest(),
        "cases": sorted(about.values_list("kind", flat=True)),
    }


def notices_of(hooks: Hooks, types: tuple[str, ...]) -> list[Delivery]:
    hooks.receiver.wait_until(lambda all_: set(types) <= {each.type for each in all_})
    first: dict[str, Delivery] = {}
    for each in hooks.receiver.deliveries:
        first.setdefault(each.type, each)
    return [first[type_] for type_ in types]


@pytest.mark.matrix(most=5)
@pytest.mark.parametrize(
    ("life", "types", "status"), LIVES, ids=lambda v: getattr(v, "__name__", "")
)
def test_notifications_of_late_outcomes_in_any_order_end_in_the_same_state(
    shop: Shop, hooks: Hooks, life: Life, types: tuple[str, ...], status: str
) -> None:
    stories = []
    for number, order in enumerate(orders(range(len(types)))):
        shop.order_id = f"order-{number}-{shop.merchant.id}"
        hooks.receiver.deliveries.clear()
        intent_id = life(shop)
        notices = notices_of(hooks, types)
        for position in order:
            copies = 1 + (number + position) % 2
            hooks.take(*[notices[position]] * copies)
        confirm_late_outcomes()
        stories.append(whole_story(shop, intent_id))
    assert stories[0]["status"] == status
    assert all(story == stories[0] for story in stories)
    assert_the_books_agree()
    sweep_reversals()
    sweep_reversals()
    assert_the_books_agree()


def subsets(steps: int) -> list[tuple[int, ...]]:
    return list(chain.from_iterable(combinations(range(steps), size) for size in range(steps)))


@pytest.mark.matrix(most=2)
@pytest.mark.parametrize(
    ("kind", "keep_hold"),
    [("sale", True), ("capture", True), ("capture", False), ("refund", True)],
)
def test_a_sync_after_any_of_the_revisions_ends_with_the_same_books(
    shop: Shop, kind: str, keep_hold: bool
) -> None:
    """The PSP reverses, reinstates, reverses, reinstates; we sync after some of these."""
    revisions = ("fail", "succeed", "fail", "succeed")
    ends = []
    for number, moments in enumerate(spread(subsets(len(revisions)), examples(6, whole=15))):
        shop.order_id = f"order-{kind}-{number}-{shop.merchant.id}"
        intent_id = body_of(shop.create(10_000, manual=kind == "capture"))["id"]
        if kind == "capture":
            shop.capture(intent_id, 7_000)
        if kind == "refund":
            shop.refund(intent_id, 10_000)
        operation = shop.operations(intent_id)[-1]
        for moment, to in enumerate(revisions):
            shop.psp.revise(reference(operation), to, keep_hold=keep_hold)
            if moment in moments:
                sync_as_notified(operation)
        sync_as_notified(operation)
        ends.append((shop.intent(intent_id).status, counters(shop, intent_id), balances(intent_id)))
    assert all(end == ends[0] for end in ends)
    confirm_late_outcomes()
    assert_the_books_agree()


def look_up_under_a_lease(operation: Operation) -> Callable[[], int]:
    """A worker holds the lease and has a snapshot; call the result to have it adopted."""
    charge = Operation.objects.get(pk=operation.charge_id or operation.id)
    lease = payment_sync.lease_payment(charge.id)
    assert lease is not None
    version, seen = version_of(charge.intent_id), payment_sync.look_up_payment(charge)

    def adopt() -> int:
        adopted = adopt_payment(charge.id, seen, lease=lease, version=version, actor="test")
        return adopted.changed

    return adopt


def test_a_stale_result_is_corrected_by_the_look_up_that_follows(shop: Shop) -> None:
    intent_id = capture_fails(shop)
    capture = shop.operations(intent_id)[-1]
    adopt_the_failure = look_up_under_a_lease(capture)
    shop.psp.revise(reference(capture), "succeed")
    with pytest.raises(payment_sync.Inconclusive, match="a worker is looking it up"):
        sync_as_notified(capture)

    assert adopt_the_failure() == 1
    assert shop.intent(intent_id).status == "AUTHORIZED"
    Operation.objects.filter(pk=capture.charge_id).update(next_check_at=now_utc())
    assert recovery_sweep.resolve_due_operations() == 1
    assert shop.intent(intent_id).status == "CAPTURED"
    confirm_late_outcomes()
    assert_the_books_agree()


def test_a_result_is_not_recorded_after_its_lease_has_ended(shop: Shop) -> None:
    intent_id = capture_fails(shop)
    capture = shop.operations(intent_id)[-1]
    adopt_the_failure = look_up_under_a_lease(capture)
    Operation.objects.filter(pk=capture.charge_id).update(lease_until=now_utc())
    before = story_of(shop, intent_id)
    with pytest.raises(Overtaken):
        adopt_the_failure()
    assert story_of(shop, intent_id) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_around_a_late_outcome_records_it_once(shop: Shop, hooks: Hooks, when: str) -> None:
    intent_id = capture_fails(shop)
    [notice] = hooks.caught("capture.failed")
    hooks.deliver(notice)
    crash_at((payment_sync, "adopt_payment", when), processing.process_due_notifications)
    Operation.objects.update(lease_until=now_utc())
    make_due()
    assert processing.process_due_notifications() == 1
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert events(intent_id).count("charge.updated") == 1
    confirm_late_outcomes()
    assert_the_books_agree()
