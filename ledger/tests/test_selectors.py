"""Balances and vectors equal the entries, also while others write and take snapshots."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from ledger import chart, invariants, selectors, services
from ledger import dispute_rules as disputes
from ledger import posting_rules as rules
from ledger.chart import AccountRef
from ledger.models import BalanceSnapshot, LedgerEntry
from ledger.money import Money
from ledger.selectors import PaymentVector
from ledger.slices import EVERYTHING
from ledger.tests.books import MERCHANT, PARTIES, PSP, book, sale, settle_and_snapshot, usd

pytestmark = pytest.mark.usefixtures("database")

SHOP = str(MERCHANT)
HELD = chart.AUTH_HELD.of(PSP, "USD")
RECEIVABLE = chart.PSP_RECEIVABLE.of(PSP, "USD")
PAYABLE = chart.MERCHANT_PAYABLE.of(SHOP, "USD")


def full_sum(account: AccountRef) -> int:
    """Debits minus credits over every entry: the truth a balance is compared with."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(CASE direction WHEN 'D' THEN amount_minor ELSE -amount_minor END),"
            " 0) FROM ledger_entry WHERE account_id = %s",
            [account.id],
        )
        [total] = cursor.fetchone()
    return int(total)


def test_a_balance_is_positive_on_the_normal_side() -> None:
    book(*sale(usd(1000), fee=usd(30)))
    assert selectors.balance(RECEIVABLE) == usd(1000)
    assert selectors.balance(PAYABLE) == usd(970)
    assert selectors.balance(chart.PLATFORM_FEE_INCOME.of("", "USD")) == usd(30)
    assert selectors.balance(HELD) == usd(0)
    book(rules.refund_requested(PARTIES, usd(2000)))
    assert selectors.balance(PAYABLE) == usd(-1030)
    assert selectors.balance(chart.REFUND_IN_FLIGHT.of(PSP, "USD")) == usd(2000)


def test_an_account_that_was_never_used_holds_nothing() -> None:
    assert selectors.balance(chart.AUTH_HELD.of("elsewhere", "JPY")) == Money(0, "JPY")


@pytest.mark.parametrize("snapshots", [0, 1, 3])
def test_a_balance_is_one_query_and_the_same_with_any_number_of_snapshots(snapshots: int) -> None:
    for number in range(5):
        book(*sale(usd(1000 + number)))
        if number < snapshots:
            assert settle_and_snapshot() == 4
    with CaptureQueriesContext(connection) as queries:
        assert selectors.balance(RECEIVABLE) == usd(5010)
    assert len(queries.captured_queries) == 1
    assert BalanceSnapshot.objects.count() == 4 * snapshots


def test_balances_are_chosen_by_code_and_dimension() -> None:
    other = uuid7()
    book(*sale(usd(1000)))
    book(*sale(usd(50)))
    book(rules.capture_memo(PARTIES, Money(7, "JPY")))
    book(rules.captured(replace(PARTIES, merchant=str(other)), usd(5)), merchant=other)
    other_payable = chart.MERCHANT_PAYABLE.of(str(other), "USD")
    assert selectors.balances(codes=[2100]) == {PAYABLE: usd(1050), other_payable: usd(5)}
    assert selectors.balances(dimension=str(other)) == {other_payable: usd(5)}
    assert selectors.balances(codes=[9100], dimension=PSP) == {
        HELD: usd(0),
        chart.AUTH_HELD.of(PSP, "JPY"): Money(-7, "JPY"),
    }
    assert selectors.balances(codes=[]) == {}
    assert len(selectors.balances()) == 7


def test_entries_of_a_payment_come_in_the_order_written() -> None:
    payment_id = uuid7()
    ids = book(*sale(usd(1000)), payment_id=payment_id)
    book(*sale(usd(2000)), payment_id=uuid7())
    with CaptureQueriesContext(connection) as queries:
        entries = list(selectors.entries_of_payment(payment_id))
        assert [entry.transaction.id for entry in entries] == [id for id in ids for _ in range(2)]
        assert {entry.account.currency for entry in entries} == {"USD"}
    assert len(queries.captured_queries) == 1


def test_entries_of_a_payment_are_found_by_its_transactions() -> None:
    book(*sale(usd(1000)), payment_id=uuid7())
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        plan = selectors.entries_of_payment(uuid7()).explain()
        newest = LedgerEntry.objects.order_by("-transaction_id", "-id")[:9].explain()
    assert "ledger_transaction_payment" in plan, plan
    assert "ledger_entry_pkey" in plan, plan
    assert "Backward using ledger_entry_pkey" in newest, newest


def _vector(payment_id: UUID, **minors: int) -> PaymentVector:
    names = PaymentVector.__slots__[2:]
    return PaymentVector(payment_id, "USD", **{name: usd(minors.get(name, 0)) for name in names})


