"""The sweep that reverses late successes: once, despite killed and concurrent workers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from payments.models import Case, Operation
from payments.services.automatic_actions import late_success_reversals
from payments.services.operations import execution
from payments.services.outcomes import change as outcome_change
from payments.services.psp_gateway import references, sending
from payments.tests.scenarios.test_crashes import end_leases
from payments.tests.support.crashes import crash_at
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    counters,
    falsely_closed,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.shop import Shop
from psp_adapters.contract.operations import Outcome

STEPS = {
    "after the lease": (late_success_reversals, "_reverse", "before"),
    "before the first transaction": (late_success_reversals, "_finish_or_wait", "after"),
    "after the first transaction": (execution, "_call_and_record", "before"),
    "before the PSP has it": (sending, "send", "before"),
    "after the PSP has done it": (sending, "send", "after"),
    "in the second transaction": (outcome_change, "_post", "after"),
    "after the second transaction": (execution, "record_outcome", "after"),
    "at the end": (late_success_reversals, "_reverse", "after"),
}


def late(shop: Shop, *, manual: bool, excess: bool) -> str:
    """A late charge due for reversal; with `excess`, a duplicate of the payment's own charge."""
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED, manual=manual)
    if excess:
        shop.confirm(intent_id, token="pm_card_mastercard")
    sync_as_notified(charge)
    return intent_id


@pytest.mark.matrix(most=4)
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("excess", [False, True])
@pytest.mark.parametrize("manual", [False, True])
def test_a_sweep_killed_at_any_step_reverses_a_charge_once(
    shop: Shop, step: str, excess: bool, manual: bool
) -> None:
    intent_id = late(shop, manual=manual, excess=excess)
    crash_at(STEPS[step], late_success_reversals.reverse_due_charges)
    end_leases()
    for _ in range(3):
        shop.settle()
        sweep_reversals()

    kind = "void" if manual else "refund"
    assert [e["amount_minor"] for e in shop.effects(kind)] == [10_000]
    assert Operation.objects.filter(actor="job:late-success").count() == 1
    assert not Operation.objects.filter(reversal_due_at__isnull=False).exists()
    if excess:
        assert counters(shop, intent_id)["excess"] == 10_000
    else:
        assert shop.intent(intent_id).status == ("CANCELED" if manual else "REFUNDED")
    assert_the_books_agree()


@pytest.mark.parametrize("excess", [False, True])
def test_concurrent_sweeps_reverse_a_charge_once(
    shop: Shop, run_together: Callable[..., list[Any]], excess: bool
) -> None:
    late(shop, manual=False, excess=excess)
    results = run_together(*[late_success_reversals.reverse_due_charges] * 4)
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert sum(results) == 1
    results = run_together(*[sweep_reversals] * 4)
    assert [r for r in results if isinstance(r, BaseException)] == []
    assert len(shop.effects("refund")) == 1
    assert_the_books_agree()


def test_a_declined_reversal_is_retried_later_and_opens_a_case_after_the_last_attempt(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_success_reversals, "ATTEMPTS_MAX", 2)
    intent_id = late(shop, manual=False, excess=True)
    Case.objects.update(status="closed", closed_at=datetime.now(UTC), closed_by="x", resolution="x")
    shop.psp.script({"decline": {"code": "processing_error"}}, kind="refund", times=None)
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    charge = shop.operations(intent_id)[0]
    assert charge.reversal_due_at is not None
    assert (charge.reversal_due_at - datetime.now(UTC)).total_seconds() > 100, "the wait grows"
    assert sweep_reversals() == 1
    assert not Operation.objects.filter(reversal_due_at__isnull=False).exists()
    assert "refused 2 times" in Case.objects.get(status="open").summary
    assert shop.effects("refund") == []
    assert_the_books_agree()


def test_a_reversal_that_the_psp_rate_limits_is_retried_without_a_case(shop: Shop) -> None:
    intent_id = late(shop, manual=False, excess=True)
    shop.psp.script({"rate_limit": True}, kind="refund", times=3)  # it is tried three times
    assert sweep_reversals() == 1
    assert sweep_reversals() == 1
    assert [r.status for r in shop.refunds(intent_id)] == ["canceled", "succeeded"]
    assert len(shop.effects("refund")) == 1
    assert_the_books_agree()


def test_a_late_charge_that_the_merchant_captured_is_kept(shop: Shop) -> None:
    intent_id = late(shop, manual=True, excess=False)
    shop.capture(intent_id, 8_000)
    assert sweep_reversals() == 1
    assert sweep_reversals() == 0
    assert shop.intent(intent_id).status == "CAPTURED"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture"]


@pytest.mark.parametrize("manual", [False, True])
def test_a_failed_reversal_of_a_duplicate_charge_is_made_again(shop: Shop, manual: bool) -> None:
    intent_id = late(shop, manual=manual, excess=True)
    sweep_reversals()
    reversal = shop.operations(intent_id)[-1]
    own = (shop.intent(intent_id).status, balances(intent_id))
    shop.psp.revise(references.reference_of(reversal.id), "fail")
    sync_as_notified(reversal)
    charge = shop.operations(intent_id)[0]
    assert (charge.excess_returned_minor, charge.reversal_due_at is not None) == (0, True)
    assert_the_books_agree()
    assert sweep_reversals() == 1
    assert sweep_reversals() == 0
    charge.refresh_from_db()
    assert charge.excess_returned_minor == 10_000
    assert (shop.intent(intent_id).status, balances(intent_id)) == own
    assert len(shop.effects("void" if manual else "refund")) == 2
    assert_the_books_agree()


@pytest.mark.parametrize("manual", [False, True])
def test_a_reinstated_reversal_of_a_duplicate_charge_is_not_made_again(
    shop: Shop, manual: bool
) -> None:
    intent_id = late(shop, manual=manual, excess=True)
    sweep_reversals()
    reversal = shop.operations(intent_id)[-1]
    own = balances(intent_id)
    for to in ("fail", "succeed"):
        shop.psp.revise(references.reference_of(reversal.id), to)
        sync_as_notified(reversal)
    assert sweep_reversals() == 0
    charge = shop.operations(intent_id)[0]
    assert (charge.status, charge.excess_returned_minor) == ("EXCESS", 10_000)
    assert balances(intent_id) == own
    assert_the_books_agree()
