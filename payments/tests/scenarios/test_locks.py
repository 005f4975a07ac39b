"""Lock order and connections of a money move, as PostgreSQL sees them."""

from __future__ import annotations

import threading
from typing import Any, Final

import psycopg
import pytest
from django.db import connections

from payments.models import IdempotencyKey, Operation, PaymentIntent
from payments.services.outcomes.recording import record_outcome
from payments.tests.support.shop import Shop, body_of
from psp_adapters.contract.operations import Outcome, PspResult


def test_an_outcome_locks_the_key_then_the_intent_then_the_operation(
    shop: Shop, owner_cursor: psycopg.Cursor[Any], database_urls: Any
) -> None:
    shop.psp.script({"drop_after": True}, order_id=shop.order_id)
    intent = shop.intent(body_of(shop.create(caller=shop.caller(key="k")))["id"])
    [operation] = shop.operations(intent.public_id)
    key = IdempotencyKey.objects.get()
    result = PspResult(outcome=Outcome.UNKNOWN, detail="again")
    with psycopg.connect(database_urls.owner) as holder:
        holder.execute(
            "SELECT 1 FROM payments_payment_intent WHERE id = %s FOR UPDATE", [intent.id]
        )

        def record() -> None:
            try:
                record_outcome(operation=operation, result=result, caller=shop.caller())
            finally:
                connections.close_all()

        thread = threading.Thread(target=record)
        thread.start()
        wait_until_blocked(owner_cursor)
        assert is_locked(owner_cursor, "payments_idempotency_key", key.id)
        assert not is_locked(owner_cursor, "payments_operation", operation.id)
        holder.rollback()
        thread.join(timeout=10)
        assert not thread.is_alive()


@pytest.mark.usefixtures("really_closed")
def test_no_database_connection_is_held_during_a_call_to_the_psp(
    shop: Shop, owner_cursor: psycopg.Cursor[Any]
) -> None:
    shop.psp.script({"hold": True}, order_id=shop.order_id)

    def pay() -> None:
        try:
            shop.create()
        finally:
            connections.close_all()

    thread = threading.Thread(target=pay)
    thread.start()
    shop.psp.wait_for(order_id=shop.order_id, kind="capture")
    connections.close_all()
    held = connections_held(owner_cursor)
    shop.psp.release()
    thread.join(timeout=10)

    assert held == 0
    assert PaymentIntent.objects.get().status == "CAPTURED"


def connections_held(cursor: psycopg.Cursor[Any]) -> int:
    """Connections of the application, once those that were closed just now are gone."""
    for _ in range(100):
        row = cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND usename <> current_user"
        ).fetchone()
        if row == (0,):
            return 0
        cursor.execute("SELECT pg_sleep(0.02)")
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("other_intent", "refusal"),
    [(False, "one_charge_per_intent"), (True, "one_charge_per_order")],
)
def test_postgresql_itself_refuses_a_second_charge(
    shop: Shop,
    application_cursor: psycopg.Cursor[Any],
    other_intent: bool,
    refusal: str,
) -> None:
    first = shop.intent(body_of(shop.create(manual=True))["id"])
    other = shop.intent(body_of(shop.create(confirm=False, order_id=""))["id"])
    columns = [f.column for f in Operation._meta.concrete_fields]
    new = {
        "id": "gen_random_uuid()",
        "psp_key": "'another'",
        "status": "'SENDING'",
        "psp_id": "''",
        "intent_id": f"'{other.id if other_intent else first.id}'::uuid",
        "guard_order": "guard_order" if other_intent else "NULL",
    }
    values = ", ".join(new.get(column, column) for column in columns)
    with pytest.raises(psycopg.errors.UniqueViolation, match=refusal):
        application_cursor.execute(
            f"INSERT INTO payments_operation ({', '.join(columns)}) "
            f"SELECT {values} FROM payments_operation WHERE kind = 'authorize'"
        )
    assert Operation.objects.count() == 1


# A row's lock is in no database, but who waits for one has locks in its own.
BLOCKED: Final = """
    SELECT FROM pg_locks WHERE NOT granted AND pid IN (
           SELECT pid FROM pg_locks
            WHERE database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""


def wait_until_blocked(cursor: psycopg.Cursor[Any]) -> None:
    for _ in range(200):
        if cursor.execute(BLOCKED).fetchall():
            return
        cursor.execute("SELECT pg_sleep(0.02)")
    pytest.fail("no session waits for the lock")


def is_locked(cursor: psycopg.Cursor[Any], table: str, identifier: Any) -> bool:
    free = cursor.execute(
        psycopg.sql.SQL("SELECT 1 FROM {} WHERE id = %s FOR UPDATE SKIP LOCKED").format(
            psycopg.sql.Identifier(table)
        ),
        [identifier],
    ).fetchone()
    return free is None
