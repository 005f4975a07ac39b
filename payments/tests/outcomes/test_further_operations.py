"""A PSP that acted twice for one key: the second charge is booked apart and given back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from payments.models import Case, Operation, PspNotification
from payments.services.psp_gateway import accounts, sending
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    cases,
    confirm_late_outcomes,
    counters,
    statuses,
    sweep_reversals,
)
from payments.tests.support.notices import Hooks, lose_the_answer
from payments.tests.support.shop import Shop, body_of


def send_again_with_another_key(shop: Shop, operation: Operation) -> None:
    """Have the PSP do it once more under the same reference, as one that forgot the key would."""
    request = replace(sending.request_of(operation), psp_key="forgotten")
    adapter = accounts.adapter_of(shop.account)
    done = getattr(adapter, operation.kind)(request, deadline_seconds=5)
    assert done.outcome == "succeeded"


@pytest.mark.parametrize("manual", [False, True])
def test_a_second_charge_under_one_reference_has_a_case_and_goes_back(
    shop: Shop, manual: bool
) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000, manual=manual))["id"]
    [charge] = shop.operations(intent_id)
    send_again_with_another_key(shop, charge)

    shop.settle()
    [own, second] = shop.operations(intent_id)
    assert (own.status, second.status) == ("SUCCEEDED", "DECLINED")
    assert cases() == ["external_operation"]
    assert "second charge of 100.00 USD" in Case.objects.get().summary

    shop.settle()
    assert statuses(shop, intent_id) == [("authorize", "SUCCEEDED"), ("authorize", "EXCESS")]
    assert counters(shop, intent_id)["excess"] == 10_000
    assert_the_books_agree()
    sweep_reversals()
    confirm_late_outcomes()
    held = "AUTHORIZED" if manual else "CAPTURED"
    assert shop.intent(intent_id).status == held
    gone = sum(e["amount_minor"] for e in shop.effects() if e["kind"] in ("void", "refund"))
    assert gone == 10_000
    assert_the_books_agree()


def test_a_second_refund_under_one_reference_is_booked_as_an_external_one(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    lose_the_answer(shop, "refund")
    shop.refund(intent_id, 3_000)
    send_again_with_another_key(shop, shop.operations(intent_id)[-1])
    shop.settle()
    shop.settle()
    assert shop.intent(intent_id).amount_refunded_minor == 6_000
    assert [r.status for r in shop.refunds(intent_id)] == ["succeeded"] * 2
    assert "external_operation" in cases()
    assert_the_books_agree()


def test_a_second_charge_is_recorded_once_however_often_it_is_looked_up(shop: Shop) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(token="pm_usBankAccount_success"))["id"]
    [charge] = shop.operations(intent_id)
    send = replace(sending.request_of(charge), psp_key="forgotten")
    accounts.adapter_of(shop.account).authorize(send, deadline_seconds=5)
    for _ in range(3):
        shop.settle()
    assert Operation.objects.filter(kind="authorize").count() == 2


def test_a_notification_of_the_second_charge_is_about_the_second_charge(
    shop: Shop, hooks: Hooks
) -> None:
    lose_the_answer(shop, "authorize")
    intent_id = body_of(shop.create(10_000))["id"]
    [charge] = shop.operations(intent_id)
    send_again_with_another_key(shop, charge)
    shop.settle()
    for notice in hooks.receiver.wait_until(lambda all_: len(all_) >= 2):
        hooks.take(notice)
    assert set(PspNotification.objects.values_list("status", flat=True)) == {"processed"}
    assert "contradiction" not in cases()
    assert ("authorize", "EXCESS") in statuses(shop, intent_id)
