"""Crashes, lost commits and races between two accounts: one charge at most, and none forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest

from payments.models import Operation, PspAccount
from payments.services import callers
from payments.services.commands import failover
from payments.services.operations import execution
from payments.services.outcomes.change import Change
from payments.services.outcomes.recording import record_outcome
from payments.services.recovery import sweep as recovery_sweep
from payments.services.routing.rules import forget_rules
from payments.tests.commands.test_failover import (
    BUSY,
    PAID_AT_THE_SECOND,
    charges_made,
    decline_at,
)
from payments.tests.support.crashes import crash_at, crash_at_moment
from payments.tests.support.factories import credentials_of
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    statuses,
)
from payments.tests.support.money_moves import end_leases
from payments.tests.support.postgresql_wire import CommitCutter, When, through
from payments.tests.support.shop import Shop, another_account, body_of, fail_over
from payments.tests.verification.test_every_column import triggers_off
from psp_adapters.contract.operations import Outcome, PspResult

MOMENTS = 60
"""A failover has fewer: before and after each statement, commit and call to a PSP."""


@pytest.fixture
def second(shop: Shop) -> Iterator[PspAccount]:
    account = another_account(shop)
    fail_over(shop, account)
    yield account
    forget_rules()


@pytest.mark.parametrize(
    ("step", "where"),
    [
        ("before the first one is recorded", (execution, "record_outcome", "before")),
        ("between the two", (execution, "record_outcome", "after")),
    ],
)
def test_a_crash_between_two_accounts_ends_in_one_charge(
    shop: Shop, second: PspAccount, step: str, where: tuple[Any, str, str]
) -> None:
    decline_at(shop, shop.account)
    key = {"key": "crashed", "body": "crashed"}
    crash_at(where, lambda: shop.create(caller=shop.caller(**key)))
    end_leases()
    recovery_sweep.resolve_due_operations()
    answer = shop.create(caller=shop.caller(**key))
    [*_, charge] = Operation.objects.filter(merchant_id=shop.merchant.id).order_by("id")
    is_between = step == "between the two"
    assert charge.psp_account == (second if is_between else shop.account)
    assert charge.status == ("SUCCEEDED" if is_between else "DECLINED")
    assert charges_made(shop) == (["authorize", "capture"] if is_between else [])
    assert answer.status == (200 if is_between else 402)
    assert_the_books_agree()


@pytest.mark.matrix(most=6)
@pytest.mark.parametrize("moment", range(1, MOMENTS + 1))
def test_a_crash_at_any_moment_of_a_failover_leads_to_at_most_one_charge(
    shop: Shop, second: PspAccount, moment: int
) -> None:
    decline_at(shop, shop.account)
    caller = shop.caller(key="crashed", body="crashed")
    crash_at_moment(moment, lambda: shop.create(caller=caller))
    end_leases()
    recovery_sweep.resolve_due_operations()
    answer = shop.create(caller=caller)
    assert charges_made(shop) == (["authorize", "capture"] if answer.status == 200 else [])
    charges = Operation.objects.filter(merchant_id=shop.merchant.id)
    succeeded = [each for each in charges if each.status == "SUCCEEDED"]
    assert len(succeeded) == (answer.status == 200)
    assert not charges.filter(closed_at=None).exists()
    assert shop.create(caller=caller).body == answer.body
    assert_the_books_agree()


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_commit_between_two_accounts_that_is_not_confirmed_leads_to_one_charge(
    shop: Shop, second: PspAccount, when: When
) -> None:
    decline_at(shop, shop.account)
    with CommitCutter() as cutter, through(cutter):
        cutter.arm(2, when)
        answer = shop.create(caller=shop.caller(key="cut", body="cut"))
    assert cutter.cuts == 1
    assert statuses(shop, body_of(answer)["id"]) == PAID_AT_THE_SECOND
    assert charges_made(shop) == ["authorize", "capture"]
    assert_the_books_agree()


def test_a_request_answered_while_its_next_charge_is_written_has_that_charge_sent(
    shop: Shop,
    second: PspAccount,
    owner_cursor: psycopg.Cursor[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its wait ends after the check that it was not answered, and before the commit."""
    key = credentials_of(shop.account)["api_key"]
    shop.psp.script({"decline": BUSY, "hold_before": True}, api_key=key, kind="authorize")
    monkeypatch.setattr(failover, "ATTEMPT_SECONDS", 0.1)
    wait_seconds = 4.0

    def keep_decisions_from_being_written() -> None:
        operations = "SELECT FROM payments_operation"
        _wait_until(lambda: owner_cursor.execute(operations).fetchall(), "a charge is written")
        with owner_cursor.connection.transaction():
            owner_cursor.execute("LOCK TABLE payments_routing_decision IN EXCLUSIVE MODE")
            _wait_until(shop.psp.release, "the PSP holds the call")
            time.sleep(wait_seconds)

    release = Thread(target=keep_decisions_from_being_written)
    release.start()
    caller = shop.caller(
        key="late", body="late", answer_by_monotonic=time.monotonic() + wait_seconds
    )
    answer = shop.create(caller=caller)
    release.join()
    intent_id = body_of(answer)["id"]
    assert body_of(answer)["status"] == "processing"
    _wait_until(lambda: shop.intent(intent_id).status != "PROCESSING", "the next charge was sent")
    assert statuses(shop, intent_id) == PAID_AT_THE_SECOND
    assert charges_made(shop) == ["authorize", "capture"]
    assert shop.create(caller=caller).body == answer.body
    assert_the_books_agree()


UNTOUCHED = "nothing: its sender records the first answer"
TOUCHED: dict[str, dict[str, Any]] = {
    UNTOUCHED: {},
    "another worker has taken its lease": {"lease_until": "2000-01-01T00:00:00Z"},
    "its outcome was unknown": {"status": "UNKNOWN"},
    "it was sent again": {"resent_at": "2000-01-01T00:00:00Z"},
    "its key was forbidden at the PSP": {"fenced_at": "2000-01-01T00:00:00Z"},
    "the merchant was told that it is being processed": {},
}


@pytest.mark.parametrize("what", TOUCHED)
def test_only_the_first_answer_to_the_sender_may_lead_elsewhere(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], what: str
) -> None:
    crash_at((execution, "execute", "before"), shop.create)
    [charge] = Operation.objects.filter(merchant_id=shop.merchant.id)
    with triggers_off(owner_cursor, "payments_operation"):
        Operation.objects.filter(pk=charge.pk).update(**TOUCHED[what])
    asked: list[Change] = []
    record_outcome(
        operation=charge,
        result=PspResult(outcome=Outcome.DECLINED, psp_id="pay_1", elsewhere=True),
        caller=callers.for_operation(charge, "test"),
        sender_lease=charge.lease_until,
        was_accepted=lambda: "the merchant was told" in what,
        elsewhere=asked.append,
    )
    assert bool(asked) == (what == UNTOUCHED)
    charge.refresh_from_db()
    assert (charge.status, charge.intent.status) == ("DECLINED", "FAILED")


def _wait_until(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, f"not within 10 s: {what}"
        time.sleep(0.02)
