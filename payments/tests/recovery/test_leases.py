"""Recovery leases one operation at a time, so a worker that stops delays only that one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from payments.models import Operation
from payments.services.psp_gateway.bulkhead import Bulkhead
from payments.services.recovery import sweep as recovery_sweep
from payments.services.verification.rebuild import differences
from payments.tests.support import crashes
from payments.tests.support.shop import Shop


def three_unknown(shop: Shop) -> None:
    """Three charges that the PSP made and whose answers were lost, all due."""
    for number in range(3):
        shop.psp.script({"drop_after": 1}, order_id=f"{shop.order_id}-{number}")
        shop.create(order_id=f"{shop.order_id}-{number}")
    make_due()
    assert due() == 3


def make_due() -> None:
    Operation.objects.filter(next_check_at__isnull=False).update(
        next_check_at="2000-01-01T00:00:00Z"
    )


def due() -> int:
    return Operation.objects.filter(next_check_at__lte=timezone.now()).count()


def test_a_killed_recovery_worker_delays_only_one_operation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_unknown(shop)
    where = (recovery_sweep, "record_outcome", "before")
    monkeypatch.setitem(crashes.STEPS, "while recovery knows", where)

    crashes.crash("while recovery knows", recovery_sweep.resolve_due_operations)

    assert due() == 2
    assert recovery_sweep.resolve_due_operations() == 2
    assert Operation.objects.filter(status="SUCCEEDED").count() == 2
    make_due()
    assert recovery_sweep.resolve_due_operations() == 1
    assert Operation.objects.filter(status="SUCCEEDED").count() == 3
    assert list(differences()) == []


def test_a_recovery_worker_that_loses_its_database_delays_only_one_operation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    three_unknown(shop)
    take, taken = recovery_sweep.QUEUE.take, []

    def take_while_the_database_is_there(**given: Any) -> list[Operation]:
        if taken:
            raise OperationalError("the database system is shutting down")
        taken.extend(take(**given))
        return taken

    def lost(*_: object, **__: object) -> None:
        raise OperationalError("the database system is shutting down")

    with monkeypatch.context() as gone:
        gone.setattr(recovery_sweep.QUEUE, "take", take_while_the_database_is_there)
        gone.setattr(recovery_sweep, "record_outcome", lost)
        with pytest.raises(OperationalError):
            recovery_sweep.resolve_due_operations()

    assert due() == 2
    assert recovery_sweep.resolve_due_operations() == 2
    assert Operation.objects.filter(status="SUCCEEDED").count() == 2


def test_one_sweep_resolves_no_more_operations_than_its_limit(shop: Shop) -> None:
    three_unknown(shop)
    assert recovery_sweep.resolve_due_operations(limit=2) == 2
    assert due() == 1


class LeasedRow:
    """A row that another worker holds, and what happens at the account meanwhile."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        self._meanwhile = meanwhile

    def filter(self, **_conditions: Any) -> LeasedRow:
        return self

    def exists(self) -> bool:
        self._meanwhile()
        return True


@pytest.mark.usefixtures("database")
def test_a_request_that_waits_for_a_lease_keeps_no_thread_of_the_account(settings: Any) -> None:
    settings.PSP_CALLS_MAX = 1
    bulkhead = Bulkhead("any")
    leased, others = [True, True], list[bool]()

    def meanwhile() -> None:
        end = time.monotonic() + 5
        while (call := bulkhead.submit(lambda: True)) is None:  # until the last call has ended
            assert time.monotonic() < end
        others.append(call.result(5))
        leased.pop()

    row: Any = LeasedRow(meanwhile)
    until = time.monotonic() + 20
    recovery_sweep.hand_over(bulkhead, lambda: not leased, row=row, answer_by_monotonic=until)
    assert (leased, others) == ([], [True, True])
