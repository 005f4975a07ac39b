"""When recovery records NOT_SENT, when it opens a case, and what a closing circuit does."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import timedelta

import pytest

from payments.clock import now_utc
from payments.models import Case, Operation
from payments.services.psp_gateway import circuit_breaker, queries
from payments.services.psp_gateway.circuit_breaker import CallKind
from payments.services.psp_gateway.queries import Inconclusive
from payments.services.recovery import sweep as recovery_sweep
from payments.services.recovery.payment_sync import sync_payment
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    confirm_late_outcomes,
    events,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, age_operations, body_of


def never_arrived(shop: Shop) -> str:
    """A charge whose request was lost: too old to be repeated, but last sent a moment ago."""
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id)
    intent_id = str(body_of(shop.create())["id"])
    age_operations(intent_id, seconds=61)
    Operation.objects.update(resent_at=now_utc())
    return intent_id


def test_not_found_is_final_only_after_the_lag_and_the_longest_call(shop: Shop) -> None:
    intent_id = never_arrived(shop)
    shop.settle()
    charge = shop.operations(intent_id)[0]
    assert (charge.status, charge.fenced_at is not None) == ("UNKNOWN", True)
    assert charge.next_check_at is not None
    wait_seconds = (charge.next_check_at - now_utc()).total_seconds()
    assert 15 < wait_seconds < 22, "the next look-up is due when its result is final"
    assert "payment_intent.payment_failed" not in events(intent_id)

    age_operations(intent_id, seconds=23)
    shop.settle()
    assert shop.operations(intent_id)[0].status == "NOT_SENT"
    assert shop.intent(intent_id).status == "FAILED"
    assert len(shop.psp.calls(kind="authorize", order_id=shop.order_id)) == 1


def test_a_fenced_charge_is_not_sent_again(shop: Shop) -> None:
    intent_id = never_arrived(shop)
    shop.settle()
    age_operations(intent_id, seconds=-55)
    shop.settle()
    assert shop.operations(intent_id)[0].status == "UNKNOWN"
    assert len(shop.psp.calls(kind="authorize", order_id=shop.order_id)) == 1
    assert shop.effects() == []


def test_a_charge_that_arrives_despite_its_fence_is_found_and_reversed(shop: Shop) -> None:
    shop.psp.set_behavior(leaky_fences=1, late_seconds=8, not_found_lag_seconds=0)
    shop.psp.script({"late": 1}, order_id=shop.order_id, kind="authorize")
    began = now_utc()
    answer = shop.create(10_000, manual=True, caller=shop.caller(answer_by_monotonic=0.0))
    intent_id = body_of(answer)["id"]
    age_operations(intent_id, seconds=90)
    shop.settle()
    assert shop.operations(intent_id)[0].status == "NOT_SENT"
    assert now_utc() - began < timedelta(seconds=8)

    shop.psp.wait_for(order_id=shop.order_id, kind="authorize", timeout_seconds=20)
    end = time.monotonic() + 10
    while shop.intent(intent_id).status != "AUTHORIZED":
        # The sender's own result may arrive at the same moment: then the next look-up settles it.
        with suppress(Inconclusive):
            sync_as_notified(shop.operations(intent_id)[0])
        assert time.monotonic() < end
    assert cases() == ["late_success"]
    sweep_reversals()
    confirm_late_outcomes()
    assert [e["kind"] for e in shop.effects()] == ["authorize", "void"]
    assert shop.intent(intent_id).status == "CANCELED"
    assert_the_books_agree()


def test_an_outcome_unknown_for_a_day_opens_a_case_and_recovery_continues(shop: Shop) -> None:
    shop.psp.set_behavior(down=1, kinds=["authorize", "look_up", "fence"])
    intent_id = str(body_of(shop.create())["id"])
    shop.settle()
    assert cases() == []
    age_operations(intent_id, seconds=24 * 3600 + 1)
    shop.settle()
    shop.settle()
    case = Case.objects.get()
    charge = shop.operations(intent_id)[0]
    assert (case.kind, case.subject) == ("outcome_unknown", charge.public_id)
    assert charge.next_check_at is not None
    assert shop.intent(intent_id).status == "PROCESSING"

    shop.psp.heal()
    shop.settle()
    assert shop.operations(intent_id)[0].status == "NOT_SENT"


def test_an_amount_that_differs_is_a_contradiction(shop: Shop) -> None:
    intent_id = str(body_of(shop.create(token="pm_usBankAccount_success"))["id"])
    shop.psp.advance(60)
    shop.psp.script({"contradict": 1}, kind="look_up")
    shop.settle()
    assert cases() == ["contradiction"]
    assert shop.intent(intent_id).status == "PROCESSING"


def test_a_pending_refund_of_another_amount_at_the_psp_has_a_case_and_books_nothing(
    shop: Shop,
) -> None:
    intent_id = str(body_of(shop.create(token="pm_card_pendingRefund"))["id"])
    shop.refund(intent_id, 3_000)
    before = shop.intent(intent_id)
    shop.psp.advance(60)
    shop.psp.script({"contradict": 1}, times=None, kind="look_up")
    shop.settle()
    assert cases() == ["contradiction"]
    assert "30.00 USD" in Case.objects.get().summary
    after = shop.intent(intent_id)
    assert after.amount_refunded_minor == 0
    assert after.amount_refund_pending_minor == before.amount_refund_pending_minor == 3_000
    assert [r.status for r in shop.refunds(intent_id)] == ["pending"]


@pytest.fixture
def open_circuit(shop: Shop) -> circuit_breaker.Breaker:
    """The open circuit of recovery's look-ups at the shop's PSP."""
    breaker = circuit_breaker._guard_of(shop.account.code, CallKind.RECOVERY).breaker
    for _ in range(circuit_breaker.CALLS_MIN):
        breaker.record(healthy=False, probe=breaker.admit())
    assert breaker.state == "open"
    return breaker


def test_a_payment_sync_that_closes_the_circuit_makes_the_accounts_unknown_outcomes_due(
    shop: Shop, open_circuit: circuit_breaker.Breaker
) -> None:
    paid = body_of(shop.create(manual=True))["id"]
    shop.order_id += "+"
    lose_the_answer(shop, "authorize")
    lost = shop.operations(body_of(shop.create())["id"])[0]
    Operation.objects.filter(pk=lost.pk).update(
        next_check_at=now_utc() + timedelta(hours=1), lease_until=now_utc()
    )
    open_circuit._open_until = 0.0

    sync_payment(shop.operations(paid)[0].id, actor="test")

    assert open_circuit.state == "closed"
    lost.refresh_from_db()
    assert lost.next_check_at is not None
    assert lost.next_check_at <= now_utc() + timedelta(seconds=1)


def test_a_look_up_that_closes_the_circuit_makes_the_accounts_unknown_outcomes_due(
    shop: Shop, other_shop: Shop, open_circuit: circuit_breaker.Breaker
) -> None:
    in_an_hour = now_utc() + timedelta(hours=1)
    ids = []
    for each in (shop, shop, other_shop):
        each.order_id += "+"
        lose_the_answer(each, "authorize")
        ids.append(body_of(each.create())["id"])
    Operation.objects.update(next_check_at=in_an_hour, lease_until=now_utc())
    first, second = shop.operations(ids[0])[0], shop.operations(ids[1])[0]

    assert recovery_sweep.resolve_operation(first.id, actor="job:recovery")
    first.refresh_from_db()
    assert first.status == "UNKNOWN"
    assert first.next_check_at is not None
    assert first.next_check_at < now_utc() + timedelta(seconds=7), "due when a probe may go"

    open_circuit._open_until = 0.0
    assert recovery_sweep.resolve_operation(first.id, actor="job:recovery")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (open_circuit.state, first.status) == ("closed", "SUCCEEDED")
    assert second.next_check_at is not None
    assert second.next_check_at <= now_utc() + timedelta(seconds=1), "due at once"
    assert other_shop.operations(ids[2])[0].next_check_at == in_an_hour

    assert recovery_sweep.resolve_due_operations() == 1
    assert shop.intent(ids[1]).status == "CAPTURED"


def test_an_operation_that_a_worker_is_sending_is_not_made_due(shop: Shop) -> None:
    lose_the_answer(shop, "authorize")
    shop.create()
    in_an_hour = now_utc() + timedelta(hours=1)
    Operation.objects.update(next_check_at=in_an_hour, lease_until=in_an_hour)
    assert queries.make_unknown_outcomes_due(shop.account.id) == 0
    assert Operation.objects.get().next_check_at == in_an_hour
