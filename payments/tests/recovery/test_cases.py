"""An outcome that recovery cannot determine becomes a case, whatever the cause."""

from __future__ import annotations

from dataclasses import replace

from ledger.money import Money
from payments.models import Case, Event, PaymentIntent
from payments.selectors.waiting import operations_with_unknown_outcome
from payments.services.commands.operators.cases import close_case
from payments.services.psp_gateway import accounts, sending
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.scenarios.test_crashes import end_leases
from payments.tests.support.crashes import crash
from payments.tests.support.factories import (
    credentials_of,
    lose_credentials,
    set_credentials,
    staff,
)
from payments.tests.support.late_outcomes import assert_the_books_agree, cases
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, age_operations, body_of
from psp_adapters.tests.support.sandbox_process import SandboxProcess

A_DAY_AND_A_SECOND = 24 * 3600 + 1


def test_a_charge_left_by_a_dead_sender_is_unknown_and_a_case_while_its_account_has_no_credentials(
    shop: Shop,
) -> None:
    crash("before the PSP has it", shop.create)
    end_leases()
    intent_id = _only_intent(shop)
    credentials = credentials_of(shop.account)
    lose_credentials(shop.account)

    assert recovery_sweep.resolve_due_operations() == 1
    [charge] = shop.operations(intent_id)
    assert charge.status == "UNKNOWN"
    assert "BadCredentials" in charge.detail
    assert operations_with_unknown_outcome().count == 1
    assert cases() == []

    age_operations(intent_id, seconds=A_DAY_AND_A_SECOND)
    end_leases()
    assert recovery_sweep.resolve_due_operations() == 1
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("outcome_unknown", charge.public_id)
    assert "BadCredentials" in case.summary
    assert shop.intent(intent_id).status == "PROCESSING"

    set_credentials(shop.account, **credentials)
    shop.settle()
    assert shop.operations(intent_id)[0].status == "NOT_SENT"
    assert shop.effects() == []


def test_a_pending_operation_that_the_psp_no_longer_finds_is_a_case_after_a_day(shop: Shop) -> None:
    intent_id = body_of(shop.create(token="pm_usBankAccount_success"))["id"]
    assert shop.operations(intent_id)[0].status == "PENDING"
    with SandboxProcess() as empty_psp:
        set_credentials(shop.account, base_url=empty_psp.base_url)
        shop.settle()
        assert cases() == []

        age_operations(intent_id, seconds=A_DAY_AND_A_SECOND)
        shop.settle()
    assert "no longer finds" in Case.objects.get().summary
    assert shop.operations(intent_id)[0].status == "PENDING"


def test_an_operation_pending_for_days_opens_no_case_while_the_psp_is_down(shop: Shop) -> None:
    intent_id = body_of(shop.create(token="pm_usBankAccount_success"))["id"]
    age_operations(intent_id, seconds=A_DAY_AND_A_SECOND)
    shop.settle()
    shop.psp.set_behavior(down=1)
    shop.settle()
    assert cases() == []


def test_a_psp_key_that_served_another_request_stops_all_sending_until_the_case_is_closed(
    shop: Shop,
) -> None:
    shop.psp.script({"drop_before": 1}, order_id=shop.order_id)
    intent_id = body_of(shop.create())["id"]
    [charge] = shop.operations(intent_id)
    adapter = accounts.adapter_of(accounts.psp_account_of(charge.psp_account_id))
    other = replace(
        sending.request_of(charge), reference="op_of_another_system", amount=Money(7, "USD")
    )
    adapter.authorize(other, deadline_seconds=5)

    shop.settle()
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("contradiction", charge.public_id)
    assert "idempotency_mismatch" in case.summary
    calls = len(shop.psp.calls(order_id=shop.order_id))
    age_operations(intent_id, seconds=90)
    for _ in range(4):
        shop.settle()
    [charge] = shop.operations(intent_id)
    assert (charge.status, charge.fenced_at) == ("UNKNOWN", None)
    assert len(shop.psp.calls(order_id=shop.order_id)) == calls, "nothing was sent or fenced"

    close_case(case.id, author=staff("ada"), resolution="The other request was a test of ours.")
    shop.settle()
    assert shop.operations(intent_id)[0].status == "NOT_SENT"
    assert shop.intent(intent_id).status == "FAILED"
    assert_the_books_agree()


def test_events_that_recovery_records_name_recovery_and_no_request(shop: Shop) -> None:
    lose_the_answer(shop, "authorize")
    caller = shop.caller(key="the key", request_id="req_1")
    intent_id = body_of(shop.create(caller=caller))["id"]
    shop.settle()
    assert shop.intent(intent_id).status == "CAPTURED"
    rows = Event.objects.filter(aggregateid=shop.intent(intent_id).id)
    told = {(row.actor, row.idempotency_key, row.request_id) for row in rows}
    assert told == {(caller.actor, "the key", "req_1"), ("job:recovery", "", "")}


def _only_intent(shop: Shop) -> str:
    return PaymentIntent.objects.get(merchant=shop.merchant).public_id
