"""A notification only causes a look-up; the PSP's answer to that is recorded."""

from __future__ import annotations

import pytest

from payments.models import Case, Operation, PspNotification
from payments.services import callers
from payments.services.outcomes.recording import record_outcome
from payments.services.psp_notifications import processing
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.support import late_outcomes
from payments.tests.support.notices import (
    Hooks,
    books_of,
    lose_the_answer,
    make_due,
    only_notification,
    story_of,
)
from payments.tests.support.shop import Shop, body_of, open_shop
from payments.tests.support.virtual_time import VirtualTime
from psp_adapters.contract.operations import Outcome, PspResult
from psp_adapters.tests.support.receiver import Receiver
from psp_adapters.tests.support.sandbox_process import SandboxProcess


def test_a_notification_resolves_a_lost_answer_before_its_next_check(
    shop: Shop, hooks: Hooks
) -> None:
    lose_the_answer(shop, "authorize")
    intent = body_of(shop.create(10_000))
    assert intent["status"] == "processing"
    hooks.take(*hooks.caught("payment.authorized"))

    assert shop.intent(intent["id"]).status == "CAPTURED"
    assert only_notification().processed_at is not None
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]
    assert list(differences()) == []


def test_recovery_resolves_a_payment_whose_notification_was_lost(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(webhooks={"lose": 1})
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    assert (hooks.receiver.deliveries, PspNotification.objects.count()) == ([], 0)


def test_an_old_notification_after_a_cancel_changes_nothing(shop: Shop, hooks: Hooks) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    [late] = hooks.caught("payment.authorized")
    shop.cancel(intent_id)
    before = story_of(shop, intent_id)
    hooks.take(late)
    assert story_of(shop, intent_id) == before
    assert only_notification().status == "processed"


def test_a_success_notified_a_week_late_is_booked_and_reversed(database: None) -> None:
    """We had voided the challenge, but the customer completed it and was charged."""
    with SandboxProcess() as psp, Receiver() as receiver:
        shop = open_shop(psp)
        hooks = Hooks(shop, receiver)
        hooks.listen()
        intent_id = body_of(shop.create(10_000, token="pm_card_threeDSecure2Required"))["id"]
        shop.cancel(intent_id)
        [charge, _] = shop.operations(intent_id)
        psp.revise(late_outcomes.reference(charge), "succeed")
        [told] = hooks.caught("payment.captured")
        week = VirtualTime(psp)
        week.pass_by(7 * 86_400)
        week.close()

        # Nothing of ours is open, so no look-up is due: for a week only the PSP knows.
        assert recovery_sweep.resolve_due_operations() == 0
        assert (shop.intent(intent_id).status, late_outcomes.balances(intent_id)) == (
            "CANCELED",
            {},
        )
        assert [effect["kind"] for effect in shop.effects()] == ["authorize", "capture"]

        hooks.take(told)
        assert only_notification().status == "processed"
        assert shop.intent(intent_id).status == "CAPTURED"
        assert late_outcomes.balances(intent_id) == {1100: 10_000, 2100: -10_000}
        assert late_outcomes.cases() == ["late_success"]
        assert list(differences()) == []

        assert late_outcomes.sweep_reversals() == 1
        intent = shop.intent(intent_id)
        assert (intent.status, intent.published_status) == ("REFUNDED", "canceled")
        assert late_outcomes.balances(intent_id) == {1100: 10_000, 2200: -10_000}
        assert [effect["kind"] for effect in shop.effects()] == ["authorize", "capture", "refund"]
        assert "payment_intent.succeeded" not in late_outcomes.events(intent_id)
        story = story_of(shop, intent_id)
        hooks.take(told)
        assert story_of(shop, intent_id) == story
        assert list(differences()) == []


def test_a_notification_of_an_unknown_object_is_dead_lettered_after_a_day(hooks: Hooks) -> None:
    hooks.take(hooks.notice(data={"references": ["op_ABCDEFGHIJKLMNOPQRSTUV"]}))
    row = only_notification()
    assert (row.status, row.attempts) == ("failing", 1)
    assert "no operation of ours" in row.last_error
    assert row.next_attempt_at is not None
    assert 0.5 < (row.next_attempt_at - row.received_at).total_seconds() < 5

    make_due()
    PspNotification.objects.update(give_up_at="2000-01-01T00:00:00Z")
    assert processing.process_due_notifications() == 1
    row = only_notification()
    assert (row.status, row.next_attempt_at) == ("dead", None)
    case = Case.objects.get()
    assert (case.kind, case.subject, case.intent_id) == ("contradiction", row.event_id, None)
    assert case.psp_account_id == row.psp_account_id
    assert "no operation of ours" in case.summary
    make_due()
    assert processing.process_due_notifications() == 0


def test_a_notification_naming_another_accounts_operation_is_never_applied(
    shop: Shop, hooks: Hooks, other_shop: Shop
) -> None:
    lose_the_answer(other_shop, "authorize")
    intent_id = body_of(other_shop.create(10_000))["id"]
    [reference] = other_shop.operations_references()
    hooks.take(hooks.notice(data={"references": [reference]}))
    assert only_notification().status == "failing"
    assert other_shop.intent(intent_id).status == "PROCESSING"
    assert [c["kind"] for c in shop.psp.calls(reference=reference)] == ["authorize"]


def test_a_notification_naming_another_payment_of_the_psp_is_not_applied(
    shop: Shop, hooks: Hooks
) -> None:
    intent_id = body_of(shop.create(10_000, token="pm_usBankAccount_success"))["id"]
    [reference] = shop.operations_references()
    shop.psp.advance(5)
    hooks.take(hooks.notice(data={"references": [reference], "payment_id": "spay_other"}))
    row = only_notification()
    assert row.status == "dead"
    assert "another payment" in row.last_error
    assert Case.objects.get().kind == "contradiction"
    assert shop.intent(intent_id).status == "PROCESSING"


def test_a_notification_finishes_a_pending_payment(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    good = body_of(shop.create(10_000, token="pm_usBankAccount_success"))["id"]
    [settled] = hooks.caught("payment.settled")
    shop.order_id += "-2"
    bad = body_of(shop.create(10_000, token="pm_usBankAccount_fail"))["id"]
    [declined] = hooks.caught("payment.declined")
    hooks.take(declined, settled)
    assert (shop.intent(good).status, shop.intent(bad).status) == ("CAPTURED", "FAILED")


def test_a_notification_finishes_a_challenge(shop: Shop, hooks: Hooks) -> None:
    intent = body_of(shop.create(10_000, token="pm_card_threeDSecureRequired"))
    [required] = hooks.caught("challenge.required")
    checks = shop.operations(intent["id"])[0].checks
    hooks.take(required)
    assert shop.intent(intent["id"]).status == "REQUIRES_ACTION"
    assert shop.operations(intent["id"])[0].checks == checks, (
        "nothing new: the next check is not postponed"
    )

    shop.psp.complete_challenge(shop.operations(intent["id"])[0].redirect_url)
    hooks.take(*hooks.caught("challenge.completed"))
    assert shop.intent(intent["id"]).status == "CAPTURED"


def test_another_amount_at_the_psp_is_not_applied(
    shop: Shop, hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    intent_id = body_of(shop.create(10_000, token="pm_usBankAccount_success"))["id"]
    [settled] = hooks.caught("payment.settled")
    shop.psp.script({"contradict": 1}, kind="look_up", times=1)
    hooks.take(settled)
    row = only_notification()
    assert row.status == "dead"
    assert "the answer says" in row.last_error
    assert Case.objects.get().kind == "contradiction"
    assert any(message.startswith("alert: notification") for message in caplog.messages)
    assert shop.intent(intent_id).status == "PROCESSING"
    assert books_of(intent_id) == []


def test_a_notified_success_of_a_declined_operation_is_recorded(shop: Shop, hooks: Hooks) -> None:
    """The PSP answered "declined", but made the charge."""
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [operation] = shop.operations(intent_id)
    record_outcome(
        operation=operation,
        result=PspResult(outcome=Outcome.DECLINED, code="card_declined"),
        caller=callers.for_operation(operation, "test"),
    )
    hooks.take(*hooks.caught("payment.authorized"))
    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"
    assert Case.objects.get().kind == "late_success"
    assert list(differences()) == []


def test_a_look_up_that_the_psp_does_not_answer_is_retried(shop: Shop, hooks: Hooks) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [notice] = hooks.caught("payment.authorized")
    shop.psp.set_behavior(down=1)
    hooks.take(notice)
    assert only_notification().status == "failing"
    assert shop.intent(intent_id).status == "PROCESSING"
    shop.psp.heal()
    make_due()
    processing.process_due_notifications()
    assert only_notification().status == "processed"
    assert shop.intent(intent_id).status == "CAPTURED"


def test_a_notification_of_an_unknown_type_needs_no_look_up(shop: Shop, hooks: Hooks) -> None:
    before = len(shop.psp.calls())
    hooks.take(hooks.notice(type="payment.teleported"))
    row = only_notification()
    assert (row.status, row.known) == ("processed", False)
    assert len(shop.psp.calls()) == before


def test_a_second_body_of_a_known_event_causes_another_look_up(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=3_600)
    intent_id = body_of(shop.create(10_000, token="pm_usBankAccount_success"))["id"]
    [pending] = hooks.caught("payment.pending")
    hooks.take(pending)
    assert shop.intent(intent_id).status == "PROCESSING"
    shop.psp.advance(3_601)
    hooks.caught("payment.settled")
    hooks.take(pending.body.replace(b"10000", b"99999"))
    assert (only_notification().conflicting_body, only_notification().status) == (True, "processed")
    assert shop.intent(intent_id).status == "CAPTURED"
    assert shop.intent(intent_id).amount_captured_minor == 10_000


def test_a_notification_of_a_recorded_outcome_needs_no_look_up(shop: Shop, hooks: Hooks) -> None:
    intent_id = body_of(shop.create(10_000, manual=True))["id"]
    shop.cancel(intent_id)
    asked = len(shop.psp.calls(kind="look_up"))
    hooks.take(*hooks.caught("payment.authorized", "payment.voided"))
    assert len(shop.psp.calls(kind="look_up")) == asked


def test_a_refund_that_fails_later_is_looked_up_and_recorded(shop: Shop, hooks: Hooks) -> None:
    shop.psp.set_behavior(settle_delay_seconds=0.2)
    intent_id = body_of(shop.create(10_000, token="pm_card_refundFail"))["id"]
    shop.refund(intent_id, 100)
    hooks.take(*hooks.caught("refund.failed"))
    assert only_notification().status == "processed"
    assert [refund.status for refund in shop.refunds(intent_id)] == ["failed"]
    assert shop.intent(intent_id).status == "CAPTURED"
    assert Case.objects.get().kind == "outcome_reversed"
    assert list(differences()) == []


def test_a_conflicting_duplicate_has_even_a_closed_operation_looked_up(
    shop: Shop, hooks: Hooks
) -> None:
    shop.create(10_000, manual=True)
    [notice] = hooks.caught("payment.authorized")
    [reference] = shop.operations_references()
    hooks.take(notice)
    assert shop.psp.calls(reference=reference, kind="look_up") == []
    asked = len(shop.psp.calls(kind="look_up"))
    hooks.take(notice.body.replace(b"10000", b"99999"))
    assert len(shop.psp.calls(kind="look_up")) == asked + 1


def test_a_conflicting_duplicate_of_a_leased_notification_still_causes_a_look_up(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create(10_000, manual=True)
    [notice] = hooks.caught("payment.authorized")
    asked = len(shop.psp.calls(kind="look_up"))
    compare = processing._reports_our_status

    def compare_and_meanwhile(row: PspNotification, operation: Operation) -> bool:
        reports_our_status = compare(row, operation)
        hooks.deliver(notice.body.replace(b"10000", b"99999"))
        return reports_our_status

    hooks.deliver(notice)
    PspNotification.objects.update(attempts=1)  # so that it is looked at alone
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(processing, "_reports_our_status", compare_and_meanwhile)
        assert processing.process_due_notifications(limit=1) == 1
    assert only_notification().conflicting_body
    assert len(shop.psp.calls(kind="look_up")) == asked

    assert processing.process_due_notifications() == 1
    assert len(shop.psp.calls(kind="look_up")) == asked + 1
    assert only_notification().status == "processed"


def test_a_notification_that_raises_does_not_delay_the_others(
    shop: Shop, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = processing._operations_of

    def break_for_one(row: PspNotification) -> list[Operation]:
        if row.event_id == "sev_bad":
            raise RuntimeError("something is broken")
        return original(row)

    monkeypatch.setattr(processing, "_operations_of", break_for_one)
    shop.create(10_000, manual=True)
    [good] = hooks.caught("payment.authorized")
    hooks.deliver(hooks.notice(id="sev_bad"))
    hooks.deliver(good)
    assert processing.process_due_notifications() == 2
    by_event = dict(PspNotification.objects.values_list("event_id", "status"))
    assert by_event == {"sev_bad": "failing", good.notice["id"]: "processed"}


def test_a_sweep_is_bounded(hooks: Hooks) -> None:
    for _ in range(5):
        hooks.deliver(hooks.notice(type="payment.teleported"))
    assert processing.process_due_notifications(limit=3) == 3
    assert processing.process_due_notifications() == 2
