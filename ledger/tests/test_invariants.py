"""Each invariant finds its own violations, and no other invariant does.

The violations are made by the tables' owner, who alone can switch the triggers off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import transaction
from uuid_utils.compat import uuid7

from ledger import chart, dispute_rules, invariants, services, slices
from ledger import posting_rules as rules
from ledger.invariants import ALL_INVARIANTS
from ledger.tests.books import MERCHANT, PARTIES, PSP, TABLES, book, sale, settle_and_snapshot, usd

Cursor = psycopg.Cursor[Any]
Invariant = Callable[[slices.Slice], list[str]]
PAYMENT = UUID("0197a000-0000-7000-8000-00000000000a")
CHECKED = [invariant for invariant in ALL_INVARIANTS if invariant is not invariants.guards_are_on]


@pytest.fixture
def owner(owner_cursor: Cursor) -> Iterator[Cursor]:
    """The owner's cursor on books that hold a sale and its reversal, with the triggers off."""
    sold = sale(usd(1000), fee=usd(30))
    ids = book(*sold, payment_id=PAYMENT)
    book(rules.reversal_of(sold[3], reverses=ids[3]), payment_id=PAYMENT)
    settle_and_snapshot()
    assert failing() == set()
    triggers = owner_cursor.execute(
        "SELECT tgrelid::regclass::text, tgname FROM pg_trigger"
        " WHERE tgrelid::regclass::text = ANY (%s) AND NOT tgisinternal",
        [list(TABLES)],
    ).fetchall()
    for table in TABLES:
        owner_cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield owner_cursor
    for table, name in triggers:
        owner_cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_ROWS", dict.fromkeys(slices.Cut, 3))


def failing() -> set[Invariant]:
    """What fails; looked at whole and in slices, it is the same."""
    found = {each for each in CHECKED if each(slices.EVERYTHING)}
    for each in CHECKED:
        in_slices = [len(each(part)) for part in ALL_INVARIANTS[each].slices()]
        assert bool(sum(in_slices)) == (each in found), each.__name__
    return found


def entry_id(owner: Cursor, *, rule: str, direction: str) -> int:
    owner.execute(
        "SELECT e.id FROM ledger_entry e JOIN ledger_transaction t ON t.id = e.transaction_id"
        " WHERE t.rule = %s AND e.direction = %s",
        [rule, direction],
    )
    [(id,)] = owner.fetchall()
    return int(id)


def test_books_that_were_only_posted_to_hold_every_invariant(database: None) -> None:
    for invariant in ALL_INVARIANTS:
        assert invariant(slices.EVERYTHING) == []
    book(*sale(usd(1000), fee=usd(30)), payment_id=uuid7())
    book(rules.authorized(PARTIES, usd(5)), payment_id=uuid7())
    for invariant in ALL_INVARIANTS:
        assert invariant(slices.EVERYTHING) == []


def test_every_invariant_is_listed() -> None:
    public = {
        value
        for name, value in vars(invariants).items()
        if callable(value)
        and not name.startswith("_")
        and getattr(value, "__module__", "") == invariants.__name__
    }
    assert public == set(ALL_INVARIANTS)
    assert all(invariant.__doc__ for invariant in ALL_INVARIANTS)


def test_a_changed_amount(owner: Cursor) -> None:
    id = entry_id(owner, rule="captured", direction="D")
    owner.execute("UPDATE ledger_entry SET amount_minor = 999 WHERE id = %s", [id])
    [offender] = invariants.transactions_sum_to_zero()
    assert offender.endswith("is off by -1 USD")
    assert failing() == {
        invariants.transactions_sum_to_zero,
        invariants.debits_equal_credits,
        invariants.snapshots_equal_their_entries,
    }


def test_a_changed_memo_amount(owner: Cursor) -> None:
    id = entry_id(owner, rule="authorized", direction="D")
    owner.execute("UPDATE ledger_entry SET amount_minor = 1001 WHERE id = %s", [id])
    assert invariants.memo_accounts_sum_to_zero() == ["memo accounts are off by 1 USD"]
    assert invariants.debits_equal_credits() == ["the books are off by 1 USD"]
    assert failing() == {
        invariants.transactions_sum_to_zero,
        invariants.debits_equal_credits,
        invariants.memo_accounts_sum_to_zero,
        invariants.snapshots_equal_their_entries,
    }


def test_entries_that_were_deleted(owner: Cursor) -> None:
    owner.execute(
        "DELETE FROM ledger_entry WHERE transaction_id ="
        " (SELECT id FROM ledger_transaction WHERE rule = 'captured')"
    )
    [offender] = invariants.transactions_have_entries()
    assert offender.endswith("has 0 entries")
    assert failing() == {
        invariants.transactions_have_entries,
        invariants.snapshots_equal_their_entries,
    }


