"""verify_ledger names the payments that differ from the books, and only those."""

from __future__ import annotations

from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import OperationalError, connection

from ledger.database.statements import execute
from payments.services.verification.rebuild import differences, one_snapshot
from payments.tests.support.shop import Shop, body_of


def payments_in_every_status(shop: Shop) -> list[str]:
    """Payments in every class of status; their public ids."""
    ids = []
    for token, manual in [
        ("pm_card_visa", False),
        ("pm_card_visa", True),
        ("pm_card_visa_chargeDeclined", False),
        ("pm_card_threeDSecure2Required", False),
        ("pm_bankDebit_success", False),
    ]:
        body = body_of(shop.create(10_000, token=token, manual=manual, order_id=""))
        ids.append(body.get("payment_intent", body)["id"])
    shop.refund(ids[0], 2_000)
    ids.append(body_of(shop.create(confirm=False, order_id=""))["id"])
    canceled = body_of(shop.create(manual=True, order_id=""))["id"]
    shop.cancel(canceled)
    return [*ids, canceled]


def test_payments_in_every_status_agree_with_the_books(shop: Shop) -> None:
    payments_in_every_status(shop)
    out = StringIO()
    call_command("verify_ledger", stdout=out)
    assert out.getvalue() == "the books hold: 7 payments agree\n"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("amount_authorized_minor", 12_000, "authorized is stored as 120.00 USD"),
        ("amount_captured_minor", 9_000, "captured is stored as 90.00 USD"),
        ("amount_refunded_minor", 3_000, "refunded is stored as 30.00 USD"),
        ("amount_refund_pending_minor", 1, "reserved for refunds is stored as 0.01 USD"),
        ("status", "CAPTURED", "status is stored as CAPTURED"),
        ("status", "CANCELED", "status is stored as CANCELED"),
    ],
)
def test_a_row_changed_by_hand_is_named_and_the_command_exits_1(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], column: str, value: object, said: str
) -> None:
    intent = shop.intent(payments_in_every_status(shop)[0])
    owner_cursor.execute("ALTER TABLE payments_payment_intent DISABLE TRIGGER ALL")
    owner_cursor.execute(
        psycopg.sql.SQL("UPDATE payments_payment_intent SET {} = %s WHERE id = %s").format(
            psycopg.sql.Identifier(column)
        ),
        [value, intent.id],
    )
    owner_cursor.execute("ALTER TABLE payments_payment_intent ENABLE TRIGGER ALL")

    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as exit_:
        call_command("verify_ledger", stdout=out, stderr=err)

    assert exit_.value.code == 1
    assert intent.public_id in out.getvalue()
    assert said in out.getvalue()
    assert "the books do not hold" in err.getvalue()


def test_entries_of_a_payment_that_does_not_exist_are_named(
    shop: Shop, owner_cursor: psycopg.Cursor[Any]
) -> None:
    intent = shop.intent(body_of(shop.create())["id"])
    owner_cursor.execute("ALTER TABLE payments_payment_intent DISABLE TRIGGER ALL")
    owner_cursor.execute("DELETE FROM payments_payment_intent WHERE id = %s", [intent.id])
    owner_cursor.execute("ALTER TABLE payments_payment_intent ENABLE TRIGGER ALL")
    assert [d for d in differences() if str(intent.id) in d]


def test_a_snapshot_may_outlast_a_request_but_not_its_own_limit(
    database: None,
) -> None:
    execute("SET transaction_timeout = '300ms'")
    execute("SET statement_timeout = '300ms'")
    try:
        for given_seconds in (None, 30):
            with one_snapshot(seconds_most=given_seconds):
                execute("SELECT pg_sleep(0.6)")
                execute("SELECT pg_sleep(0.6)")
        with pytest.raises(OperationalError) as error, one_snapshot(seconds_most=0.5):
            execute("SELECT pg_sleep(10)")
        assert isinstance(error.value.__cause__, psycopg.errors.QueryCanceled)
    finally:
        connection.close()
