"""Statements by date equal a sum over every entry, whatever day an entry counts for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from ledger import posting_rules as rules
from ledger import services
from ledger import settlement_rules as settlement
from ledger.account_statements import account_statements, trial_balance
from ledger.chart import AccountRef, Direction
from ledger.database.statements import execute, stream
from ledger.exceptions import BooksDoNotBalance
from ledger.money import Money
from ledger.posting_rules import Posting
from ledger.tests.books import MERCHANT, PARTIES, PSP, book, settle_and_snapshot, usd
from paymentsite.tests.fixtures.matrix import examples

pytestmark = pytest.mark.usefixtures("database")

DAY = date(2026, 11, 20)
RULES = (
    rules.authorized,
    rules.captured,
    rules.platform_fee,
    rules.refund_requested,
    settlement.charge_settled,
    settlement.payout,
)


def on(day: date, *postings: Posting) -> None:
    with transaction.atomic():
        services.post(
            postings,
            source_type="operation",
            source_id=uuid7(),
            payment_id=None,
            merchant_id=MERCHANT,
            psp_account=PSP,
            effective_date=day,
        )


def sums(condition: str, *values: Any) -> dict[tuple[Any, ...], int]:
    """Debits minus credits over every entry of these days, by account."""
    rows = execute(
        "SELECT a.code, a.dimension, a.currency, sum(CASE e.direction WHEN 'D' "
        "THEN e.amount_minor ELSE -e.amount_minor END) FROM ledger_entry e "
        "JOIN ledger_account a ON a.id = e.account_id "
        "JOIN ledger_transaction t ON t.id = e.transaction_id "
        f"WHERE t.effective_date {condition} GROUP BY 1, 2, 3",
        values,
    )
    return {place: int(total) for *where, total in rows if (place := tuple(where)) and total}


def place(account: AccountRef) -> tuple[Any, ...]:
    return account.code, account.dimension, account.currency


@settings(
    max_examples=examples(8, whole=100),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    postings=st.lists(
        st.tuples(
            st.integers(-3, 3),
            st.sampled_from(RULES),
            st.integers(1, 500),
            st.sampled_from(["USD", "JPY"]),
        ),
        min_size=1,
        max_size=12,
    ),
    first=st.integers(-2, 2),
    length=st.integers(0, 2),
)
def test_balances_of_any_days_are_those_of_every_entry(
    postings: Sequence[tuple[int, rules.Rule, int, str]], first: int, length: int
) -> None:
    for days, rule, minor, currency in postings:
        on(DAY + timedelta(days), rule(PARTIES, Money(minor, currency)))
    begin = DAY + timedelta(first)
    end = begin + timedelta(length)
    with transaction.atomic():
        lines = list(trial_balance(begin, end))
        before, until = sums("< %s", begin), sums("<= %s", end)
    assert {place(x.account): x.opening.minor for x in lines if x.opening} == before
    assert {place(x.account): x.closing.minor for x in lines if x.closing} == until
    assert sum(x.debits.minor - x.credits.minor for x in lines) == 0


def test_a_trial_balance_is_the_same_with_a_snapshot_of_balances() -> None:
    on(DAY, rules.captured(PARTIES, usd(1000)))
    on(DAY + timedelta(1), rules.platform_fee(PARTIES, usd(30)))
    with transaction.atomic():
        before = list(trial_balance(DAY, DAY))
    settle_and_snapshot()
    with transaction.atomic():
        assert list(trial_balance(DAY, DAY)) == before
    assert [(x.account.code, x.closing.minor) for x in before] == [(1100, 1000), (2100, -1000)]


def test_a_statement_goes_from_opening_to_closing_entry_by_entry() -> None:
    on(DAY - timedelta(1), rules.captured(PARTIES, usd(500)))
    on(
        DAY + timedelta(1), rules.refund_requested(PARTIES, usd(200))
    )  # written before, counts later
    on(DAY, rules.captured(PARTIES, usd(1000)), rules.platform_fee(PARTIES, usd(30)))
    on(DAY + timedelta(2), rules.captured(PARTIES, usd(7)))
    on(DAY, rules.captured(PARTIES, Money(9, "JPY")))
    with transaction.atomic():
        found = [
            (each, list(each.lines))
            for each in account_statements(
                2100, DAY, DAY + timedelta(1), dimensions=[str(MERCHANT)]
            )
        ]
    assert [each.account.currency for each, _ in found] == ["JPY", "USD"]
    dollars, lines = found[1]
    assert (dollars.opening, dollars.closing) == (usd(500), usd(1270))
    assert [(x.direction, x.amount, x.balance) for x in lines] == [
        (Direction.CREDIT, usd(1000), usd(1500)),
        (Direction.DEBIT, usd(30), usd(1470)),
        (Direction.DEBIT, usd(200), usd(1270)),
    ]


def test_lines_that_are_not_read_do_not_reach_the_next_statement() -> None:
    on(DAY, rules.captured(PARTIES, usd(1)))
    on(DAY, rules.captured(PARTIES, Money(2, "JPY")))
    with transaction.atomic():
        each = [x.account.currency for x in account_statements(1100, DAY, DAY)]
        yen = next(account_statements(1100, DAY, DAY, currency="JPY"))
        amounts = [line.amount for line in yen.lines]
    assert (each, amounts) == (["JPY", "USD"], [Money(2, "JPY")])


def test_books_that_do_not_balance_make_no_trial_balance(owner_cursor: Any) -> None:
    book(rules.captured(PARTIES, usd(1000)))
    for change in (
        "ALTER TABLE ledger_entry DISABLE TRIGGER ledger_append_only",
        "UPDATE ledger_entry SET amount_minor = 999 WHERE direction = 'C'",
        "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_append_only",
    ):
        owner_cursor.execute(change)
    today = date.today()
    with pytest.raises(BooksDoNotBalance, match=r"real accounts in USD: .* 0\.01 USD"):
        with transaction.atomic():
            list(trial_balance(today, today))
    with transaction.atomic():
        # Part of the books does not balance by itself, and is not expected to.
        assert [x.account.code for x in trial_balance(today, today, codes=[2100])] == [2100]


def test_rows_are_streamed_in_a_transaction_only() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        next(stream("SELECT 1"))
    with transaction.atomic():
        rows = stream("SELECT n FROM generate_series(1, %s) AS n", [5000])
        assert next(rows) == (1,)
        assert execute("SELECT 7") == [(7,)]
        assert sum(n for (n,) in rows) == 5000 * 5001 // 2 - 1
