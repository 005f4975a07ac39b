"""The whole books are verified once a day, in slices that can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ledger.database.statements import execute
from ledger.invariants import ALL_INVARIANTS
from ledger.slices import Slice
from payments.clock import now_utc
from payments.models import BooksCheck, Case, PaymentIntent
from payments.selectors import books_checks
from payments.services.verification import daily
from payments.services.verification.daily import ENTRIES, PAYMENTS, parts, verify_books
from payments.tests.support.shop import Shop, body_of


@pytest.fixture(autouse=True)
def a_slow_machine_ends_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daily, "SWEEP_SECONDS", 600.0)


def only_row() -> BooksCheck:
    return BooksCheck.objects.get()


def a_day_later() -> None:
    BooksCheck.objects.update(began_at=now_utc() - timedelta(hours=24, seconds=1))


def replace_invariant(
    monkeypatch: pytest.MonkeyPatch, name: str, by: Callable[[Slice], list[str]]
) -> None:
    monkeypatch.setitem(daily._INVARIANTS, name, by)


def test_every_invariant_is_a_part_of_the_daily_pass() -> None:
    own = (*(each.__name__ for each in ALL_INVARIANTS), PAYMENTS, ENTRIES)
    assert parts()[: len(own)] == own
    longest = BooksCheck._meta.get_field("part").max_length
    assert longest is not None
    assert max(map(len, parts())) <= longest


def test_books_without_differences_are_verified_once_a_day(shop: Shop) -> None:
    for number in range(3):
        shop.create(order_id=f"order-{number}")
    assert verify_books() == 0
    row = only_row()
    assert (row.part, row.compared, row.differences, row.unchecked) == ("", 3, 0, 0)
    assert row.began_at is not None
    assert row.finished_at is not None
    assert row.began_at <= row.finished_at
    last = books_checks.last_pass()
    assert last is not None
    assert 0 <= last.seconds_ago < 60

    assert verify_books() == 0
    assert only_row().finished_at == row.finished_at, "the next pass is tomorrow's"
    a_day_later()
    verify_books()
    finished_again_at = only_row().finished_at
    assert finished_again_at is not None
    assert finished_again_at > row.finished_at


def test_a_payment_that_differs_is_found_without_any_event_about_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daily, "PAYMENTS_PER_STEP", 2)
    ids = [body_of(shop.create(order_id=f"order-{number}"))["id"] for number in range(5)]
    assert verify_books() == 0
    PaymentIntent.objects.filter(order_id="order-3").update(amount_refunded_minor=100)
    assert verify_books() == 0
    a_day_later()
    with caplog.at_level(logging.ERROR):
        assert verify_books() == 1
    assert f"alert: the books and a payment differ: {ids[3]}" in caplog.text
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("books_differ", ids[3])
    assert (only_row().compared, only_row().differences) == (5, 1)
    # The next day's pass finds it too, in the same case.
    a_day_later()
    assert verify_books() == 1
    assert Case.objects.count() == 1


def test_a_violated_invariant_opens_a_case_of_its_own(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    offenders = ["the books are off by 1 USD", "the books are off by 2 EUR"]
    replace_invariant(monkeypatch, "debits_equal_credits", lambda _part: offenders)
    with caplog.at_level(logging.ERROR):
        assert verify_books() == 2
    assert "alert: the books do not hold: debits_equal_credits: the books are off by" in caplog.text
    case = Case.objects.get()
    assert (case.kind, case.subject) == ("books_differ", "debits_equal_credits")
    assert (case.merchant, case.intent_id, case.amount_minor) == (None, None, None)
    assert books_checks.books_differences() == 1


def test_entries_of_a_payment_that_does_not_exist_are_found(shop: Shop) -> None:
    body_of(shop.create())
    intent = PaymentIntent.objects.get()
    found = list(daily.entries_without_payment([intent.id, shop.merchant.id]))
    assert found == [
        (
            shop.merchant.id,
            f"the books hold entries of payment {shop.merchant.id}, which does not exist",
        )
    ]
    step = daily._check_entries_have_payments(daily.BEFORE_EVERY_ID)
    assert (step.findings, step.last) == ([], None)


def test_a_killed_slice_costs_one_step_and_the_next_slice_continues(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    original = daily._check

    def die_at(part: str) -> Any:
        def check(row: BooksCheck) -> Any:
            checked.append(row.part)
            if row.part == part and checked.count(part) == 1:
                raise KeyboardInterrupt
            return original(row)

        return check

    monkeypatch.setattr(daily, "_check", die_at(PAYMENTS))
    shop.create()
    with pytest.raises(KeyboardInterrupt):
        verify_books()
    row = only_row()
    assert (row.part, row.finished_at) == (PAYMENTS, None)
    assert verify_books() == 0
    at = parts().index(PAYMENTS) + 1
    assert checked == [*parts()[:at], *parts()[at - 1 :]]
    assert only_row().finished_at is not None


def test_a_slice_ends_when_its_time_is_up_and_several_make_a_pass(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    monkeypatch.setattr(daily, "SWEEP_SECONDS", 0.0)
    slices = 0
    while not BooksCheck.objects.filter(finished_at__isnull=False).exists():
        assert verify_books() == 0
        slices += 1
        assert slices <= len(parts())
    assert slices == len(parts()), "one step each"


def test_a_check_that_takes_too_long_is_skipped_with_an_alert(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slow(_part: Slice) -> list[str]:
        execute("SELECT pg_sleep(30)")
        return []

    monkeypatch.setattr(daily, "STEP_SECONDS", 0.5)
    replace_invariant(monkeypatch, "guards_are_on", slow)
    with caplog.at_level(logging.ERROR):
        assert verify_books() == 0
    assert "alert: guards_are_on took more than 0.5 s and was not checked" in caplog.text
    row = only_row()
    assert (row.part, row.unchecked, row.finished_at) == ("", 1, None)
    last = books_checks.last_pass()
    assert last is not None
    assert last.unchecked == 1


def test_a_check_that_raises_fails_the_sweep_and_stops_the_pass_there(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_part: Slice) -> list[str]:
        raise ZeroDivisionError

    replace_invariant(monkeypatch, "guards_are_on", broken)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            verify_books()
        assert only_row().part == "guards_are_on"


def test_a_part_unknown_to_this_version_restarts_the_pass(shop: Shop) -> None:
    shop.create()
    verify_books()
    BooksCheck.objects.update(part="something_of_tomorrow", finished_at=None)
    assert verify_books() == 0
    assert only_row().finished_at is not None


def test_concurrent_sweeps_make_one_pass(shop: Shop, run_together: Any) -> None:
    for number in range(3):
        shop.create(order_id=f"order-{number}")
    assert run_together(*[verify_books] * 4) == [0] * 4
    while only_row().part:
        verify_books()
    row = only_row()
    assert (row.compared, row.unchecked) == (3, 0)
    assert row.finished_at is not None
