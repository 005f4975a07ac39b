"""A sweep skips the account of an unresponsive PSP, so that it does not delay the others."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from payments.clock import now_utc
from payments.models import Operation, PspNotification
from payments.services.automatic_actions import late_success_reversals
from payments.services.jobs.due_queue import UNANSWERED_MAX
from payments.services.psp_notifications import processing
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.late_outcomes import falsely_closed, sync_as_notified
from payments.tests.support.notices import store_notice
from payments.tests.support.shop import Shop, body_of, open_shop
from psp_adapters.contract.operations import Outcome
from psp_adapters.tests.support.sandbox_process import SandboxProcess

LONG_AGO = now_utc() - timedelta(days=1)


@pytest.fixture
def second_psp() -> Any:
    """A PSP beside the shop's, which a test may kill."""
    with SandboxProcess() as process:
        yield process


def unknown_charges(shop: Shop, count: int) -> list[str]:
    """Charges whose answers were lost, all due."""
    shop.psp.script({"drop_after": True}, times=count, kind="authorize")
    return [body_of(shop.create(order_id=f"order-{uuid.uuid4().hex}"))["id"] for _ in range(count)]


def make_due(shop: Shop) -> None:
    Operation.objects.filter(merchant=shop.merchant, closed_at__isnull=True).update(
        lease_until=LONG_AGO, next_check_at=LONG_AGO
    )


def statuses(shop: Shop) -> list[str]:
    rows = Operation.objects.filter(merchant=shop.merchant).order_by("id")
    return list(rows.values_list("status", flat=True))


def test_an_unresponsive_account_is_called_twice_and_the_others_are_resolved(
    shop: Shop, second_psp: SandboxProcess
) -> None:
    stuck = open_shop(second_psp)
    unknown_charges(stuck, 6)
    unknown_charges(shop, 4)
    second_psp.kill()
    make_due(stuck)
    make_due(shop)

    taken = recovery_sweep.resolve_due_operations()

    assert taken == UNANSWERED_MAX + 4
    assert statuses(shop) == ["SUCCEEDED"] * 4
    assert statuses(stuck) == ["UNKNOWN"] * 6
    still_due = Operation.objects.filter(merchant=stuck.merchant, next_check_at__lte=now_utc())
    assert still_due.count() == 6 - UNANSWERED_MAX


def test_unknown_outcomes_are_resolved_soon_after_the_psp_answers_again(
    shop: Shop, second_psp: SandboxProcess
) -> None:
    stuck = open_shop(second_psp)
    unknown_charges(stuck, 6)
    second_psp.kill()
    for _ in range(3):
        make_due(stuck)
        recovery_sweep.resolve_due_operations()
    second_psp.start()

    recovery_sweep.resolve_due_operations()
    left = Operation.objects.filter(merchant=stuck.merchant, closed_at__isnull=True)
    assert left.count() == UNANSWERED_MAX
    # A look-up that the PSP did not answer is retried soon, and does not count as a check.
    soon = now_utc() + timedelta(seconds=recovery_sweep.RETRY_SECONDS_MAX)
    assert all(row.next_check_at and row.next_check_at <= soon for row in left)
    assert {row.checks for row in left} == {1}


def test_one_failed_look_up_does_not_make_its_account_unresponsive(shop: Shop) -> None:
    unknown_charges(shop, 3)
    make_due(shop)
    first = Operation.objects.filter(merchant=shop.merchant).order_by("id").first()
    assert first is not None
    Operation.objects.filter(pk=first.pk).update(next_check_at=LONG_AGO - timedelta(days=1))
    shop.psp.script({"error_before": True}, times=1, path="/v1/operations")

    recovery_sweep.resolve_due_operations()

    assert statuses(shop) == ["UNKNOWN", "SUCCEEDED", "SUCCEEDED"]


def test_an_operation_left_by_a_dead_sender_is_unknown_even_if_the_psp_cannot_be_reached(
    shop: Shop, second_psp: SandboxProcess
) -> None:
    stuck = open_shop(second_psp)
    intent_id = unknown_charges(stuck, 1)[0]
    second_psp.kill()
    make_due(stuck)
    recovery_sweep.resolve_due_operations()
    operation = stuck.operations(intent_id)[0]
    assert (operation.status, operation.checks) == ("UNKNOWN", 1)
    assert "could not be asked" in operation.detail


def test_notifications_of_an_unresponsive_account_do_not_delay_those_of_others(
    shop: Shop, second_psp: SandboxProcess
) -> None:
    stuck = open_shop(second_psp)
    for each, count in ((stuck, 8), (shop, 3)):
        unknown_charges(each, count)
        for reference in each.operations_references():
            store_notice(each, data={"payment_id": "", "references": [reference]})
    second_psp.kill()

    assert processing.process_due_notifications() < 11
    assert statuses(shop) == ["SUCCEEDED"] * 3
    rows = PspNotification.objects.filter(psp_account=stuck.account)
    asked = [row.last_error for row in rows if "could not be asked" in row.last_error]
    assert len(asked) == UNANSWERED_MAX
    assert {row.status for row in rows} <= {"failing", "stored"}


def test_reversals_at_an_unresponsive_account_do_not_delay_those_of_others(
    shop: Shop, second_psp: SandboxProcess
) -> None:
    stuck = open_shop(second_psp)
    for each, count in ((stuck, 4), (shop, 2)):
        for _ in range(count):
            each.order_id = f"order-{uuid.uuid4().hex}"
            _, charge = falsely_closed(each, Outcome.DECLINED, manual=True)
            sync_as_notified(charge)
    Operation.objects.filter(merchant=stuck.merchant).update(reversal_due_at=LONG_AGO)
    Operation.objects.filter(merchant=shop.merchant).update(reversal_due_at=now_utc())
    second_psp.kill()

    assert late_success_reversals.reverse_due_charges() == UNANSWERED_MAX + 2
    voids = Operation.objects.filter(kind="void")
    assert [row.status for row in voids.filter(merchant=shop.merchant)] == ["SUCCEEDED"] * 2
    assert voids.filter(merchant=stuck.merchant).count() == UNANSWERED_MAX