def test_a_transaction_of_one_entry(owner: Cursor) -> None:
    id = entry_id(owner, rule="captured", direction="D")
    owner.execute("DELETE FROM ledger_entry WHERE id = %s", [id])
    [offender] = invariants.transactions_have_entries()
    assert offender.endswith("has 1 entries")


def test_memo_and_real_accounts_in_one_transaction(owner: Cursor) -> None:
    owner.execute(
        "UPDATE ledger_entry SET account_id = %s WHERE id = %s",
        [chart.AUTH_HELD.of(PSP, "USD").id, entry_id(owner, rule="captured", direction="D")],
    )
    assert len(invariants.transactions_are_of_one_kind()) == 1
    assert failing() == {
        invariants.transactions_are_of_one_kind,
        invariants.memo_accounts_sum_to_zero,
        invariants.snapshots_equal_their_entries,
    }


def test_an_entry_in_another_currency_than_its_account(owner: Cursor) -> None:
    owner.execute(
        "UPDATE ledger_entry SET currency = 'EUR' WHERE transaction_id ="
        " (SELECT id FROM ledger_transaction WHERE rule = 'captured')"
    )
    assert len(invariants.entries_match_their_account()) == 2
    assert failing() == {invariants.entries_match_their_account}


def test_an_entry_on_an_account_that_is_gone(owner: Cursor) -> None:
    owner.execute("DELETE FROM ledger_account WHERE code = 4100")
    offenders = invariants.entries_match_their_account()
    assert len(offenders) == 2
    assert all(offender.endswith("it does not exist") for offender in offenders)


def test_an_entry_of_another_payment(owner: Cursor) -> None:
    id = entry_id(owner, rule="platform_fee", direction="D")
    owner.execute("UPDATE ledger_entry SET payment_id = %s WHERE id = %s", [uuid7(), id])
    [offender] = invariants.entries_match_their_transaction()
    assert offender.endswith("of another payment")
    assert failing() == {invariants.entries_match_their_transaction}


def test_a_transaction_that_is_gone(owner: Cursor) -> None:
    owner.execute("DELETE FROM ledger_transaction WHERE rule = 'captured'")
    offenders = invariants.entries_match_their_transaction()
    assert len(offenders) == 2
    assert all(offender.endswith("that does not exist") for offender in offenders)
    assert failing() == {invariants.entries_match_their_transaction}


def test_entries_added_late(owner: Cursor) -> None:
    owner.execute(
        "INSERT INTO ledger_entry (transaction_id, payment_id, account_id, direction, amount_minor,"
        " currency, entry_type) SELECT transaction_id, payment_id, account_id, direction, 5,"
        " currency, entry_type FROM ledger_entry WHERE transaction_id ="
        " (SELECT id FROM ledger_transaction WHERE rule = 'captured')"
    )
    assert len(invariants.entries_are_not_late()) == 2
    assert failing() == {invariants.entries_are_not_late}


def test_a_changed_snapshot(owner: Cursor) -> None:
    owner.execute(
        "UPDATE ledger_balance_snapshot SET debits_minor = debits_minor + 1 WHERE account_id = %s",
        [chart.PSP_RECEIVABLE.of(PSP, "USD").id],
    )
    [offender] = invariants.snapshots_equal_their_entries()
    assert str(chart.PSP_RECEIVABLE.of(PSP, "USD").id) in offender
    assert failing() == {invariants.snapshots_equal_their_entries}


@pytest.mark.parametrize(
    ("posting", "offender"),
    [
        (
            rules.capture_memo(PARTIES, usd(7)),
            ["has -7 USD on open item 9100", "has -7 USD on open item 9200"],
        ),
        (
            rules.reversal_of(rules.captured(PARTIES, usd(7))),
            ["has -7 USD on open item 1100"],
        ),
        (
            rules.refund_failed(PARTIES, usd(7)),
            ["has -7 USD on open item 2200"],
        ),
    ],
)
def test_an_open_item_on_the_wrong_side(
    database: None, posting: rules.Posting, offender: list[str]
) -> None:
    """PostgreSQL lets this pass, since each posting balances: only the whole payment shows it."""
    payment_id = uuid7()
    book(*sale(usd(1000)), payment_id=uuid7())  # another payment has plenty of it
    book(posting, payment_id=payment_id)
    found = sorted(invariants.open_items_are_not_negative())
    assert found == [f"payment {payment_id} {text}" for text in offender]
    assert failing() == {invariants.open_items_are_not_negative}


def test_a_finished_dispute_with_money_still_held(database: None) -> None:
    payment_id, dispute_id = uuid7(), uuid7()
    book(*sale(usd(1000)), payment_id=payment_id)
    with transaction.atomic():
        services.post(
            [
                dispute_rules.dispute_held(PARTIES, usd(1000)),
                dispute_rules.dispute_withdrawn(PARTIES, usd(1000)),
                dispute_rules.dispute_won(PARTIES, usd(1000)),
            ],
            source_type="dispute",
            source_id=dispute_id,
            payment_id=payment_id,
            merchant_id=MERCHANT,
        )
    found = invariants.finished_disputes_leave_nothing_open()
    assert found == [f"dispute {dispute_id} is over but has -1000 USD on 2300"]
    assert failing() == {invariants.finished_disputes_leave_nothing_open}


