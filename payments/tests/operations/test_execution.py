"""Whatever PostgreSQL does to a transaction of a money move, the PSP is called once.

Crash point C9 and dependency fault D5: an error around the call is repeated around the call.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connections

from payments.models import Operation
from payments.services.operations import execution
from payments.services.psp_gateway import sending
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.money_moves import COMMANDS, Move, end_leases
from payments.tests.support.postgresql_faults import failing
from payments.tests.support.shop import Shop
from paymentsite.postgresql.base import DatabaseWrapper

OPERATIONS = "payments_operation"
CODES = {
    "serialization failure": "40001",
    "deadlock": "40P01",
    "lock timeout": "55P03",
    "disk full": "53100",
    "server stops": "57P01",
}
AS_OFTEN_AS_TRIED = execution.RECORD_ATTEMPTS


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_an_error_in_the_second_transaction_repeats_it_and_not_the_call(
    shop: Shop, code: str
) -> None:
    move = Move(shop, "create")
    with failing(table=OPERATIONS, event="UPDATE", code=code, times=AS_OFTEN_AS_TRIED - 1):
        answer = move.run()
    assert len(move.calls()) == 1
    assert (answer.status, move.run().body) == (200, answer.body)
    move.ended_once()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_permanent_error_leaves_the_success_to_recovery(shop: Shop, name: str, code: str) -> None:
    move = Move(shop, name)
    with failing(table=OPERATIONS, event="UPDATE", code=code, times=AS_OFTEN_AS_TRIED):
        with pytest.raises(OperationalError):
            move.run()
    assert len(move.calls()) == 1
    assert Operation.objects.filter(status="SENDING").count() == 1

    end_leases()
    recovery_sweep.resolve_due_operations()
    move.ended_once()
    assert move.run().status == 200


@pytest.mark.matrix
@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
@pytest.mark.parametrize("name", COMMANDS)
def test_an_error_in_the_first_transaction_never_repeats_the_call(
    shop: Shop, name: str, code: str
) -> None:
    """Whether it is repeated inside the request or by the merchant is the product's choice."""
    move = Move(shop, name)
    with failing(table=OPERATIONS, event="INSERT", code=code, times=1):
        first = _answer_or_none(move.run)
    assert len(move.calls()) == (first is not None)
    answer = move.run()
    assert (answer.status, move.run().body) == (200, answer.body)
    assert len(move.calls()) == 1
    move.ended_once()


def test_a_deadlock_with_another_session_is_survived(shop: Shop, monkeypatch: Any) -> None:
    move = Move(shop, "capture")
    real, won = sending.send, threading.Event()

    def send(operation: Operation, **more: Any) -> object:
        result = real(operation, **more)
        other.begin(operation)
        return result

    with _Opponent(won) as other:
        monkeypatch.setattr(sending, "send", send)
        answer = move.run()
    assert won.is_set(), "PostgreSQL ended our transaction, and let the other one through"
    assert answer.status == 200
    assert len(move.calls()) == 1
    move.ended_once()


def test_an_empty_pool_leaves_the_success_to_recovery(shop: Shop, monkeypatch: Any) -> None:
    move = Move(shop, "create")
    real = sending.send
    with _pool_of_one() as pool:

        def send(operation: Operation, **more: Any) -> object:
            result = real(operation, **more)
            held.append(pool().getconn())  # another thread has the only one
            return result

        held: list[Any] = []
        monkeypatch.setattr(sending, "send", send)
        with pytest.raises(OperationalError):
            move.run()
        monkeypatch.setattr(sending, "send", real)
        pool().putconn(held.pop())
    assert len(move.calls()) == 1
    assert Operation.objects.filter(status="SENDING").count() == 1

    end_leases()
    answer = move.run()
    assert (answer.status, move.run().body) == (200, answer.body)
    move.ended_once()


def _answer_or_none(run: Callable[[], Any]) -> Any:
    try:
        return run()
    except OperationalError:
        return None


class _Opponent:
    """Another session that locks the operation and then wants its intent: the other way round."""

    def __init__(self, won: threading.Event) -> None:
        self._won = won
        self._thread: threading.Thread | None = None

    def begin(self, operation: Operation) -> None:
        """Return when the operation is locked; the rest runs once another session waits for it."""
        locked = threading.Event()
        self._thread = threading.Thread(target=self._fight, args=(operation, locked))
        self._thread.start()
        assert locked.wait(10)

    def _fight(self, operation: Operation, locked: threading.Event) -> None:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"]) as session:
            session.execute(f"SELECT 1 FROM {OPERATIONS} WHERE id = %s FOR UPDATE", [operation.id])
            locked.set()
            _wait_for_a_waiting_session(session)
            # Who waited first notices first, and loses.
            session.execute(
                "SELECT 1 FROM payments_payment_intent WHERE id = %s FOR UPDATE",
                [operation.intent_id],
            )
            self._won.set()
            session.rollback()

    def __enter__(self) -> _Opponent:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.join(30)


def _wait_for_a_waiting_session(session: psycopg.Connection[Any]) -> None:
    end = time.monotonic() + 10
    # Not from pg_stat_activity: that stands still inside a transaction.
    waiting = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    )
    while session.execute(waiting).fetchone() is None:
        assert time.monotonic() < end, "no session waits for the operation"
        time.sleep(0.01)


@contextmanager
def _pool_of_one() -> Iterator[Callable[[], Any]]:
    """Django with a pool of one connection, for which a thread waits only a moment."""
    settings = connections["default"].settings_dict
    before = {name: settings[name] for name in ("OPTIONS", "CONN_MAX_AGE")}
    connections.close_all()
    settings["OPTIONS"] = {
        **settings["OPTIONS"],
        "pool": {"min_size": 1, "max_size": 1, "timeout": 0.2},
    }
    settings["CONN_MAX_AGE"] = 0
    try:
        yield lambda: connections["default"].pool
    finally:
        connections.close_all()
        pool = DatabaseWrapper._connection_pools.pop("default", None)
        if pool is not None:
            pool.close()
        settings |= before
