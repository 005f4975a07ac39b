"""The connection to PostgreSQL is cut around a COMMIT: its outcome is never guessed.

Crash points C3 and C10, and C9 where the database is gone for good.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError

from payments.exceptions import IdempotencyKeyInUse
from payments.models import Operation
from payments.services.psp_gateway import sending
from payments.services.recovery import sweep as recovery_sweep
from payments.tests.support.money_moves import COMMANDS, Move, end_leases
from payments.tests.support.postgresql_wire import CommitCutter, When, through
from payments.tests.support.shop import Shop

WHENS: tuple[When, ...] = ("before the commit", "after the commit")
# A command commits twice; its reads use no transaction.
FIRST, SECOND = 1, 2


@pytest.fixture
def cutter() -> Iterator[CommitCutter]:
    with CommitCutter() as cutter:
        yield cutter


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_request_whose_first_commit_is_unconfirmed_does_not_call_the_psp(
    shop: Shop, cutter: CommitCutter, name: str, when: When
) -> None:
    move = Move(shop, name)
    written = Operation.objects.count()
    with through(cutter):
        cutter.arm(FIRST, when)
        with pytest.raises(OperationalError):
            move.run()

    assert cutter.cuts == 1
    assert move.calls() == []
    move.had_no_effect_yet()
    assert Operation.objects.count() == written + (when == "after the commit")
    if when == "after the commit":
        with pytest.raises(IdempotencyKeyInUse):
            move.run()
        assert move.calls() == []

    end_leases()
    answer = move.run()
    again = move.run()
    assert (again.body, again.replayed) == (answer.body, True)
    move.ended_once()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("name", COMMANDS)
def test_recovery_finishes_an_unconfirmed_first_commit(
    shop: Shop, cutter: CommitCutter, name: str
) -> None:
    move = Move(shop, name)
    with through(cutter):
        cutter.arm(FIRST, "after the commit")
        with pytest.raises(OperationalError):
            move.run()
    end_leases()
    recovery_sweep.resolve_due_operations()
    move.ended_once()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("when", WHENS)
@pytest.mark.parametrize("name", COMMANDS)
def test_an_unconfirmed_second_commit_is_repeated_without_another_call(
    shop: Shop, cutter: CommitCutter, name: str, when: When
) -> None:
    move = Move(shop, name)
    with through(cutter):
        cutter.arm(SECOND, when)
        answer = move.run()

    assert cutter.cuts == 1
    assert len(move.calls()) == 1
    again = move.run()
    assert (answer.status, again.body, again.replayed) == (200, answer.body, True)
    move.ended_once()


@pytest.mark.matrix(most=3)
@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_success_that_cannot_be_recorded_is_never_a_failure(
    shop: Shop, cutter: CommitCutter, name: str, repeats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Move(shop, name)
    real = sending.send

    def send_and_lose_the_database(operation: Operation, **more: Any) -> object:
        result = real(operation, **more)
        cutter.cut_everything()
        return result

    monkeypatch.setattr(sending, "send", send_and_lose_the_database)
    with through(cutter), pytest.raises(OperationalError):
        move.run()
    monkeypatch.setattr(sending, "send", real)

    assert len(move.calls()) == 1
    end_leases()
    if repeats:
        answer = move.run()
        assert (answer.status, move.run().body) == (200, answer.body)
    else:
        recovery_sweep.resolve_due_operations()
    move.ended_once()
