"""Holds voided by the merchant's policy, through the ordinary command."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest

from payments.exceptions import OperationUnderWay, UnexpectedState
from payments.models import Deadline, Merchant
from payments.services.automatic_actions import abandoned_payments, expiring_authorizations
from payments.services.callers.caller import Answer
from payments.services.operations import execution
from payments.services.verification.rebuild import differences
from payments.tests.scenarios.test_races import at_once
from payments.tests.support.crashes import STEPS, Where, crash_at
from payments.tests.support.passing_time import deadline_of, events_of, hold, last_event, sweep
from payments.tests.support.shop import Shop, age_operations

HOUR = 3600


def held(shop: Shop) -> str:
    return hold(shop, token="pm_card_visa")


def near(moment: Any, expected: Any) -> bool:
    return bool(abs(moment - expected) < timedelta(seconds=5))


@pytest.fixture
def strict(shop: Shop) -> Shop:
    """A merchant whose policy voids uncaptured holds after three days."""
    Merchant.objects.filter(pk=shop.merchant.pk).update(void_uncaptured_after_hours=72)
    return shop


def old_hold(shop: Shop) -> str:
    intent_id = held(shop)
    age_operations(intent_id, seconds=72 * HOUR + 1)
    return intent_id


def assert_voided(shop: Shop, intent_id: str) -> None:
    intent = shop.intent(intent_id)
    assert (intent.status, intent.cancellation_reason) == ("CANCELED", "automatic")
    voids = [o for o in shop.operations(intent_id) if o.kind == "void"]
    assert [o.actor for o in voids if o.status == "SUCCEEDED"] == ["job:expiry"]
    assert [e["kind"] for e in shop.effects()] == ["authorize", "void"]
    assert events_of(intent_id).count("payment_intent.canceled") == 1
    assert list(differences()) == []


def test_an_uncaptured_hold_is_voided_after_the_time_of_the_merchants_policy(strict: Shop) -> None:
    intent_id = held(strict)
    sweep()
    assert strict.intent(intent_id).status == "AUTHORIZED"
    age_operations(intent_id, seconds=72 * HOUR + 1)
    sweep()
    assert_voided(strict, intent_id)
    assert last_event(intent_id, "payment_intent.canceled")["cancellation_reason"] == "automatic"
    sweep()
    assert not Deadline.objects.exists()


def test_without_a_policy_a_hold_is_left_to_its_expiry(shop: Shop) -> None:
    intent_id = old_hold(shop)
    sweep()
    assert shop.intent(intent_id).status == "AUTHORIZED"


def test_the_uncaptured_rest_of_a_payment_is_voided(strict: Shop) -> None:
    intent_id = held(strict)
    strict.capture(intent_id, 4_000, final=False)
    age_operations(intent_id, seconds=72 * HOUR + 1)
    sweep()
    intent = strict.intent(intent_id)
    assert (intent.status, intent.amount_captured_minor) == ("CAPTURED", 4_000)
    assert [e["amount_minor"] for e in strict.effects("void")] == [6_000]
    assert list(differences()) == []


def test_no_hold_is_voided_while_a_capture_is_open(strict: Shop) -> None:
    intent_id = old_hold(strict)
    strict.psp.script({"drop_before": True}, kind="capture")
    strict.capture(intent_id)
    wait, intent = deadline_of(intent_id), strict.intent(intent_id)
    assert intent.status == "PROCESSING"
    sweep()
    intent.__dict__["status"] = "AUTHORIZED"  # What a sweep had read just before.
    expiring_authorizations.act_on_hold(intent, wait)
    assert [o.kind for o in strict.operations(intent_id)] == ["authorize", "capture"]
    assert strict.effects("void") == []


def test_a_void_that_the_psp_declines_is_retried_after_a_while(
    strict: Shop,
) -> None:
    intent_id = old_hold(strict)
    strict.psp.script({"decline": {"code": "processing_error"}}, kind="void")
    for _ in range(3):
        sweep()
    assert [o.status for o in strict.operations(intent_id)] == ["SUCCEEDED", "DECLINED"]
    assert strict.intent(intent_id).status == "AUTHORIZED"
    again_at = deadline_of(intent_id).next_action_at
    assert near(
        again_at, strict.operations(intent_id)[1].created_at + abandoned_payments.RETRY_VOID_AFTER
    )
    age_operations(intent_id, seconds=int(abandoned_payments.RETRY_VOID_AFTER.total_seconds()))
    sweep()
    assert_voided(strict, intent_id)


@pytest.mark.parametrize("number", [2, 4])
def test_a_capture_racing_the_sweeps_ends_as_at_the_psp(strict: Shop, number: int) -> None:
    intent_id = old_hold(strict)
    wait, intent = deadline_of(intent_id), strict.intent(intent_id)

    def run(position: int) -> Answer:
        if position == 0:
            return strict.capture(intent_id)
        expiring_authorizations.act_on_hold(intent, wait)
        return Answer(status=200, body="{}")

    results = at_once(number, run)
    assert all(isinstance(r, Answer | OperationUnderWay | UnexpectedState) for r in results)
    strict.settle()
    kinds = [e["kind"] for e in strict.effects()]
    row = strict.intent(intent_id)
    assert (kinds, row.status, row.cancellation_reason) in [
        (["authorize", "capture"], "CAPTURED", ""),
        (["authorize", "void"], "CANCELED", "automatic"),
    ]
    assert list(differences()) == []


CRASHES: dict[str, Where] = {
    "before the command": (expiring_authorizations, "cancel_for_merchant", "before"),
    "after the first commit": (execution, "execute", "before"),
    "before the PSP has it": STEPS["before the PSP has it"],
    "after the PSP has done it": STEPS["after the PSP has done it"],
    "after the second commit": (execution, "record_outcome", "after"),
    "after the command": (expiring_authorizations, "cancel_for_merchant", "after"),
}


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("step", CRASHES)
def test_a_sweep_killed_while_it_voids_still_ends_in_one_void(strict: Shop, step: str) -> None:
    intent_id = old_hold(strict)
    crash_at(CRASHES[step], sweep)
    strict.settle()
    sweep()
    strict.settle()
    assert_voided(strict, intent_id)
    assert len([o for o in strict.operations(intent_id) if o.kind == "void"]) == 1


def test_postgresql_refuses_a_policy_of_zero_hours(
    shop: Shop, application_cursor: psycopg.Cursor[Any]
) -> None:
    with pytest.raises(psycopg.Error, match="merchant_void_after_an_hour_or_more"):
        application_cursor.execute("UPDATE payments_merchant SET void_uncaptured_after_hours = 0")
    assert Merchant.objects.get(pk=shop.merchant.pk).void_uncaptured_after_hours is None