def test_a_reversal_that_is_no_mirror(owner: Cursor) -> None:
    owner.execute(
        "UPDATE ledger_entry SET amount_minor = 29 WHERE transaction_id ="
        " (SELECT id FROM ledger_transaction WHERE rule = 'reversal_of_platform_fee')"
    )
    assert len(invariants.reversals_mirror_their_original()) == 1
    assert failing() == {
        invariants.reversals_mirror_their_original,
        invariants.snapshots_equal_their_entries,
    }


def test_a_reversal_of_nothing(owner: Cursor) -> None:
    owner.execute(
        "UPDATE ledger_transaction SET reverses_id = gen_random_uuid()"
        " WHERE reverses_id IS NOT NULL"
    )
    assert len(invariants.reversals_mirror_their_original()) == 1
    assert failing() == {invariants.reversals_mirror_their_original}


def test_a_second_reversal(owner: Cursor) -> None:
    owner.execute("DROP INDEX ledger_transaction_reversed_once")
    try:
        fee = rules.platform_fee(PARTIES, usd(30))
        [(original,)] = owner.execute(
            "SELECT id FROM ledger_transaction WHERE rule = 'platform_fee'"
        ).fetchall()
        book(rules.reversal_of(fee, reverses=original), payment_id=PAYMENT)
        [offender] = invariants.reversals_mirror_their_original()
        assert offender == f"ledger transaction {original} was reversed 2 times"
        assert failing() == {invariants.reversals_mirror_their_original}
    finally:
        owner.execute("TRUNCATE ledger_transaction")
        owner.execute(
            "CREATE UNIQUE INDEX ledger_transaction_reversed_once ON ledger_transaction"
            " (reverses_id) WHERE reverses_id IS NOT NULL"
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entry SET xid = '9000000000'",
        "UPDATE ledger_transaction SET xid = '9000000000'",
        "UPDATE ledger_balance_snapshot SET horizon = '9000000000'",
    ],
)
def test_a_restore_into_a_cluster_whose_counter_is_behind(owner: Cursor, statement: str) -> None:
    owner.execute(statement)  # type: ignore[arg-type]
    offenders = invariants.transaction_ids_are_of_the_past() + invariants.horizons_are_of_the_past()
    assert offenders
    assert all("9000000000 that is yet to come" in offender for offender in offenders)


def test_an_account_with_another_accounts_id(owner: Cursor) -> None:
    forged = uuid7()
    owner.execute("INSERT INTO ledger_account VALUES (%s, 1100, 'other', 'USD', 'real')", [forged])
    assert invariants.accounts_are_of_the_chart() == [f"account {forged} is not of the chart"]
    assert failing() == {invariants.accounts_are_of_the_chart}


def test_a_guard_that_was_switched_off(owner: Cursor) -> None:
    assert len(invariants.guards_are_on()) == 7


def test_a_guard_that_a_session_could_disable(owner: Cursor) -> None:
    owner.execute("ALTER TABLE ledger_entry ENABLE TRIGGER ledger_check_entries")
    assert "trigger ledger_check_entries of ledger_entry is not enabled always" in (
        invariants.guards_are_on()
    )


def test_a_fault_in_the_first_a_middle_and_the_last_slice_is_found(owner: Cursor) -> None:
    transactions = [id for _ in range(3) for id in book(*sale(usd(500)), payment_id=uuid7())]
    settle_and_snapshot()
    assert len(list(slices.Cut.TRANSACTIONS.slices())) > 4
    for faulty in (transactions[0], transactions[4], transactions[-1]):
        owner.execute(
            "UPDATE ledger_entry SET amount_minor = amount_minor + 1 WHERE direction = 'D'"
            " AND transaction_id = %s",
            [faulty],
        )
    found = {
        invariant.__name__: sum(len(invariant(part)) for part in cut.slices())
        for invariant, cut in ALL_INVARIANTS.items()
        if invariant in CHECKED
    }
    assert found["transactions_sum_to_zero"] == found["debits_equal_credits"] == 3
    assert found["memo_accounts_sum_to_zero"] == 2, "the last one is of real accounts"
    assert found["snapshots_equal_their_entries"] >= 2


def test_a_great_many_offenders_are_not_all_listed(owner: Cursor) -> None:
    owner.execute(
        "INSERT INTO ledger_transaction (id, rule, source_type, source_id, psp_account,"
        " effective_date, posted_at) SELECT id, 'captured', 'raw', id, '', current_date, now()"
        " FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 150)) AS many"
    )
    assert len(invariants.transactions_have_entries()) == invariants.OFFENDERS_MAX