@pytest.mark.parametrize(
    ("end", "disputed", "lost"),
    [
        ([], 1000, 0),
        (["won", "released"], 0, 0),
        (["lost_by_merchant"], 0, 1000),
        (["lost_by_platform", "released"], 0, 1000),
    ],
)
def test_disputed_amounts_are_rebuilt_from_entries(
    end: list[str], disputed: int, lost: int
) -> None:
    amount, payment_id = usd(1000), uuid7()
    rules_of_end = {
        "won": disputes.dispute_won(PARTIES, amount),
        "released": disputes.dispute_hold_released(PARTIES, amount),
        "lost_by_merchant": disputes.dispute_lost_by_merchant(PARTIES, amount),
        "lost_by_platform": disputes.dispute_lost_by_platform(PARTIES, amount),
    }
    book(*sale(amount), payment_id=payment_id)
    book(
        disputes.dispute_held(PARTIES, amount),
        disputes.dispute_withdrawn(PARTIES, amount),
        disputes.dispute_fee(PARTIES, usd(15)),
        disputes.dispute_fee_passed_on(PARTIES, usd(15)),
        *(rules_of_end[name] for name in end),
        payment_id=payment_id,
    )
    [vector] = selectors.payment_vectors([payment_id])
    assert vector == _vector(
        payment_id, authorized=1000, captured=1000, disputed=disputed, lost=lost
    )


def test_the_amounts_of_a_payment_are_rebuilt_from_its_entries() -> None:
    def refund(minor: int) -> rules.Posting:
        return rules.refund_requested(PARTIES, usd(minor))

    hotel, canceled, held, outcome_reversed = uuid7(), uuid7(), uuid7(), uuid7()
    book(rules.authorized(PARTIES, usd(300)), payment_id=hotel)
    book(rules.authorization_incremented(PARTIES, usd(50)), payment_id=hotel)
    book(
        *sale(usd(200), fee=usd(5))[1:],
        rules.released(PARTIES, usd(150)),
        payment_id=hotel,
    )
    book(refund(30), payment_id=hotel)
    book(refund(40), payment_id=hotel)
    book(rules.refund_failed(PARTIES, usd(40)), payment_id=hotel)
    book(rules.authorized(PARTIES, usd(70)), payment_id=canceled)
    book(rules.voided(PARTIES, usd(70)), payment_id=canceled)
    book(rules.authorized(PARTIES, usd(80)), payment_id=held)
    sold = sale(usd(90))
    ids = book(*sold, payment_id=outcome_reversed)
    book(rules.reversal_of(sold[2], reverses=ids[2]), payment_id=outcome_reversed)

    expected = {
        hotel: _vector(hotel, authorized=350, released=150, captured=200, refunded=30),
        canceled: _vector(canceled, authorized=70, released=70),
        held: _vector(held, authorized=80, held=80),
        outcome_reversed: _vector(outcome_reversed, authorized=90, captured=0),
    }
    assert {v.payment_id: v for v in selectors.payment_vectors()} == expected
    assert list(selectors.payment_vectors([held])) == [expected[held]]
    assert list(selectors.payment_vectors([uuid7()])) == []
    assert list(selectors.payment_vectors([])) == []


def test_a_payment_in_two_currencies_has_a_vector_in_each() -> None:
    payment_id = uuid7()
    book(*sale(usd(10)), payment_id=payment_id)
    book(*sale(Money(7, "JPY")), payment_id=payment_id)
    assert [(v.currency, v.captured.minor) for v in selectors.payment_vectors()] == [
        ("JPY", 7),
        ("USD", 10),
    ]


def test_vectors_of_all_payments_are_read_in_batches() -> None:
    payments = sorted(uuid7() for _ in range(7))
    for payment_id in payments:
        book(*sale(usd(10)), payment_id=payment_id)
    book(*sale(usd(10)))  # of no payment
    with CaptureQueriesContext(connection) as queries:
        vectors = list(selectors.payment_vectors(batch_size=3))
    assert [v.payment_id for v in vectors] == payments
    assert len(queries.captured_queries) == 7  # 3 batches of 2 queries, and one that finds no more
    given = selectors.payment_vectors(reversed(payments), batch_size=2)  # type: ignore[arg-type]
    assert [v.payment_id for v in given] == payments


def test_an_entry_that_commits_late_is_not_lost(application_cursor: psycopg.Cursor[Any]) -> None:
    """The trap of `max(id)`: a lower id that appears after a higher one was counted."""
    book(*sale(usd(1)))
    assert settle_and_snapshot() == 4
    application_cursor.execute("BEGIN")
    _raw_capture(application_cursor, minor=10_000)
    book(*sale(usd(100)))
    services.take_snapshot(tail_entries_min=1)
    assert selectors.balance(RECEIVABLE) == usd(101)
    application_cursor.execute("COMMIT")
    assert selectors.balance(RECEIVABLE) == usd(10_101)
    assert settle_and_snapshot() == 4
    assert selectors.balance(RECEIVABLE) == usd(10_101)
    assert invariants.snapshots_equal_their_entries() == []


