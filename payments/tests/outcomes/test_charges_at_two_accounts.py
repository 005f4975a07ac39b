"""A payment charged at one PSP account after another: each charge stays at its own account."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, transaction

from ledger.database.row_ids import new_row_id
from payments.models import Operation, PaymentIntent, PspAccount
from payments.services.verification.rebuild import differences
from payments.states import BLOCKING_CHARGE, OperationStatus
from payments.tests.support.late_outcomes import (
    assert_the_books_agree,
    balances,
    cases,
    falsely_closed,
    reference,
    statuses,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, another_account, body_of, confirm_at, uuid_of
from payments.tests.verification.test_every_column import triggers_off
from psp_adapters.contract.operations import Outcome


@pytest.fixture
def second(shop: Shop) -> PspAccount:
    shop.merchant.late_success_policy = "keep"
    shop.merchant.save(update_fields=["late_success_policy"])
    return another_account(shop)


def give_back(shop: Shop, *, until_none: int = 3) -> None:
    for _ in range(until_none):
        sweep_reversals()
        shop.settle()


@pytest.mark.matrix(most=5)
@pytest.mark.parametrize("manual", [False, True])
@pytest.mark.parametrize("late_first", [True, False])
@pytest.mark.parametrize("false_end", [Outcome.DECLINED, Outcome.NOT_SENT])
def test_a_late_charge_at_the_first_account_is_a_duplicate_in_every_order(
    shop: Shop, second: PspAccount, false_end: Outcome, late_first: bool, manual: bool
) -> None:
    intent_id, first = falsely_closed(shop, false_end, manual=manual)
    lose_the_answer(shop, "authorize")
    assert body_of(confirm_at(shop, intent_id, second))["status"] == "processing"
    steps: list[Callable[[], None]] = [lambda: sync_as_notified(first), shop.settle]
    for step in steps if late_first else reversed(steps):
        step()
        assert_the_books_agree()
    assert statuses(shop, intent_id)[:2] == [("authorize", "EXCESS"), ("authorize", "SUCCEEDED")]
    give_back(shop)

    intent = shop.intent(intent_id)
    assert (intent.status, intent.psp_account) == ("AUTHORIZED" if manual else "CAPTURED", second)
    *_, charge, reversal = shop.operations(intent_id)
    assert (reversal.psp_account, reversal.charge_id) == (shop.account, first.id)
    assert (charge.psp_account, charge.id) == (second, intent.latest_charge_id)
    taken = {9100: 10_000} if manual else {1100: 10_000}
    assert taken.items() <= balances(intent_id, at=second).items()
    assert not balances(intent_id, at=shop.account).get(9100)
    back = [e["kind"] for e in shop.effects() if e["kind"] in ("void", "refund")]
    assert back == ["void" if manual else "refund"]
    assert "late_success" in cases()
    assert_the_books_agree()


def test_a_late_charge_counts_at_its_own_account_after_the_second_one_failed(
    shop: Shop, second: PspAccount
) -> None:
    intent_id, first = falsely_closed(shop, Outcome.DECLINED, manual=True)
    confirm_at(shop, intent_id, second, token="pm_card_chargeDeclined")
    assert shop.intent(intent_id).psp_account == second
    sync_as_notified(first)

    assert shop.intent(intent_id).psp_account == shop.account
    shop.capture(intent_id, 10_000)
    shop.refund(intent_id, 4_000)
    accounts = {o.kind: o.psp_account for o in shop.operations(intent_id) if not o.is_charge}
    assert accounts == {"capture": shop.account, "refund": shop.account}
    assert balances(intent_id, at=second) == {}
    assert_the_books_agree()


def test_a_late_charge_beside_an_open_one_goes_back_also_if_that_one_fails(
    shop: Shop, second: PspAccount
) -> None:
    intent_id, first = falsely_closed(shop, Outcome.NOT_SENT)
    lose_the_answer(shop, "authorize")
    confirm_at(shop, intent_id, second, token="pm_card_chargeDeclined")
    sync_as_notified(first)
    shop.settle()
    give_back(shop)
    assert shop.intent(intent_id).status == "FAILED"
    assert [e["kind"] for e in shop.effects()] == ["authorize", "capture", "refund"]
    assert_the_books_agree()


def test_changes_and_refunds_go_to_the_account_of_the_charge(
    shop: Shop, second: PspAccount
) -> None:
    declined = shop.create(10_000, manual=True, token="pm_card_chargeDeclined")
    intent_id = body_of(declined)["payment_intent"]["id"]
    confirm_at(shop, intent_id, second)
    shop.capture(intent_id, 10_000)
    shop.refund(intent_id, 1_000)
    assert [o.psp_account for o in shop.operations(intent_id)] == [shop.account, *3 * [second]]
    shop.psp.revise(reference(shop.operations(intent_id)[-1]), "fail")
    sync_as_notified(shop.operations(intent_id)[1])
    assert shop.intent(intent_id).amount_refunded_minor == 0
    assert_the_books_agree()


@pytest.mark.parametrize("status", OperationStatus)
def test_postgresql_and_python_let_the_same_payments_move_to_another_account(
    shop: Shop, second: PspAccount, owner_cursor: psycopg.Cursor[Any], status: OperationStatus
) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    rows = PaymentIntent.objects.filter(pk=uuid_of(intent_id))
    with triggers_off(owner_cursor, "payments_operation"):
        owner_cursor.execute("UPDATE payments_operation SET status = %s", [status.value])

    def moves(**changes: Any) -> bool:
        with suppress(IntegrityError):
            return bool(rows.update(psp_account=second, **changes))
        return False

    assert not moves(), "its newest charge is at the first account"
    assert shop.intent(intent_id).psp_account == shop.account
    assert moves(latest_charge_id=None) == (status not in BLOCKING_CHARGE)


@pytest.mark.parametrize("kind", ["charge", "change"])
def test_no_operation_begins_at_another_account_than_its_charge_or_payment(
    shop: Shop, second: PspAccount, kind: str
) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id, 10_000)
    shop.psp.revise(reference(shop.operations(intent_id)[0]), "fail")
    sync_as_notified(shop.operations(intent_id)[0])
    wrong = copy.copy(shop.operations(intent_id)[kind == "change"])
    wrong.psp_account_id, wrong.psp_id, wrong.guard_order = second.id, "", None
    wrong.__dict__["status"], wrong._state.adding = OperationStatus.SENDING, True
    with (
        pytest.raises(IntegrityError, match=f"{kind}_at_other_account"),
        transaction.atomic(),
    ):
        wrong.id = new_row_id()
        wrong.save(force_insert=True)
    assert Operation.objects.filter(intent_id=uuid_of(intent_id)).count() == 2


def test_entries_at_another_account_than_their_charge_are_named(
    shop: Shop, second: PspAccount, owner_cursor: psycopg.Cursor[Any]
) -> None:
    declined = shop.create(10_000, token="pm_card_chargeDeclined")
    intent_id = body_of(declined)["payment_intent"]["id"]
    confirm_at(shop, intent_id, second)
    assert_the_books_agree()
    other = body_of(shop.create(10_000, order_id="another"))["id"]
    with triggers_off(owner_cursor, "ledger_entry"):
        owner_cursor.execute(
            "UPDATE ledger_entry SET account_id = (SELECT account_id FROM ledger_entry e JOIN "
            "ledger_account a ON a.id = e.account_id WHERE e.payment_id = %s AND a.code = 1100) "
            "WHERE payment_id = %s AND account_id IN (SELECT id FROM ledger_account WHERE "
            "code = 1100)",
            [uuid_of(other), uuid_of(intent_id)],
        )
    said = f"{intent_id}: entries on account 1100 of {shop.account.code}"
    assert said in list(differences())
