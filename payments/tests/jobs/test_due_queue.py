"""Due rows are taken once, under a lease whose end is the fence; on real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from django.db import connections, transaction

from payments import public_ids
from payments.clock import now_utc
from payments.models import Operation, PspAccount, PspNotification
from payments.services.jobs.due_queue import DueQueue, Handled, Sweep, run_sweep
from payments.tests.support.notices import lose_the_answer
from payments.tests.support.shop import Shop

LEASE = timedelta(seconds=60)


def queue_of(first: str = "") -> DueQueue[PspNotification]:
    return DueQueue(
        PspNotification.objects.defer("body"),
        due="next_attempt_at",
        lease=LEASE,
        attempts="attempts",
        account="psp_account_id",
        first=first,
    )


def add(account: PspAccount, *, due_seconds_ago: float = 1, type_: str = "t") -> PspNotification:
    now = now_utc()
    return PspNotification.objects.create(
        id=public_ids.new_id(),
        psp_account=account,
        event_id=f"evt_{public_ids.new_id()}",
        type=type_,
        known=False,
        body=b"{}",
        body_sha256="",
        occurred_at=now,
        received_at=now,
        give_up_at=now + timedelta(days=1),
        next_attempt_at=now - timedelta(seconds=due_seconds_ago),
    )


def make_due(row: PspNotification) -> datetime:
    due = now_utc() - timedelta(seconds=1)
    PspNotification.objects.filter(pk=row.pk).update(next_attempt_at=due)
    return due


@pytest.fixture
def account(shop: Shop) -> PspAccount:
    return shop.account


def test_a_taken_row_is_due_again_when_its_lease_ends(account: PspAccount) -> None:
    row = add(account)
    before = now_utc()
    [taken] = queue_of().take()
    assert (taken.pk, taken.attempts) == (row.pk, 1)
    assert taken.next_attempt_at is not None
    assert (
        LEASE - timedelta(seconds=5) < taken.next_attempt_at - before < LEASE + timedelta(seconds=5)
    )
    assert queue_of().take() == []


def test_rows_are_taken_in_the_order_in_which_they_became_due(account: PspAccount) -> None:
    young, old = add(account, due_seconds_ago=5), add(account, due_seconds_ago=50)
    add(account, due_seconds_ago=-50)
    queue = queue_of()
    assert [queue.take()[0].pk, queue.take()[0].pk] == [old.pk, young.pk]
    assert queue.take() == []


def test_no_more_rows_are_taken_than_the_limit(account: PspAccount) -> None:
    rows = [add(account) for _ in range(3)]
    assert len(queue_of().take(most=2)) == 2
    assert len(queue_of().take(most=2)) == len(rows) - 2


def test_rows_that_go_first_are_taken_before_older_ones(account: PspAccount) -> None:
    old, urgent = add(account, due_seconds_ago=50), add(account, type_="urgent")
    queue = queue_of(first="type = 'urgent'")
    assert [queue.take()[0].pk, queue.take()[0].pk] == [urgent.pk, old.pk]
    more = [add(account, type_="urgent").pk, add(account).pk]
    assert [row.pk for row in queue.take(most=5)] == more


def test_rows_of_a_skipped_account_stay_due(account: PspAccount, other_shop: Shop) -> None:
    add(account, due_seconds_ago=50)
    other = add(other_shop.account)
    [taken] = queue_of().take(most=5, skip_accounts=[account.pk])
    assert taken.pk == other.pk
    assert len(queue_of().take(most=5)) == 1


def test_a_row_that_another_worker_is_taking_is_skipped(account: PspAccount) -> None:
    locked, free = add(account, due_seconds_ago=50), add(account)
    found: list[UUID] = []

    def take() -> None:
        try:
            found.extend(row.pk for row in queue_of().take(most=5))
        finally:
            connections.close_all()

    with transaction.atomic():
        PspNotification.objects.select_for_update().get(pk=locked.pk)
        worker = threading.Thread(target=take)
        worker.start()
        worker.join(20)
    assert found == [free.pk]


def test_workers_that_race_take_every_row_once(account: PspAccount) -> None:
    rows = {add(account).pk for _ in range(40)}
    workers = 4
    barrier = threading.Barrier(workers)

    def take_all(_: int) -> list[UUID]:
        queue, taken = queue_of(), []
        try:
            barrier.wait()
            while len(taken) < len(rows):
                batch = queue.take(most=3)
                if not batch:
                    break
                taken += [row.pk for row in batch]
        finally:
            connections.close_all()
        return taken

    with ThreadPoolExecutor(workers) as executor:
        taken = [pk for part in executor.map(take_all, range(workers)) for pk in part]
    assert len(taken) == len(set(taken))
    # What was being taken just then was skipped, not lost.
    assert {*taken, *(row.pk for row in queue_of().take(most=40))} == rows


def test_a_worker_whose_lease_has_passed_finds_the_row_no_longer_its_own(
    account: PspAccount,
) -> None:
    row, queue = add(account), queue_of()
    [slow] = queue.take()
    make_due(row)
    [quick] = queue.take()
    with transaction.atomic():
        assert queue.still_mine(slow) is None
        mine = queue.still_mine(quick)
        assert mine is not None
        assert mine.attempts == 2
        assert list(queue.all_still_mine([slow])) == []
        assert list(queue.all_still_mine([quick])) == [row.pk]
    assert (queue.under_lease(slow).count(), queue.under_lease(quick).count()) == (0, 1)


def test_a_row_that_was_made_due_meanwhile_is_no_longer_the_workers(account: PspAccount) -> None:
    row, queue = add(account), queue_of()
    [leased] = queue.take()
    due = make_due(row)
    with transaction.atomic():
        assert queue.still_mine(leased) is None
    assert PspNotification.objects.get(pk=row.pk).next_attempt_at == due


def test_one_row_can_be_taken_before_it_is_due_unless_it_is_leased(shop: Shop) -> None:
    queue = DueQueue(
        Operation.objects.all(), due="next_check_at", lease=LEASE, lease_until="lease_until"
    )
    lose_the_answer(shop, "authorize")
    shop.create(10_000)
    operation = Operation.objects.get()
    taken = queue.take_row(operation.pk)
    assert taken is not None
    assert taken.next_check_at == taken.lease_until > now_utc()
    assert queue.take_row(operation.pk) is None
    assert queue.take() == []
    now = now_utc()
    Operation.objects.filter(pk=operation.pk).update(lease_until=now, next_check_at=None)
    assert queue.take_row(operation.pk) is None, "it waits for nothing"


def test_a_sweep_skips_an_account_that_does_not_answer_twice_in_a_row(
    account: PspAccount, other_shop: Shop
) -> None:
    for age in (50, 40, 30, 20):
        add(account, due_seconds_ago=age)
    add(other_shop.account, due_seconds_ago=10)
    seen: list[UUID] = []

    def handle(row: PspNotification) -> Handled:
        seen.append(row.psp_account_id)
        return Handled.NO_ANSWER if row.psp_account_id == account.pk else Handled.ANSWERED

    assert run_sweep(queue_of(), handle, most=10, seconds=10) == 3
    assert seen == [account.pk, account.pk, other_shop.account.pk]
    assert len(queue_of().take(most=5)) == 2, "the others stay due"


def test_an_answer_between_two_failures_keeps_the_account_in_the_sweep(
    account: PspAccount,
) -> None:
    for _ in range(5):
        add(account)
    said = iter([Handled.NO_ANSWER, Handled.ANSWERED, *[Handled.NO_ANSWER] * 3])
    assert run_sweep(queue_of(), lambda _: next(said), most=10, seconds=10) == 4


def test_an_unexpected_failure_of_a_row_fails_the_sweep_at_its_end(
    account: PspAccount,
) -> None:
    rows = [add(account, due_seconds_ago=age).pk for age in (50, 40, 30)]
    seen: list[UUID] = []

    def handle(row: PspNotification) -> Handled:
        seen.append(row.pk)
        if row.pk == rows[0]:
            raise RuntimeError("something is broken")
        return Handled.ANSWERED

    with pytest.raises(RuntimeError, match="something is broken"):
        run_sweep(queue_of(), handle, most=10, seconds=10)
    assert seen == rows
    assert queue_of().take() == [], "the failed row is taken again after its lease"


def test_a_sweep_ends_at_its_bounds(account: PspAccount) -> None:
    for _ in range(4):
        add(account)
    answered = lambda _: Handled.ANSWERED  # noqa: E731
    assert run_sweep(queue_of(), answered, most=2, seconds=10) == 2
    assert run_sweep(queue_of(), answered, most=2, seconds=0) == 0
    sweep = Sweep(queue_of(), most=10, seconds=10)
    assert [len(rows) for rows in sweep.batches(1)] == [1, 1]
    assert sweep.taken == 2


def test_rows_handled_together_leave_the_others_to_be_handled_one_by_one(
    account: PspAccount,
) -> None:
    rows, alone = [add(account) for _ in range(5)], []

    def handle(row: PspNotification) -> Handled:
        alone.append(row.pk)
        return Handled.ANSWERED

    def end_some(keys: list[UUID]) -> list[UUID]:
        later = now_utc() + LEASE
        PspNotification.objects.filter(pk__in=keys[:3]).update(next_attempt_at=later)
        return keys[3:]

    taken = run_sweep(queue_of(), handle, most=10, seconds=10, size=4, end_some=end_some)
    assert taken == 5
    assert len(alone) == 1
    assert set(alone) < {row.pk for row in rows}


def test_a_failure_to_handle_rows_together_stops_none_of_them(account: PspAccount) -> None:
    rows, alone = [add(account) for _ in range(3)], []

    def handle(row: PspNotification) -> Handled:
        alone.append(row.pk)
        return Handled.ANSWERED

    def fail(keys: list[UUID]) -> list[UUID]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_sweep(queue_of(), handle, most=10, seconds=10, size=2, end_some=fail)
    assert sorted(alone) == sorted(row.pk for row in rows)


def test_leased_rows_of_an_account_that_does_not_answer_are_due_again_without_an_attempt(
    account: PspAccount,
) -> None:
    rows = [add(account) for _ in range(4)]
    run_sweep(
        queue_of(),
        lambda _: Handled.NO_ANSWER,
        most=10,
        seconds=10,
        size=10,
        end_some=lambda some: some,
    )
    soon = now_utc() + timedelta(seconds=1)  # Our estimate of the database's clock is late.
    after = PspNotification.objects.filter(pk__in=[row.pk for row in rows]).order_by("pk")
    assert [row.attempts for row in after] == [1, 1, 0, 0]
    assert [row.next_attempt_at <= soon for row in after] == [False, False, True, True]