def _raw_capture(cursor: psycopg.Cursor[Any], *, minor: int) -> None:
    id = uuid7()
    cursor.execute(
        "INSERT INTO ledger_transaction (id, rule, source_type, source_id, psp_account,"
        " effective_date, posted_at) VALUES (%s, 'captured', 'raw', %s, '', current_date, now())",
        [id, id],
    )
    cursor.execute(
        "INSERT INTO ledger_entry (transaction_id, account_id, direction, amount_minor, currency,"
        " entry_type) VALUES (%s, %s, 'D', %s, 'USD', 'capture'),"
        " (%s, %s, 'C', %s, 'USD', 'capture')",
        [id, RECEIVABLE.id, minor, id, PAYABLE.id, minor],
    )


def test_no_tail_is_lost_while_eight_write_and_snapshots_run(
    run_together: Callable[..., list[Any]],
) -> None:
    sales_per_writer, writers = 25, 8
    writing = threading.Event()
    readings: list[tuple[int, int]] = []

    def write() -> int:
        for number in range(sales_per_writer):
            with transaction.atomic():
                book(*sale(usd(100 + number)))
                if number % 5 == 0:
                    time.sleep(0.01)  # so that transactions end in another order than they began
        return sales_per_writer

    def snapshot() -> int:
        taken = 0
        while not writing.is_set():
            taken += services.take_snapshot(tail_entries_min=1)
            with transaction.atomic(), connection.cursor() as cursor:
                # One snapshot for both readings, so that they must agree to the cent.
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                readings.append((selectors.balance(RECEIVABLE).minor, full_sum(RECEIVABLE)))
        return taken

    def write_and_stop() -> int:
        try:
            return write()
        finally:
            stopped.append(1)
            if len(stopped) == writers:
                writing.set()

    stopped: list[int] = []
    results = run_together(*[write_and_stop] * writers, snapshot, snapshot)

    assert results[:writers] == [sales_per_writer] * writers
    assert all(isinstance(taken, int) for taken in results[writers:])
    assert len(readings) > 2
    assert [tail for tail, _ in readings] == [full for _, full in readings]
    expected = writers * sum(100 + number for number in range(sales_per_writer))
    for account, sign in ((RECEIVABLE, 1), (PAYABLE, -1), (HELD, 0)):
        assert full_sum(account) == sign * expected
        assert selectors.balance(account) == usd(abs(sign) * expected)
    settle_and_snapshot()
    assert BalanceSnapshot.objects.count() >= 4
    assert selectors.balance(RECEIVABLE) == usd(expected)
    assert LedgerEntry.objects.count() == writers * sales_per_writer * 6
    for invariant in invariants.ALL_INVARIANTS:
        assert invariant(EVERYTHING) == []


def test_amounts_in_excess_are_kept_apart_from_the_payments_own() -> None:
    payment, taken, held = uuid7(), uuid7(), uuid7()
    book(*sale(usd(1000)), payment_id=payment)
    ids = book(
        rules.excess_authorized(PARTIES, usd(1000)),
        rules.excess_capture_memo(PARTIES, usd(1000)),
        rules.excess_captured(PARTIES, usd(1000)),
        payment_id=payment,
        source_id=taken,
    )
    book(
        rules.excess_authorized(PARTIES, usd(300)),
        payment_id=payment,
        source_id=held,
    )

    def vector() -> PaymentVector:
        [found] = selectors.payment_vectors([payment])
        return found

    own = {"authorized": 1000, "captured": 1000}
    assert vector() == _vector(payment, **own, excess_held=300, excess_owed=1000)
    book(
        rules.excess_refund_requested(PARTIES, usd(1000)),
        rules.excess_released(PARTIES, usd(300)),
        payment_id=payment,
    )
    assert vector() == _vector(payment, **own)
    book(
        rules.excess_refund_failed(PARTIES, usd(1000)),
        payment_id=payment,
    )
    assert vector() == _vector(payment, **own, excess_owed=1000)

    bookings = [b for b in selectors.bookings_of(payment) if b.source_id == taken]
    assert [booking.id for booking in bookings] == ids
    assert {booking.reversed_by for booking in bookings} == {""}
    with transaction.atomic():
        services.post(
            [rules.reversal_of(b.posting, reverses=b.id) for b in bookings],
            source_type="operation/1",
            source_id=taken,
            payment_id=payment,
            merchant_id=MERCHANT,
            psp_account=PSP,
        )
    bookings = [b for b in selectors.bookings_of(payment) if b.source_id == taken]
    assert {booking.reversed_by for booking in bookings} == {"operation/1"}
    assert [booking.id for booking in bookings] == ids, "reversals are not bookings of their own"
