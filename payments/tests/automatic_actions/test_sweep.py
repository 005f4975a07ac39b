"""Deadlines of waiting payments: the expiry warning, and canceling abandoned payments."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings as configured
from django.db import connection
from django.test.utils import CaptureQueriesContext

from payments.clock import now_utc
from payments.models import Deadline, Event, Merchant, Operation, PaymentIntent
from payments.services.automatic_actions import abandoned_payments, expiring_authorizations
from payments.services.automatic_actions import sweep as action_sweep
from payments.services.automatic_actions.sweep import act_on_due_deadlines
from payments.services.callers.caller import Answer
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.passing_time import (
    deadline_of,
    end_hold,
    events_of,
    hold,
    last_event,
    sweep,
    wait_since,
)
from payments.tests.support.shop import Shop, age_operations, body_of, uuid_of

HOUR = 3600


def held(shop: Shop) -> str:
    return hold(shop, token="pm_card_visa")


def near(moment: Any, expected: Any) -> bool:
    return bool(abs(moment - expected) < timedelta(seconds=5))


# --- which payments wait ---------------------------------------------------------------------


def test_postgresql_keeps_a_deadline_row_for_every_waiting_payment(shop: Shop) -> None:
    waiting = {
        body_of(shop.create(confirm=False, order_id="1"))["id"]: "INITIATED",
        body_of(shop.create(manual=True, order_id="2"))["id"]: "AUTHORIZED",
        body_of(shop.create(token="pm_card_authenticationRequired", order_id="3"))["id"]: (
            "REQUIRES_ACTION"
        ),
    }
    declined = body_of(shop.create(token="pm_card_visa_chargeDeclined", order_id="4"))
    waiting[declined["payment_intent"]["id"]] = "FAILED"
    shop.create(order_id="5")
    rows = Deadline.objects.values_list("intent_id", "status")
    assert dict(rows) == {uuid_of(public_id): status for public_id, status in waiting.items()}


def test_the_deadline_of_a_captured_payment_is_deleted_when_it_is_due(shop: Shop) -> None:
    intent_id = held(shop)
    shop.capture(intent_id)
    assert sweep() == 1
    assert not Deadline.objects.exists()
    assert "x.charge.expiring" not in events_of(intent_id)


def test_a_payment_gets_a_new_deadline_when_it_waits_again(shop: Shop) -> None:
    intent_id = held(shop)
    shop.psp.script({"drop_after": True}, kind="capture")
    shop.capture(intent_id, 4_000, final=False)
    sweep()
    assert not Deadline.objects.exists()
    shop.settle()
    assert shop.intent(intent_id).status == "AUTHORIZED"
    assert deadline_of(intent_id).status == "AUTHORIZED"


def test_a_worker_with_an_old_lease_does_not_postpone_a_new_deadline(shop: Shop) -> None:
    intent_id = held(shop)
    [leased] = action_sweep.QUEUE.take()
    shop.capture(intent_id, 1_000, final=False)
    anew = deadline_of(intent_id)
    action_sweep.reschedule(leased, now_utc() + timedelta(days=9))
    action_sweep.reschedule(leased, None)
    assert deadline_of(intent_id).next_action_at == anew.next_action_at


def test_a_sweep_has_a_limit_and_a_fixed_number_of_queries(shop: Shop) -> None:
    for number in range(3):
        body_of(shop.create(confirm=False, order_id=f"{number}"))
    Deadline.objects.update(next_action_at=now_utc() - timedelta(seconds=1))
    assert act_on_due_deadlines(limit=2) == 2
    with CaptureQueriesContext(connection) as captured:
        assert act_on_due_deadlines(limit=2) == 1
    assert len(captured.captured_queries) <= 12


def test_the_sweep_reads_the_waiting_rows_by_index_only(
    shop: Shop, application_cursor: psycopg.Cursor[Any]
) -> None:
    application_cursor.execute("SET enable_seqscan = off")
    plan = application_cursor.execute(
        "EXPLAIN SELECT intent_id FROM payments_deadline WHERE next_action_at <= now() "
        "ORDER BY next_action_at LIMIT 1 FOR UPDATE SKIP LOCKED"
    ).fetchall()
    assert "deadline_due" in str(plan)
    assert "Sort" not in str(plan)


def test_a_payment_whose_action_raises_is_retried_later(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    intent_id = held(shop)

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(action_sweep, "act_on_hold", broken)
    assert sweep() == 1
    assert "could not be acted on" in caplog.text
    assert near(deadline_of(intent_id).next_action_at, now_utc() + timedelta(minutes=5))


# --- the warning -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "warning_hours", "policy_hours", "warned_after"),
    [
        (timedelta(days=7), 48, None, timedelta(days=5)),
        (timedelta(days=7), 24, None, timedelta(days=6)),
        (timedelta(hours=50), 48, None, timedelta(hours=25)),
        (timedelta(seconds=2), 48, None, timedelta(seconds=1)),
        (timedelta(days=7), 48, 120, timedelta(days=3)),
        (timedelta(days=7), 48, 24, timedelta(hours=12)),
        (timedelta(days=7), 0, None, timedelta(days=7)),
    ],
)
def test_the_expiry_warning_is_due_as_early_as_the_merchant_configured(
    life: timedelta, warning_hours: int, policy_hours: int | None, warned_after: timedelta
) -> None:
    began_at = now_utc()
    plan = expiring_authorizations.times_of(
        PaymentIntent(authorization_expires_at=began_at + life),
        Operation(created_at=began_at),
        Merchant(warn_before_expiry_hours=warning_hours, void_uncaptured_after_hours=policy_hours),
    )
    assert plan.warn_at - began_at == warned_after


def test_the_merchant_is_warned_once_for_each_expiry_of_a_hold(shop: Shop) -> None:
    intent_id = held(shop)
    sweep()
    assert "x.charge.expiring" not in events_of(intent_id)
    until = shop.intent(intent_id).authorization_expires_at
    assert until is not None
    assert deadline_of(intent_id).next_action_at == until - timedelta(hours=48)

    ends_at = now_utc() + timedelta(hours=1)
    end_hold(intent_id, at=ends_at)
    age_operations(intent_id, seconds=6 * 24 * HOUR)
    for _ in range(3):
        sweep()
    assert events_of(intent_id)[-1] == "x.charge.expiring"
    assert events_of(intent_id).count("x.charge.expiring") == 1
    charge = last_event(intent_id, "x.charge.expiring")
    assert charge["object"] == "charge"
    assert charge["payment_method_details"]["card"]["capture_before"] == int(ends_at.timestamp())
    assert deadline_of(intent_id).next_action_at == ends_at

    shop.capture(intent_id, 1_000, final=False)
    sweep()
    assert events_of(intent_id).count("x.charge.expiring") == 1, "the expiry is the same"
    end_hold(intent_id, at=ends_at + timedelta(minutes=30))
    sweep()
    assert events_of(intent_id).count("x.charge.expiring") == 2, "another expiry, another warning"
    assert list(differences()) == []


def test_concurrent_sweeps_warn_once(shop: Shop) -> None:
    intent_id = held(shop)
    end_hold(intent_id, at=now_utc() + timedelta(hours=1))
    age_operations(intent_id, seconds=6 * 24 * HOUR)
    wait, intent = deadline_of(intent_id), shop.intent(intent_id)

    def run(_: int) -> Answer:
        expiring_authorizations.act_on_hold(intent, wait)
        return Answer(status=200, body="{}")

    at_once(8, run)
    assert events_of(intent_id).count("x.charge.expiring") == 1


def test_no_expiry_warning_is_sent_for_a_captured_payment(shop: Shop) -> None:
    intent_id = held(shop)
    end_hold(intent_id, at=now_utc() + timedelta(hours=1))
    age_operations(intent_id, seconds=6 * 24 * HOUR)
    wait, before = deadline_of(intent_id), shop.intent(intent_id)
    shop.capture(intent_id)
    expiring_authorizations.act_on_hold(before, wait)
    assert "x.charge.expiring" not in events_of(intent_id)


# --- abandoned payments ----------------------------------------------------------------------


def unpaid(shop: Shop) -> str:
    identifier: str = body_of(shop.create(confirm=False))["id"]
    return identifier


def declined(shop: Shop) -> str:
    answer = body_of(shop.create(token="pm_card_visa_chargeDeclined"))
    identifier: str = answer["payment_intent"]["id"]
    return identifier


def challenged(shop: Shop) -> str:
    identifier: str = body_of(shop.create(token="pm_card_authenticationRequired"))["id"]
    return identifier


@pytest.mark.parametrize(
    ("make", "hours"), [(unpaid, 30 * 24), (declined, 30 * 24), (challenged, 24)]
)
def test_an_abandoned_payment_is_canceled(shop: Shop, make: Any, hours: int) -> None:
    intent_id = make(shop)
    before = shop.intent(intent_id).status
    wait_since(intent_id, hours - 1)
    sweep()
    assert shop.intent(intent_id).status == before
    assert near(deadline_of(intent_id).next_action_at, now_utc() + timedelta(hours=1))

    wait_since(intent_id, hours)
    sweep()
    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CANCELED", "abandoned")
    last = Event.objects.filter(aggregateid=intent.id, type="payment_intent.canceled").get()
    assert last.actor == "job:abandonment"
    assert shop.effects() == []
    sweep()
    assert not Deadline.objects.exists()
    assert list(differences()) == []
    assert body_of(shop.create())["status"] == "succeeded", "the order can be paid"


def test_a_payment_whose_customer_completed_the_challenge_is_not_canceled(shop: Shop) -> None:
    intent_id = challenged(shop)
    url = shop.intent(intent_id).next_action_url
    wait_since(intent_id, 24)
    shop.psp.complete_challenge(url)
    sweep()
    shop.settle()
    row = shop.intent(intent_id)
    kinds = [e["kind"] for e in shop.effects()]
    assert (kinds, row.status) == (["authorize", "capture"], "CAPTURED")
    assert list(differences()) == []


def test_a_new_attempt_restarts_the_time_until_a_payment_counts_as_abandoned(shop: Shop) -> None:
    intent_id = declined(shop)
    wait_since(intent_id, 30 * 24)
    shop.confirm(intent_id, token="pm_card_visa_chargeDeclined")
    sweep()
    assert shop.intent(intent_id).status == "FAILED"


def test_a_challenge_whose_void_was_not_sent_is_still_abandoned_at_the_retry(shop: Shop) -> None:
    intent_id = challenged(shop)
    wait_since(intent_id, 24)
    shop.psp.script({"rate_limit": True}, kind="void", times=3)  # it is tried three times
    sweep()
    assert shop.intent(intent_id).status == "REQUIRES_ACTION"
    age_operations(intent_id, seconds=int(abandoned_payments.RETRY_VOID_AFTER.total_seconds()))
    sweep()
    assert shop.intent(intent_id).status == "CANCELED"
    assert list(differences()) == []


def test_payments_without_a_charge_never_expire_if_the_setting_is_zero(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configured, "ABANDONED_INTENTS_CANCELED_AFTER_HOURS", 0)
    intent_id = unpaid(shop)
    wait_since(intent_id, 10_000)
    sweep()
    assert shop.intent(intent_id).status == "INITIATED"
    assert not Deadline.objects.exists()


def test_concurrent_sweeps_cancel_each_abandoned_payment_once(shop: Shop) -> None:
    ids = []
    for number in range(5):
        shop.order_id = f"{shop.order_id}-{number}"
        ids.append(challenged(shop))
        wait_since(ids[-1], 24)
    Deadline.objects.update(next_action_at=now_utc() - timedelta(seconds=1))
    results = at_once(4, lambda _: Answer(status=200, body=str(act_on_due_deadlines())))
    assert sum(int(r.body) for r in results if isinstance(r, Answer)) == 5
    for intent_id in ids:
        assert shop.intent(intent_id).status == "CANCELED"
        assert len([o for o in shop.operations(intent_id) if o.kind == "void"]) == 1
    assert list(differences()) == []
