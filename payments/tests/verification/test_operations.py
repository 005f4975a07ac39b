"""verify_ledger names an operation, refund or entry that was changed by hand, and what is wrong."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError

from payments.models import Operation
from payments.services.verification.rebuild import differences
from payments.tests.outcomes.test_adoption import ask_in_euro
from payments.tests.support.late_outcomes import (
    close_as,
    falsely_closed,
    sweep_reversals,
    sync_as_notified,
)
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop, body_of
from payments.tests.verification.test_every_column import triggers_off
from psp_adapters.contract.operations import Outcome

Cursor = psycopg.Cursor[Any]


@pytest.fixture
def paid(shop: Shop) -> str:
    """A payment of 100.00, captured in two parts and refunded by 30.00."""
    shop.merchant.platform_fee_basis_points = 150
    shop.merchant.save(update_fields=["platform_fee_basis_points"])
    intent_id: str = body_of(shop.create(10_000, manual=True))["id"]
    shop.capture(intent_id, 4_000, final=False)
    shop.capture(intent_id, 6_000)
    shop.refund(intent_id, 3_000)
    assert list(differences()) == []
    return intent_id


@pytest.fixture
def by_hand(owner_cursor: Cursor) -> Callable[..., None]:
    """Run an UPDATE as the owner of its table may, with every trigger off."""

    def run(statement: str, *params: object) -> None:
        with triggers_off(owner_cursor, statement.split()[1]):
            owner_cursor.execute(statement, params)  # type: ignore[arg-type]

    return run


OPERATION = "UPDATE payments_operation SET {} WHERE id = %s"
CHANGES = {
    "a capture of another amount": (1, "amount_minor = 5000", "should be booked as captured"),
    "a capture in another currency": (1, "currency = 'EUR'", "EUR should be booked as captured"),
    "a capture that was never made": (1, "status = 'DECLINED'", "0.00 USD should be booked"),
    "a refund that was never made": (3, "status = 'DECLINED'", "0.00 USD should be booked"),
    "a capture that is another kind": (1, "kind = 'void'", "0.00 USD should be booked"),
    "another charge": (0, "capture_now = true", "100.00 USD should be booked as captured"),
    "an open refund without a look-up": (
        3,
        "status = 'PENDING', next_check_at = NULL",
        "nothing will look it up again",
    ),
    "another balance transaction": (
        1,
        "balance_transaction_id = gen_random_uuid()",
        "balance_transaction_id names a transaction that is not its own",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_operation_is_named(
    shop: Shop, paid: str, by_hand: Callable[..., None], name: str
) -> None:
    position, change, said = CHANGES[name]
    operation = shop.operations(paid)[position]
    by_hand(OPERATION.format(change), operation.id)
    found = [each for each in differences() if said in each]
    assert found, list(differences())
    assert any(operation.public_id in each for each in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("amount_minor = 2000", "its operation is about 30.00 USD"),
        ("currency = 'EUR'", "its operation is about 30.00 USD"),
        ("status = 'failed'", "its operation is SUCCEEDED"),
        ("charge_id = gen_random_uuid()", "of another payment or charge"),
    ],
)
def test_a_changed_refund_is_named(
    shop: Shop, paid: str, by_hand: Callable[..., None], change: str, said: str
) -> None:
    [refund] = shop.refunds(paid)
    by_hand(f"UPDATE payments_refund SET {change} WHERE id = %s", refund.id)
    assert [each for each in differences() if refund.public_id in each and said in each]


def test_entries_on_another_merchants_account_are_named(
    shop: Shop, other_shop: Shop, paid: str, by_hand: Callable[..., None]
) -> None:
    other_shop.create(10_000)
    by_hand(
        "UPDATE ledger_entry SET account_id = (SELECT a.id FROM ledger_account a WHERE a.code = "
        "2100 AND a.dimension LIKE %s) WHERE payment_id = %s AND account_id IN "
        "(SELECT id FROM ledger_account WHERE code = 2100)",
        f"{other_shop.merchant.id}%",
        shop.intent(paid).id,
    )
    assert any("entries on account 2100" in each for each in differences())


def test_a_transaction_of_another_merchant_or_source_is_named(
    shop: Shop, paid: str, by_hand: Callable[..., None]
) -> None:
    intent = shop.intent(paid)
    by_hand(
        "UPDATE ledger_transaction SET merchant_id = %s "
        "WHERE payment_id = %s AND rule = 'captured'",
        uuid.uuid4(),
        intent.id,
    )
    assert any("booked for another merchant" in each for each in differences())
    by_hand(
        "UPDATE ledger_transaction SET merchant_id = %s, source_id = gen_random_uuid() "
        "WHERE payment_id = %s",
        intent.merchant_id,
        intent.id,
    )
    assert any("for an operation that it does not have" in each for each in differences())
    for source_type, said in (
        ("dispute", "for a dispute that it does not have"),
        ("settlement", "for a 'settlement', for which nothing is booked"),
    ):
        by_hand(
            "UPDATE ledger_transaction SET source_type = %s "
            "WHERE payment_id = %s AND rule = 'platform_fee'",
            source_type,
            intent.id,
        )
        assert any(said in each for each in differences())


def test_a_fee_that_is_booked_as_part_of_a_hold_is_named(
    shop: Shop, paid: str, owner_cursor: Cursor
) -> None:
    charge, capture = shop.operations(paid)[:2]
    for table, key in (("ledger_transaction", "id"), ("ledger_entry", "transaction_id")):
        owner_cursor.execute(
            f"CREATE TEMPORARY TABLE copied_{table} AS SELECT * FROM {table} WHERE {key} = "
            "(SELECT id FROM ledger_transaction WHERE source_id = %s AND rule = 'platform_fee')",
            [capture.id],
        )
        changes = f"{key} = %s, source_type = 'hold/1', source_id = %s"
        if table == "ledger_entry":
            changes = f"{key} = %s, id = id + 1000"
        owner_cursor.execute(
            f"UPDATE copied_{table} SET {changes}", [charge.id, charge.id][: changes.count("%s")]
        )
        with triggers_off(owner_cursor, table):
            owner_cursor.execute(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM copied_{table}"
            )
        owner_cursor.execute(f"DROP TABLE copied_{table}")
    assert any("0.00 USD should be booked as platform fee" in each for each in differences())


def test_entries_in_a_currency_of_no_operation_are_named(
    shop: Shop, paid: str, by_hand: Callable[..., None]
) -> None:
    by_hand("UPDATE ledger_entry SET currency = 'EUR' WHERE payment_id = %s", shop.intent(paid).id)
    assert any("in EUR, and none of its operations is" in each for each in differences())


def test_the_return_of_a_duplicate_charge_in_another_currency_is_compared(
    shop: Shop, by_hand: Callable[..., None]
) -> None:
    intent_id, charge = falsely_closed(shop, Outcome.DECLINED)
    ask_in_euro(shop, intent_id)
    sync_as_notified(charge)
    assert list(differences()) == []
    by_hand(OPERATION.format("excess_returned_minor = excess_minor"), charge.id)
    assert any("are 0.00 USD taken" in each for each in differences())


def test_two_duplicate_charges_changed_by_the_same_amount_are_both_named(
    shop: Shop, by_hand: Callable[..., None]
) -> None:
    """Their sum in the payment is as before."""
    intent_id, first = falsely_closed(shop, Outcome.DECLINED)
    lose_the_answer(shop, "authorize")
    shop.confirm(intent_id, token="tok_visa")
    second = shop.operations(intent_id)[-1]
    close_as(second, Outcome.DECLINED)
    assert body_of(shop.confirm(intent_id, token="tok_visa"))["status"] == "succeeded"
    sync_as_notified(first)
    sweep_reversals()
    sync_as_notified(second)
    assert list(differences()) == []
    by_hand(OPERATION.format("excess_returned_minor = excess_minor - 1"), first.id)
    by_hand(OPERATION.format("excess_returned_minor = 1"), second.id)
    named = {each.split(":")[0] for each in differences() if "taken is to go back" in each}
    assert named == {first.public_id, second.public_id}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE payments_operation SET kind = 'nonsense' WHERE id = %s",
        "UPDATE payments_operation SET currency = 'ZZZ', excess_minor = 1 WHERE id = %s",
        "UPDATE payments_refund SET currency = 'ZZZ' WHERE intent_id = %s",
        "UPDATE ledger_entry SET currency = 'ZZZ' WHERE payment_id = %s",
        "UPDATE payments_payment_intent SET currency = 'ZZZ' WHERE id = %s",
    ],
)
def test_a_payment_that_cannot_be_compared_does_not_hide_the_next(
    shop: Shop, paid: str, by_hand: Callable[..., None], damage: str
) -> None:
    next_id = body_of(shop.create(5_000, order_id="next"))["id"]
    first, second = shop.intent(paid), shop.intent(next_id)
    capture = shop.operations(paid)[1]
    by_hand(damage, capture.id if "operation" in damage else first.id)
    by_hand("UPDATE payments_payment_intent SET amount_captured_minor = 1 WHERE id = %s", second.id)
    found = list(differences())
    assert any(first.public_id in each for each in found)
    assert any(second.public_id in each and "captured is stored" in each for each in found)


def test_a_lost_order_guard_is_named(shop: Shop, paid: str) -> None:
    charge = shop.operations(paid)[0]
    Operation.objects.filter(pk=charge.pk).update(guard_order=None)
    assert list(differences()) == [
        f"{charge.public_id}: the order {shop.order_id!r} is not guarded, though it is paid"
    ]


def test_a_guard_of_an_order_that_is_free_is_named(shop: Shop) -> None:
    intent_id = body_of(shop.create(10_000))["id"]
    shop.refund(intent_id)
    charge = shop.operations(intent_id)[0]
    Operation.objects.filter(pk=charge.pk).update(guard_order=shop.order_id)
    assert list(differences()) == [f"{charge.public_id}: occupies {shop.order_id!r} for nothing"]


@pytest.mark.parametrize("was_on", [True, False])
def test_a_merchant_may_switch_the_order_guard(shop: Shop, was_on: bool) -> None:
    for is_on in (was_on, not was_on):
        shop.merchant.order_guard = is_on
        shop.merchant.save(update_fields=["order_guard"])
        shop.create(10_000, order_id=f"{shop.order_id}-{is_on}")
    assert list(differences()) == []


def test_postgresql_refuses_an_occupied_order_of_a_charge_without_a_guard(shop: Shop) -> None:
    shop.merchant.order_guard = False
    shop.merchant.save(update_fields=["order_guard"])
    intent_id = body_of(shop.create(10_000))["id"]
    charge = shop.operations(intent_id)[0]
    with pytest.raises(IntegrityError, match="operation_occupies_an_order_it_guards"):
        Operation.objects.filter(pk=charge.pk).update(guard_order=shop.order_id)
    assert shop.operations(intent_id)[0].guard_order is None
