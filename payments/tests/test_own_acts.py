"""Acts in the PSP's own dashboard: written down once, booked like our own, never refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from ledger.money import Money
from payments.models import Case, Operation, PaymentIntent
from payments.services import notifications, payment_looks, psp, unasked
from payments.services.caller import Answer
from payments.services.looks import Contradicted, NotYetKnown
from payments.services.outcomes import record_outcome
from payments.services.own_acts import own_act_key
from payments.services.payment_looks import look_at_payment
from payments.services.unasked import StillUnderWay, record_unasked
from payments.services.verification import differences
from payments.tests.crashes import Where, crash_at
from payments.tests.notices import Hooks, books_of, make_due, only_notification, story_of
from payments.tests.passing_time import EXPIRES_AT_ONCE, events_of, hold, last_event
from payments.tests.shop import Shop, body_of, uuid_of
from payments.tests.test_races import at_once
from psp_adapters.contract import ActKind, Outcome, PspAct, PspPayment, PspResult


def sold(shop: Shop, **values: Any) -> str:
    identifier: str = body_of(shop.create(10_000, **values))["id"]
    return identifier


def held(shop: Shop) -> str:
    return hold(shop, token="pm_card_visa")


def act(shop: Shop, verb: str, amount_minor: int | None = None, **words: Any) -> dict[str, Any]:
    if amount_minor is not None:
        words["amount_minor"] = amount_minor
    return shop.psp.act(verb, order_id=shop.order_id, **words)


def look(shop: Shop, intent_id: str) -> None:
    [charge] = [o for o in shop.operations(intent_id) if o.is_charge]
    look_at_payment(charge.id, actor="test")


def seen(shop: Shop, intent_id: str) -> PspPayment:
    adapter = psp.adapter_of(shop.account)
    payment = adapter.look_up_payment(shop.intent(intent_id).psp_reference, deadline_seconds=5)
    assert payment is not None
    return payment


def own_acts(intent_id: str) -> list[Operation]:
    rows = Operation.objects.filter(intent_id=uuid_of(intent_id), actor="psp:dashboard")
    return list(rows.order_by("id"))


def amounts(intent: PaymentIntent) -> tuple[int, int, int, int, int]:
    return (
        intent.amount_authorized_minor,
        intent.amount_captured_minor,
        intent.amount_refunded_minor,
        intent.amount_refund_pending_minor,
        intent.amount_excess_minor,
    )


def assert_sound(shop: Shop, intent_id: str) -> None:
    """Our books say what the PSP did, and agree with themselves."""
    sums: Counter[str] = Counter()
    for effect in shop.effects():
        sums[effect["kind"]] += effect["amount_minor"]
    intent = shop.intent(intent_id)
    assert intent.amount_captured_minor == sums["capture"]
    assert intent.amount_refunded_minor == sums["refund"] - sums["refund_failed"]
    assert list(differences()) == []


# --- each kind -------------------------------------------------------------------------------


def test_a_refund_in_the_dashboard_is_noticed_and_booked(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop)
    made = act(shop, "refund", 4_000)
    [notice] = hooks.caught("payment.refunded")
    hooks.take(notice, notice)

    assert only_notification().status == "processed"
    [own] = own_acts(intent_id)
    assert (own.kind, own.status, own.psp_id) == ("refund", "SUCCEEDED", made["id"])
    assert own.psp_key == f"psp:{made['id']}"
    assert own.closed_at is not None
    [refund] = shop.refunds(intent_id)
    assert (refund.status, refund.amount_minor) == ("succeeded", 4_000)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == (
        "PARTIALLY_REFUNDED",
        (10_000, 10_000, 4_000, 0, 0),
    )
    assert events_of(intent_id)[-2:] == ["refund.created", "charge.refunded"]
    assert last_event(intent_id, "charge.refunded")["amount_refunded"] == 4_000
    assert last_event(intent_id, "refund.created")["status"] == "succeeded"
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)
    assert body_of(shop.refund(intent_id))["amount"] == 6_000, "the rest can be refunded by us"


def test_a_refund_of_everything_frees_the_order(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund")
    look(shop, intent_id)
    assert shop.intent(intent_id).status == "REFUNDED"
    assert_sound(shop, intent_id)
    assert body_of(shop.create())["status"] == "succeeded"


def test_a_void_in_the_dashboard_cancels_the_payment(shop: Shop, hooks: Hooks) -> None:
    intent_id = held(shop)
    act(shop, "void")
    [notice] = hooks.caught("payment.voided")
    hooks.take(notice)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CANCELED", "")
    assert events_of(intent_id)[-2:] == ["charge.updated", "payment_intent.canceled"]
    [own] = own_acts(intent_id)
    assert (own.kind, own.amount_minor) == ("void", 10_000)
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)
    assert body_of(shop.create())["status"] == "succeeded", "the order is free"


@pytest.mark.parametrize(
    ("amount_minor", "final", "status", "last"),
    [
        (10_000, True, "CAPTURED", "payment_intent.succeeded"),
        (4_000, True, "CAPTURED", "payment_intent.succeeded"),
        (4_000, False, "AUTHORIZED", "payment_intent.amount_capturable_updated"),
    ],
)
def test_a_capture_in_the_dashboard_is_booked(
    shop: Shop, hooks: Hooks, amount_minor: int, final: bool, status: str, last: str
) -> None:
    intent_id = held(shop)
    act(shop, "capture", amount_minor, final=final)
    [notice] = hooks.caught("payment.captured")
    hooks.take(notice)
    intent = shop.intent(intent_id)
    assert (intent.status, intent.amount_captured_minor) == (status, amount_minor)
    assert events_of(intent_id)[-2:] == ["charge.captured", last]
    [charge, _] = shop.operations(intent_id)
    assert charge.balance_transaction_id is not None
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_an_increment_in_the_dashboard_raises_what_can_be_captured(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "increment", 2_000)
    look(shop, intent_id)
    assert shop.intent(intent_id).amount_minor == 12_000
    assert body_of(shop.capture(intent_id))["amount_received"] == 12_000
    assert_sound(shop, intent_id)


def test_a_void_of_the_rest_leaves_what_was_captured(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id, 3_000, final=False)
    act(shop, "void")
    look(shop, intent_id)
    assert shop.intent(intent_id).status == "CAPTURED"
    assert events_of(intent_id)[-2:] == ["charge.updated", "payment_intent.succeeded"]
    assert_sound(shop, intent_id)


def test_a_challenge_given_up_in_the_dashboard_fails_the_payment(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop, token="pm_card_authenticationRequired")
    act(shop, "void")
    hooks.take(*hooks.caught("payment.canceled", "payment.voided"))
    assert shop.intent(intent_id).status == "FAILED"
    assert own_acts(intent_id) == [], "nothing was held, and nothing let go"
    assert list(differences()) == []


def test_a_refund_that_is_pending_is_reserved_and_then_done(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 4_000)
    hooks.take(*hooks.caught("refund.pending"))
    [own] = own_acts(intent_id)
    assert (own.status, own.closed_at) == ("PENDING", None)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 4_000, 0)
    assert list(differences()) == []

    shop.psp.advance(3)
    hooks.take(*hooks.caught("refund.settled"))
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 4_000, 0, 0)
    assert [r.status for r in shop.refunds(intent_id)] == ["succeeded"]
    assert_sound(shop, intent_id)


def test_recovery_finds_a_pending_refund_of_the_dashboard_by_its_id(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 4_000)
    look(shop, intent_id)
    shop.psp.advance(3)
    shop.settle()
    assert [o.status for o in own_acts(intent_id)] == ["SUCCEEDED"]
    assert_sound(shop, intent_id)


# --- more than there is ----------------------------------------------------------------------


def test_a_refund_beyond_what_is_left_is_excess_with_a_case(shop: Shop) -> None:
    intent_id = sold(shop)
    shop.refund(intent_id, 7_000)
    act(shop, "refund", 5_000, force=True)
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("REFUNDED", (10_000, 10_000, 12_000, 0, 2_000))
    [own] = own_acts(intent_id)
    assert own.amount_minor == 5_000
    case = Case.objects.get()
    assert (case.kind, case.amount_minor, case.operation_id) == ("own_act", 2_000, own.id)
    assert_sound(shop, intent_id)


def test_a_capture_beyond_what_is_held_is_excess_with_a_case(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 11_500, force=True)
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (11_500, 11_500, 0, 0, 1_500))
    assert Case.objects.get().amount_minor == 1_500
    assert_sound(shop, intent_id)


@pytest.mark.parametrize("end", ["void", "expiry"])
def test_a_capture_of_a_canceled_payment_is_booked_and_looked_at(shop: Shop, end: str) -> None:
    intent_id = hold(shop, token=EXPIRES_AT_ONCE if end == "expiry" else "pm_card_visa")
    if end == "void":
        shop.cancel(intent_id)
    else:
        shop.psp.advance(3)
        look(shop, intent_id)
    assert shop.intent(intent_id).status == "CANCELED"
    act(shop, "capture", 10_000, force=True)
    look(shop, intent_id)
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (10_000, 10_000, 0, 0, 0))
    assert last_event(intent_id, "charge.captured")["amount_captured"] == 10_000
    assert "payment_intent.succeeded" not in events_of(intent_id), "canceled was published"
    assert "canceled" in Case.objects.get().summary
    assert_sound(shop, intent_id)


def test_a_pending_refund_beyond_what_is_left_is_excess_from_the_start(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    act(shop, "refund", 12_000, force=True)
    look(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 12_000, 2_000)
    assert list(differences()) == []
    shop.psp.advance(3)
    look(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 12_000, 0, 2_000)
    assert shop.intent(intent_id).status == "REFUNDED"
    assert Case.objects.get().amount_minor == 2_000
    assert_sound(shop, intent_id)


def test_what_was_excess_is_none_any_more_once_our_own_refund_has_failed(shop: Shop) -> None:
    intent_id = sold(shop, token="pm_card_pendingRefund")
    assert body_of(shop.refund(intent_id, 6_000))["status"] == "pending"
    act(shop, "refund", 7_000, force=True)
    look(shop, intent_id)
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 13_000, 3_000)
    [_, ours, _] = shop.operations(intent_id)
    record_outcome(operation=ours, result=PspResult(outcome=Outcome.DECLINED), caller=shop.caller())
    assert amounts(shop.intent(intent_id)) == (10_000, 10_000, 0, 7_000, 0)
    assert list(differences()) == []


def test_an_act_under_a_reference_of_ours_that_we_do_not_know_is_looked_at(shop: Shop) -> None:
    intent_id = sold(shop)
    lost = psp.reference_of(uuid_of(sold(shop, order_id="another")))
    act(shop, "refund", 1_000, reference=lost)
    look(shop, intent_id)
    assert shop.intent(intent_id).amount_refunded_minor == 1_000
    assert lost in Case.objects.get().summary
    assert_sound(shop, intent_id)


def test_a_reference_of_the_dashboards_own_is_nobodys(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 1_000, reference="ticket 17")
    hooks.take(*hooks.caught("payment.refunded"))
    assert shop.intent(intent_id).amount_refunded_minor == 1_000
    assert not Case.objects.exists()


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"amount": Money(1_000, "EUR"), "kind": ActKind.REFUND}, "another money"),
        ({"amount": Money(1_000, "USD"), "kind": ActKind.VOID}, "holds on to"),
    ],
)
def test_what_cannot_be_booked_is_written_nowhere_but_in_a_case(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any], said: str
) -> None:
    intent_id = held(shop)
    view = seen(shop, intent_id)
    made = PspAct(
        psp_id="sop_odd", reference="", outcome=Outcome.SUCCEEDED, at=view.acts[0].at, **odd
    )
    monkeypatch.setattr(
        payment_looks, "_ask", lambda charge: replace(view, acts=(*view.acts, made))
    )
    before = story_of(shop, intent_id)
    for _ in range(2):
        with pytest.raises(Contradicted, match=said):
            look(shop, intent_id)
    assert story_of(shop, intent_id) == before
    assert Case.objects.get().kind == "contradiction"
    assert list(differences()) == []


# --- beside our own operations, in any order -------------------------------------------------


def test_an_act_waits_for_our_own_operation_that_is_in_doubt(shop: Shop, hooks: Hooks) -> None:
    intent_id = sold(shop)
    shop.psp.script({"drop_before": True}, kind="refund")
    assert body_of(shop.refund(intent_id, 8_000))["status"] == "pending"
    act(shop, "refund", 5_000)
    [notice] = hooks.caught("payment.refunded")
    hooks.take(notice)
    assert only_notification().status == "failing"
    assert own_acts(intent_id) == []

    for _ in range(4):
        shop.settle()
    make_due()
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert amounts(intent) == (10_000, 10_000, 5_000, 0, 0)
    assert_sound(shop, intent_id)


def test_an_act_is_told_of_before_we_know_the_payment(shop: Shop, hooks: Hooks) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(manual=True))["id"]
    act(shop, "void")
    [notice] = hooks.caught("payment.voided")
    hooks.take(notice)
    assert only_notification().status == "failing"
    shop.settle()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    look(shop, intent_id)
    assert shop.intent(intent_id).status == "CANCELED"
    assert_sound(shop, intent_id)


def test_our_own_final_capture_after_one_in_the_dashboard_releases_nothing(shop: Shop) -> None:
    intent_id = held(shop)
    act(shop, "capture", 6_000, final=False)
    shop.capture(intent_id, 4_000)
    assert shop.intent(intent_id).amount_captured_minor == 4_000
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == ("CAPTURED", (10_000, 10_000, 0, 0, 0))
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


def test_every_order_of_notices_ends_the_same(shop: Shop, hooks: Hooks) -> None:
    """Two refunds in the dashboard, one of ours whose answer was lost, and all their notices."""
    stories, orders = [], list(permutations(range(3)))
    for number, order in enumerate(orders):
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


def refunds_among(deliveries: Any) -> list[Any]:
    return [each for each in deliveries if each.type == "payment.refunded"]


def process() -> None:
    for _ in range(3):
        make_due()
        notifications.process_due_notifications()


@pytest.mark.parametrize(
    "story",
    [
        (("capture", 4_000, False), ("void", None, True)),
        (("capture", 4_000, True), ("refund", 1_000, True), ("refund", 3_000, True)),
        (("increment", 2_000, True), ("capture", 12_000, True), ("refund", 12_000, True)),
    ],
)
def test_seen_one_by_one_or_all_together_ends_the_same(
    shop: Shop, story: tuple[tuple[str, int | None, bool], ...]
) -> None:
    stories = []
    for at_each in (True, False):
        shop.order_id = f"{shop.order_id}-{at_each}"
        intent_id = held(shop)
        for verb, amount_minor, final in story:
            words: dict[str, Any] = {"final": final} if verb == "capture" else {}
            act(shop, verb, amount_minor, **words)
            if at_each:
                look(shop, intent_id)
        look(shop, intent_id)
        look(shop, intent_id)
        assert_sound(shop, intent_id)
        stories.append(story_of(shop, intent_id))
    assert stories[0] == stories[1]


def test_an_expiry_and_acts_before_it_are_recorded_as_they_happened(shop: Shop) -> None:
    intent_id = hold(shop)
    act(shop, "capture", 4_000, final=False)
    act(shop, "refund", 1_000)
    shop.psp.advance(3)
    look(shop, intent_id)
    intent = shop.intent(intent_id)
    assert (intent.status, amounts(intent)) == (
        "PARTIALLY_REFUNDED",
        (10_000, 4_000, 1_000, 0, 0),
    )
    assert not Case.objects.exists()
    assert_sound(shop, intent_id)


# --- many at once, and killed ----------------------------------------------------------------


def test_eight_workers_write_an_act_once(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)

    def run(_: int) -> Answer:
        look(shop, intent_id)
        return Answer(status=200, body="{}")

    at_once(8, run)
    assert len(own_acts(intent_id)) == 1
    assert shop.intent(intent_id).amount_refunded_minor == 4_000
    assert_sound(shop, intent_id)


def test_our_refunds_and_one_of_the_dashboard_at_once_agree_with_the_psp(shop: Shop) -> None:
    intent_id = sold(shop)

    def run(position: int) -> Answer:
        if position == 0:
            act(shop, "refund", 4_000)
        if position % 2:
            return shop.refund(intent_id, 3_000)
        try:
            look(shop, intent_id)
        except NotYetKnown:
            return Answer(status=200, body="{}")
        return Answer(status=200, body="{}")

    at_once(8, run)
    shop.settle()
    look(shop, intent_id)
    assert len(own_acts(intent_id)) == 1
    assert_sound(shop, intent_id)


CRASHES: dict[str, Where] = {
    "before it is written down": (unasked, "write_down", "before"),
    "written down, not recorded": (unasked, "write_down", "after"),
    "recorded, not committed": (unasked, "write_change", "after"),
    "after the commit": (payment_looks, "record_unasked", "after"),
}


@pytest.mark.parametrize("step", CRASHES)
def test_killed_anywhere_it_is_written_once(shop: Shop, step: str) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)
    crash_at(CRASHES[step], lambda: look(shop, intent_id))
    look(shop, intent_id)
    assert len(own_acts(intent_id)) == 1
    assert_sound(shop, intent_id)


# --- never sent ------------------------------------------------------------------------------


def test_an_act_of_the_dashboard_is_never_sent(shop: Shop) -> None:
    intent_id = sold(shop)
    act(shop, "refund", 4_000)
    look(shop, intent_id)
    [own] = own_acts(intent_id)
    before = len(shop.psp.calls(kind="refund"))
    with pytest.raises(ValueError, match="never sent"):
        psp.send(own)
    assert len(shop.psp.calls(kind="refund")) == before


def test_postgresql_lets_no_act_of_the_dashboard_pass_for_one_to_send(shop: Shop) -> None:
    intent_id = sold(shop)
    [charge] = shop.operations(intent_id)
    charge.id, charge.psp_key, charge.psp_id = uuid_of(intent_id), own_act_key("x"), "x"
    charge.kind, charge.guard_order = "refund", None
    charge.__dict__["status"] = "SENDING"
    with pytest.raises(IntegrityError, match="own_act_is_never_sent"), transaction.atomic():
        charge.save(force_insert=True)
    assert len(shop.operations(intent_id)) == 1


def test_a_long_id_still_has_a_key_of_its_own() -> None:
    keys = {own_act_key("x" * 127 + str(number)) for number in range(3)}
    assert len(keys) == 3
    assert all(len(key) == 64 and key.startswith("psp:") for key in keys)


def test_what_is_not_done_yet_is_not_written(shop: Shop) -> None:
    intent_id = held(shop)
    view = seen(shop, intent_id)
    [charge] = shop.operations(intent_id)
    template = PspAct(
        kind=ActKind.CAPTURE,
        psp_id="sop_x",
        reference="",
        amount=Money(100, "USD"),
        outcome=Outcome.PENDING,
        at=view.acts[0].at,
    )
    for outcome in (Outcome.PENDING, Outcome.DECLINED, Outcome.REQUIRES_ACTION):
        waiting = replace(view, acts=(*view.acts, replace(template, outcome=outcome)))
        assert record_unasked(charge.id, waiting) == 0
    nothing = replace(template, kind=ActKind.VOID, amount=Money(0, "USD"))
    done = replace(nothing, outcome=Outcome.SUCCEEDED)
    assert record_unasked(charge.id, replace(view, acts=(*view.acts, done))) == 0
    assert len(shop.operations(intent_id)) == 1


def test_a_charge_that_is_open_by_our_books_comes_first(shop: Shop) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id, kind="authorize")
    intent_id = body_of(shop.create(manual=True))["id"]
    act(shop, "void")
    [charge] = shop.operations(intent_id)
    [effect] = shop.effects("void")
    adapter = psp.adapter_of(shop.account)
    found = adapter.look_up(psp.question_of(charge), deadline_seconds=5)
    assert found is not None
    view = adapter.look_up_payment(found.psp_payment_id, deadline_seconds=5)
    assert view is not None
    with pytest.raises(StillUnderWay):
        record_unasked(charge.id, view)
    assert own_acts(intent_id) == []
    assert books_of(intent_id) == []
    assert effect["amount_minor"] == 10_000
