"""post(): all of it in the caller's transaction, in one statement, once per source and rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection, transaction
from django.db.utils import IntegrityError
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from ledger import chart, services
from ledger import posting_rules as rules
from ledger.database.row_ids import new_row_id
from ledger.exceptions import AlreadyPosted, OutsideTransaction
from ledger.invariants import snapshots_equal_their_entries
from ledger.models import BalanceSnapshot, LedgerAccount, LedgerEntry, LedgerTransaction
from ledger.money import Money
from ledger.services import Series, Sourced
from ledger.tests.books import MERCHANT, PARTIES, PSP, book, sale, settle, settle_and_snapshot, usd

pytestmark = pytest.mark.usefixtures("database")


def _nothing_is_written() -> bool:
    return not LedgerTransaction.objects.exists() and not LedgerEntry.objects.exists()


def test_a_sale_is_written_as_it_was_posted() -> None:
    payment_id, source_id = uuid7(), uuid7()
    before = datetime.now(UTC)
    ids = book(*sale(usd(1000), fee=usd(30)), payment_id=payment_id, source_id=source_id)

    transactions = {row.id: row for row in LedgerTransaction.objects.all()}
    assert [transactions[id].rule for id in ids] == [
        "authorized",
        "capture_memo",
        "captured",
        "platform_fee",
    ]
    for row in transactions.values():
        assert (row.source_type, row.source_id) == ("operation", source_id)
        assert (row.payment_id, row.merchant_id, row.psp_account) == (payment_id, MERCHANT, PSP)
        assert before <= row.posted_at <= datetime.now(UTC)
        assert row.effective_date in (before.date(), row.posted_at.date())
        assert row.reverses_id is None
    entries = [
        (e.transaction_id, e.account_id, e.direction, e.amount_minor, e.currency, e.entry_type)
        for e in LedgerEntry.objects.order_by("id")
    ]
    usd_of = {"currency": "USD"}
    held, contra = chart.AUTH_HELD.of(PSP, **usd_of), chart.AUTH_CONTRA.of(PSP, **usd_of)
    payable = chart.MERCHANT_PAYABLE.of(str(MERCHANT), "USD")
    assert entries == [
        (ids[0], held.id, "D", 1000, "USD", "auth"),
        (ids[0], contra.id, "C", 1000, "USD", "auth"),
        (ids[1], contra.id, "D", 1000, "USD", "capture"),
        (ids[1], held.id, "C", 1000, "USD", "capture"),
        (ids[2], chart.PSP_RECEIVABLE.of(PSP, "USD").id, "D", 1000, "USD", "capture"),
        (ids[2], payable.id, "C", 1000, "USD", "capture"),
        (ids[3], payable.id, "D", 30, "USD", "fee"),
        (ids[3], chart.PLATFORM_FEE_INCOME.of("", "USD").id, "C", 30, "USD", "fee"),
    ]
    assert set(LedgerEntry.objects.values_list("payment_id", flat=True)) == {payment_id}
    assert len({row.xid for row in transactions.values()}) == 1


def test_a_sale_is_one_statement() -> None:
    book(*sale(usd(1000), fee=usd(30)))
    with transaction.atomic():
        new_row_id()  # Announced with the locks on the payment's way.
        with CaptureQueriesContext(connection) as queries:
            services.post(
                sale(usd(2000), fee=usd(60)),
                source_type="operation",
                source_id=uuid7(),
                payment_id=uuid7(),
                merchant_id=MERCHANT,
            )
    assert len(queries.captured_queries) == 1


def test_books_are_not_written_outside_a_transaction() -> None:
    with pytest.raises(OutsideTransaction):
        services.post(
            sale(usd(1000)),
            source_type="operation",
            source_id=uuid7(),
            payment_id=None,
            merchant_id=None,
        )
    assert _nothing_is_written()


def test_nothing_to_post_writes_nothing() -> None:
    assert book() == []
    assert _nothing_is_written()


def test_a_source_is_posted_once_under_a_rule() -> None:
    source_id = uuid7()
    book(*sale(usd(1000)), source_id=source_id)
    with pytest.raises(AlreadyPosted):
        book(
            rules.platform_fee(PARTIES, usd(1)),
            *sale(usd(1000)),
            source_id=source_id,
        )
    assert LedgerTransaction.objects.count() == 3
    assert LedgerEntry.objects.count() == 6


def series(*amounts: int, rule: rules.Rule = rules.captured, currency: str = "USD") -> Series:
    return Series(
        rule=rule,
        parties=PARTIES,
        currency=currency,
        source_type="settlement_line",
        sources=[Sourced(uuid7(), uuid7(), date(2026, 1, 31), minor) for minor in amounts],
    )


def test_a_series_is_written_as_if_each_source_were_posted() -> None:
    written = series(100, 200), series(7, rule=rules.platform_fee, currency="EUR")
    with transaction.atomic():
        services.post_series([*written, series()])
    together = rows_by_source()
    for each in (each for one in written for each in one.sources):
        assert together[each.source_id][0][:3] == ("settlement_line", each.payment_id, PSP)
    for one in written:
        for each in one.sources:
            with transaction.atomic():
                services.post(
                    [one.rule(PARTIES, Money(each.amount_minor, one.currency))],
                    source_type="alone",
                    source_id=each.source_id,
                    payment_id=each.payment_id,
                    merchant_id=None,
                    psp_account=PSP,
                    effective_date=each.effective_date,
                )
    for alone_and_together in rows_by_source().values():
        first, second = (row[1:] for row in alone_and_together)
        assert first == second
    assert LedgerTransaction.objects.count() == 6


def rows_by_source() -> dict[UUID, list[tuple[Any, ...]]]:
    found: dict[UUID, list[tuple[Any, ...]]] = {}
    for row in LedgerTransaction.objects.order_by("-source_type"):
        entries = row.entries.order_by("id").values_list(
            "account_id", "direction", "amount_minor", "currency", "entry_type", "payment_id"
        )
        named = (row.source_type, row.payment_id, row.psp_account, row.rule, row.merchant_id)
        of_row = (*named, row.effective_date, row.available_on, list(entries))
        found.setdefault(row.source_id, []).append(of_row)
    return found


@pytest.mark.parametrize("minor", [0, -5])
def test_a_series_with_an_amount_that_is_not_positive_is_refused(minor: int) -> None:
    with pytest.raises(ValueError, match="positive amount"), transaction.atomic():
        services.post_series([series(1), series(100, minor, 200)])
    assert _nothing_is_written()
    assert not LedgerAccount.objects.exists()


def test_a_series_is_posted_once_and_in_a_transaction() -> None:
    once = series(100, 200)
    with pytest.raises(OutsideTransaction):
        services.post_series([once])
    with transaction.atomic():
        services.post_series([once])
    twice = replace(once, sources=[Sourced(uuid7(), None, date(2026, 1, 31), 5), once.sources[0]])
    with pytest.raises(AlreadyPosted, match="one of 2 sources"), transaction.atomic():
        services.post_series([twice])
    assert LedgerTransaction.objects.count() == 2
    assert LedgerEntry.objects.count() == 4


def test_eight_concurrent_posts_book_a_source_once(run_together: Callable[..., list[Any]]) -> None:
    source_id = uuid7()
    results = run_together(*[lambda: book(*sale(usd(1000)), source_id=source_id)] * 8)
    assert sum(isinstance(result, AlreadyPosted) for result in results) == 7
    assert sum(isinstance(result, list) for result in results) == 1
    assert LedgerTransaction.objects.count() == 3


def test_a_posting_that_the_caller_rolls_back_is_not_booked() -> None:
    class GivenUp(Exception):
        pass

    with pytest.raises(GivenUp), transaction.atomic():
        book(*sale(usd(1000)))
        raise GivenUp
    assert _nothing_is_written()
    assert not LedgerAccount.objects.exists()
    # The accounts were rolled back as well, and must not count as known.
    book(*sale(usd(1000)))
    assert LedgerAccount.objects.count() == 4


def test_a_savepoint_can_be_rolled_back_alone() -> None:
    class GivenUp(Exception):
        pass

    with transaction.atomic():
        book(*sale(usd(1000)))
        with pytest.raises(GivenUp), transaction.atomic():
            book(*sale(usd(500), merchant=uuid7()))
            raise GivenUp
        book(*sale(usd(700)))
    assert LedgerTransaction.objects.count() == 6
    assert not LedgerEntry.objects.filter(amount_minor=500).exists()


def test_concurrent_first_payments_of_a_merchant_open_each_account_once(
    run_together: Callable[..., list[Any]],
) -> None:
    results = run_together(*[lambda: book(*sale(usd(1000), fee=usd(10)))] * 8)
    assert [len(result) for result in results] == [4] * 8
    assert LedgerAccount.objects.count() == 5


def test_accounts_lost_by_a_restore_are_opened_again(owner_cursor: psycopg.Cursor[Any]) -> None:
    book(*sale(usd(1000)))
    owner_cursor.execute("TRUNCATE ledger_account")
    with pytest.raises(IntegrityError, match="ledger_unknown_account"):
        book(*sale(usd(1000)))
    book(*sale(usd(1000)))
    assert LedgerAccount.objects.count() == 4


def test_an_account_stores_its_code_dimension_and_currency() -> None:
    book(*sale(usd(1000)), rules.voided(replace(PARTIES, psp_account='odd "name", {x} \\'), usd(5)))
    stored = set(LedgerAccount.objects.values_list("id", "code", "dimension", "currency", "kind"))
    odd = chart.AUTH_HELD.of('odd "name", {x} \\', "USD")
    assert (odd.id, 9100, 'odd "name", {x} \\', "USD", "memo") in stored
    payable = chart.MERCHANT_PAYABLE.of(str(MERCHANT), "USD")
    assert (payable.id, 2100, str(MERCHANT), "USD", "real") in stored


def test_an_effective_date_may_be_given() -> None:
    with transaction.atomic():
        services.post(
            sale(usd(1000)),
            source_type="operation",
            source_id=uuid7(),
            payment_id=None,
            merchant_id=None,
            effective_date=date(2026, 1, 31),
        )
    row = LedgerTransaction.objects.first()
    assert row is not None
    assert (row.effective_date, row.payment_id, row.merchant_id) == (date(2026, 1, 31), None, None)
    assert datetime.now(UTC) - row.posted_at < timedelta(minutes=1)


def _captured() -> tuple[rules.Posting, UUID]:
    posting = rules.captured(PARTIES, usd(1000))
    [id] = book(posting)
    return posting, id


def test_a_capture_is_reversed_once() -> None:
    posting, original_id = _captured()
    reversal = rules.reversal_of(posting, reverses=original_id)
    [reversal_id] = book(reversal)
    assert LedgerTransaction.objects.get(id=reversal_id).reverses_id == original_id
    with pytest.raises(AlreadyPosted):
        book(reversal)
    assert LedgerTransaction.objects.count() == 2


def test_a_reversal_of_another_amount_is_refused() -> None:
    _, original_id = _captured()
    other = rules.captured(PARTIES, usd(999))
    with pytest.raises(IntegrityError, match="ledger_not_a_mirror"):
        book(rules.reversal_of(other, reverses=original_id))
    with pytest.raises(IntegrityError, match="ledger_not_a_mirror"):
        book(rules.reversal_of(other, reverses=uuid7()))
    assert LedgerTransaction.objects.count() == 1


def test_a_snapshot_is_taken_of_accounts_with_a_long_tail_only() -> None:
    for _ in range(3):
        book(*sale(usd(1000)))
    settle()
    assert services.take_snapshot(tail_entries_min=7) == 0
    assert services.take_snapshot(tail_entries_min=4) == 2  # auth_held and auth_contra
    assert services.take_snapshot(tail_entries_min=4) == 0
    assert services.take_snapshot(tail_entries_min=1) == 2  # the two real accounts
    held = BalanceSnapshot.objects.get(account_id=chart.AUTH_HELD.of(PSP, "USD").id)
    assert (held.debits_minor, held.credits_minor) == (3000, 3000)


def test_a_snapshot_of_a_very_long_tail_covers_its_first_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services, "_TAIL_ENTRIES_MAX", 2)
    for _ in range(3):
        book(*sale(usd(1000)))
    settle()
    taken = [services.take_snapshot(tail_entries_min=2) for _ in range(3)]
    # It begins at any account, so one call may come to the same account twice.
    assert (sum(taken), taken[-1]) == (6, 0), "two of the memo accounts, one of the real accounts"
    snapshots = BalanceSnapshot.objects.filter(account_id=chart.AUTH_HELD.of(PSP, "USD").id)
    covered = list(snapshots.order_by("horizon").values_list("debits_minor", flat=True))
    assert covered == [1000, 3000]
    assert snapshots_equal_their_entries() == []


def test_an_open_transaction_holds_the_horizon_back(
    application_cursor: psycopg.Cursor[Any],
) -> None:
    application_cursor.execute("BEGIN")
    application_cursor.execute("SELECT pg_current_xact_id()")
    book(*sale(usd(1000)))
    assert services.take_snapshot(tail_entries_min=1) == 0
    application_cursor.execute("ROLLBACK")
    assert settle_and_snapshot() == 4


def test_snapshots_of_more_accounts_than_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "_ACCOUNTS_PER_STATEMENT", 2)
    book(*sale(usd(1000), fee=usd(10)))
    assert settle_and_snapshot() == 5


def test_snapshots_may_be_taken_concurrently(run_together: Callable[..., list[Any]]) -> None:
    book(*sale(usd(1000)))
    settle()
    results = run_together(*[lambda: services.take_snapshot(tail_entries_min=1)] * 4)
    assert all(isinstance(result, int) for result in results)
    assert sum(results) >= 4
    assert set(BalanceSnapshot.objects.values_list("debits_minor", "credits_minor")) <= {
        (1000, 1000),
        (1000, 0),
        (0, 1000),
    }
